"""The slow part of saving: upload, manifest, marker, and clearing away what is old. Runs in the background."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_storage import Store, digest
from trainyard_trainer.checkpoint.catalogue import (
    COMMITTED,
    MANIFEST,
    Committed,
    Session,
    check_fence,
    part_key,
    retire,
)
from trainyard_trainer.checkpoint.documents import Manifest, Marker, Part, TensorSpec


@dataclass(frozen=True)
class StagedPart:
    """A rank's share of a checkpoint, in staging memory."""

    folder: str
    step: int
    skeleton: Any
    tensors: list[TensorSpec]
    rank_skeleton: Any
    rank_tensors: list[TensorSpec]
    start: int
    end: int
    data: memoryview


class Writer:
    """Writes the checkpoints of one rank in one session."""

    def __init__(
        self,
        store: Store,
        session: Session,
        rank: int,
        world: int,
        keep: int,
        peer_seconds: float,
        newest: Callable[[Committed], object] = lambda committed: None,
    ) -> None:
        """`newest` hears of every checkpoint that rank 0 has committed."""
        self._store, self._session = store, session
        self._rank, self._world, self._keep = rank, world, keep
        self._peer_seconds = peer_seconds
        self._newest = newest
        self.committed: Committed | None = None

    def write(self, staged: StagedPart, staging_free: threading.Event) -> None:
        """Upload `staged`, then set `staging_free`; on rank 0 also commit, once every rank's part is up."""
        try:
            part = self._upload(staged)
        finally:
            staging_free.set()
        if self._rank == 0:
            self._commit(staged, [part, *self._parts_of_peers(staged, part)])
        else:
            self._store.put(_part_document(staged.folder, self._rank), _encode(part))

    def _upload(self, staged: StagedPart) -> Part:
        xxh3 = digest(staged.data)
        self._store.put(part_key(staged.folder, self._rank), staged.data)
        return Part(
            rank=self._rank,
            start=staged.start,
            end=staged.end,
            bytes=staged.data.nbytes,
            xxh3=xxh3,
            state=digest(json.dumps([spec.model_dump() for spec in staged.tensors]).encode()),
            skeleton=staged.rank_skeleton,
            tensors=staged.rank_tensors,
        )

    def _parts_of_peers(self, staged: StagedPart, own: Part) -> list[Part]:
        """What the other ranks say they uploaded, in order of rank; waits for them."""
        missing = {_part_document(staged.folder, rank): rank for rank in range(1, self._world)}
        parts: list[Part] = []
        deadline, pause = time.monotonic() + self._peer_seconds, 0.01
        while missing:
            up = missing.keys() & {info.key for info in self._store.list(f"{staged.folder}/")}
            for key in up:
                parts.append(self._read_part(key))
                del missing[key]
            if missing and time.monotonic() > deadline:
                raise self._peers_silent(staged, sorted(missing.values()))
            if missing and not up:
                time.sleep(pause)
                pause = min(1.0, pause * 1.5)
        for part in parts:
            if part.state != own.state:
                raise self._diverged(staged, part.rank)
        return sorted(parts, key=lambda part: part.rank)

    def _read_part(self, key: str) -> Part:
        try:
            return Part.model_validate_json(self._store.get(key))
        except ValidationError:  # bits flip on the way: once more
            return Part.model_validate_json(self._store.get(key))

    def _commit(self, staged: StagedPart, parts: list[Part]) -> None:
        manifest = _encode(
            Manifest(
                step=staged.step,
                attempt=self._session.attempt,
                skeleton=staged.skeleton,
                tensors=staged.tensors,
                parts=parts,
            )
        )
        self._store.put(f"{staged.folder}/{MANIFEST}", manifest)
        check_fence(self._store, self._session.attempt)
        marker = Marker(step=staged.step, attempt=self._session.attempt, world=self._world, manifest=digest(manifest))
        self._store.put(f"{staged.folder}/{COMMITTED}", _encode(marker), if_absent=True)
        self.committed = Committed(marker.step, marker.attempt, staged.folder, marker.manifest, datetime.now(UTC))
        self._newest(self.committed)
        retire(self._store, self._keep, self._session)

    def _peers_silent(self, staged: StagedPart, ranks: list[int]) -> TrainyardError:
        names = ", ".join(str(rank) for rank in ranks)
        return TrainyardError(
            what=f"The checkpoint of step {staged.step} wasn't completed: "
            f"rank {names} didn't upload its part within {self._peer_seconds:g} s.",
            where=self._store.url(staged.folder),
            remedy="Look at that rank's log. The previous checkpoint is still there.",
            code=ExitCode.INFRASTRUCTURE,
            cause="CheckpointIncomplete",
        )

    def _diverged(self, staged: StagedPart, rank: int) -> TrainyardError:
        return TrainyardError(
            what=f"Rank {rank} saved a state of other tensors than rank 0 at step {staged.step}.",
            where=self._store.url(staged.folder),
            remedy="Pass the same state on every rank, and what differs as rank_state.",
            cause="StateDiverged",
        )


def _part_document(folder: str, rank: int) -> str:
    return f"{part_key(folder, rank)}.json"


def _encode(document: BaseModel) -> bytes:
    """JSON that keeps the order of keys, which canonical JSON wouldn't: a state's dicts come back in order."""
    return json.dumps(document.model_dump(mode="python")).encode()
