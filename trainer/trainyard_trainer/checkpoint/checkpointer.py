"""Checkpointer: saves and loads the state of training."""

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.status import CheckpointStatus
from trainyard_storage import Store
from trainyard_trainer.checkpoint.background import Background
from trainyard_trainer.checkpoint.catalogue import (
    Committed,
    Session,
    begin_attempt,
    list_checkpoints,
)
from trainyard_trainer.checkpoint.layout import layout_of, pieces, share, total_bytes
from trainyard_trainer.checkpoint.reader import Contents, DamagedError, read_checkpoint
from trainyard_trainer.checkpoint.staging import Staging
from trainyard_trainer.checkpoint.tree import NamedTensor, flatten
from trainyard_trainer.checkpoint.writer import StagedPart, Writer

_log = logging.getLogger("trainyard.checkpoint")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as it was saved; tensors are on the CPU."""

    step: int
    state: Any
    rank_state: Any | None  # None if another number of ranks saved it
    meta: dict[str, Any]
    skipped: list[str]  # newer checkpoints that can't be used, a sentence each


class Checkpointer:
    """Saves the state of `world` ranks to `store`, and loads the newest whole one.

    Making one, and `load_latest`, are collective: every rank does both, in the same order, because rank 0 tells the
    others by `broadcast` (takes rank 0's value, returns it on every rank) which session this is and what it found.
    Saving needs no collective: ranks meet in storage. `attempt` fences: once a newer attempt has begun, an older one's
    saves fail, and those that still slip through are ignored.

    Not thread-safe: one thread of each rank uses it.
    """

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        world: int,
        keep: int,
        attempt: int,
        staging: Path,
        broadcast: Callable[[Any], Any] = lambda value: value,
        peer_seconds: float = 300.0,
        tell: Callable[[str], object] = lambda line: None,
        newest: Callable[[CheckpointStatus], object] = lambda status: None,
    ) -> None:
        """Stages in a file under `staging`, which should outlive the process, on a memory file system if there is one.

        Rank 0 waits up to `peer_seconds` for the others' parts, says by `tell` which checkpoints can't be used, and by
        `newest` which one it has loaded or committed last.
        Raises TrainyardError on every rank if storage can't be written, or a newer attempt has begun.
        """
        self._store, self._rank, self._world = store, rank, world
        self._broadcast = broadcast
        self._tell = tell
        session_id = self._rank_0_first(partial(_begin, store, attempt))
        self._session = Session(attempt, session_id)
        self._newest = newest
        self._writer = Writer(store, self._session, rank, world, keep, peer_seconds, self._say_newest)
        self._staging = Staging(staging / f"checkpoint-rank-{rank:04d}")
        self._staging_free = threading.Event()
        self._staging_free.set()
        self._background = Background("checkpoint")
        self._saves = 0

    @property
    def committed(self) -> Committed | None:
        """The newest checkpoint that this session has committed; known to rank 0 only."""
        return self._writer.committed

    def save(self, step: int, state: Any, rank_state: Any, meta: dict[str, Any]) -> None:
        """Save `state` (the same on every rank), this rank's `rank_state`, and `meta`, as of optimiser step `step`.

        Every rank calls it for the same steps. Returns when this rank's share is staged: what is saved may then change.
        If the previous share is still being uploaded, waits for that. Raises what went wrong with an earlier save.
        """
        self._background.raise_failure()
        skeleton, tensors = flatten({"state": state, "meta": meta})
        rank_skeleton, rank_tensors = flatten(rank_state)
        specs, rank_specs = layout_of(tensors), layout_of(rank_tensors)
        start, end = share(total_bytes(specs), self._rank, self._world)
        self._wait_for_staging()
        try:
            buffer = self._staging.buffer(end - start + total_bytes(rank_specs))
            for piece in pieces(specs, _values(tensors), start, end):
                _copy(piece.bytes, buffer, piece.position)
            for piece in pieces(rank_specs, _values(rank_tensors), 0, total_bytes(rank_specs)):
                _copy(piece.bytes, buffer, end - start + piece.position)
            if torch.cuda.is_available():
                torch.cuda.current_stream().synchronize()
        except BaseException:
            self._staging_free.set()
            raise
        self._saves += 1
        staged = StagedPart(
            folder=self._session.folder(step, self._saves),
            step=step,
            skeleton=skeleton,
            tensors=specs,
            rank_skeleton=rank_skeleton,
            rank_tensors=rank_specs,
            start=start,
            end=end,
            data=buffer.numpy().data,
        )
        self._background.submit(partial(self._writer.write, staged, self._staging_free))

    def reserve(self, state: Any, rank_state: Any) -> None:
        """Get the memory for staging such a state ready in the background, so that the first save is as short as any.

        Optional; best called once the optimiser has its tensors.
        """
        specs, rank_specs = layout_of(flatten(state)[1]), layout_of(flatten(rank_state)[1])
        self._warm(total_bytes(specs), total_bytes(rank_specs))

    def wait(self) -> None:
        """Return when everything saved so far is up, and on rank 0 committed. Raises what went wrong with a save."""
        self._background.wait()

    def load_latest(self) -> Loaded | None:
        """The newest committed checkpoint whose every byte is as it was written; None if there is none.

        Those that are damaged are said in `Loaded.skipped` and logged, and the previous one is used. Rank 0 decides.
        Raises TrainyardError if storage can't be read.
        """
        mine: list[Contents] = []

        def choose() -> tuple[Committed | None, list[str]]:
            chosen, contents, skipped = self._newest_whole()
            mine.extend([contents] if contents else [])
            return chosen, skipped

        chosen, skipped = self._rank_0_first(choose)
        if chosen is None:
            return None
        contents = mine[0] if mine else self._read_chosen(chosen)
        if self._rank == 0:
            self._say_newest(chosen)
        self._warm(contents.bytes, 0)
        return Loaded(chosen.step, contents.state, contents.rank_state, contents.meta, skipped)

    def _newest_whole(self) -> tuple[Committed | None, Contents | None, list[str]]:
        listing = list_checkpoints(self._store)
        unusable = dict(listing.ignored)
        for checkpoint in listing.checkpoints:
            try:
                contents = read_checkpoint(self._store, checkpoint, self._rank, self._world)
            except DamagedError as error:
                unusable[checkpoint.folder] = str(error)
                continue
            return checkpoint, contents, self._report(unusable, f"The one of step {checkpoint.step} is used.")
        return None, None, self._report(unusable, "There is no other: training starts from the beginning.")

    def _say_newest(self, committed: Committed) -> None:
        time = committed.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._newest(CheckpointStatus(uri=self._store.url(committed.folder), step=committed.step, time=time))

    def _report(self, unusable: dict[str, str], instead: str) -> list[str]:
        sentences = [f"Checkpoint {folder} is not used: {why}." for folder, why in unusable.items()]
        if sentences:
            line = " ".join([*sentences, instead])
            _log.warning(line)
            self._tell(line)
        return sentences

    def _read_chosen(self, chosen: Committed) -> Contents:
        try:
            return read_checkpoint(self._store, chosen, self._rank, self._world)
        except DamagedError as error:
            raise TrainyardError(
                what=f"Rank {self._rank} can't read the checkpoint that rank 0 has read: {error}.",
                where=self._store.url(chosen.folder),
                remedy="Start again: an older checkpoint is used if this one is damaged.",
                code=ExitCode.INFRASTRUCTURE,
                cause="CheckpointUnreadable",
            ) from error

    def _rank_0_first(self, action: Callable[[], Any]) -> Any:
        """Do `action` on rank 0 and give its result, or the TrainyardError it raised, to every rank."""
        outcome: dict[str, Any] = {}
        if self._rank == 0:
            try:
                outcome = {"result": action()}
            except TrainyardError as error:
                outcome = {"error": asdict(error)}
        outcome = self._broadcast(outcome)
        if "error" in outcome:
            raise TrainyardError(**outcome["error"])
        return outcome["result"]

    def _warm(self, shared: int, own: int) -> None:
        start, end = share(shared, self._rank, self._world)

        def warm() -> None:
            try:
                self._staging.warm(end - start + own)
            finally:
                self._staging_free.set()

        self._wait_for_staging()
        self._background.submit(warm)

    def _wait_for_staging(self) -> None:
        self._staging_free.wait()
        self._staging_free.clear()


def _begin(store: Store, attempt: int) -> str:
    begin_attempt(store, attempt)
    return Session.new_id()


def _values(tensors: list[NamedTensor]) -> list[torch.Tensor]:
    return [tensor for _, tensor in tensors]


def _copy(source: torch.Tensor, buffer: torch.Tensor, position: int) -> None:
    buffer[position : position + source.numel()].copy_(source, non_blocking=True)
