"""Which checkpoints lie in storage, which of them count, and which are cleared away."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_storage import NotFound, Store
from trainyard_trainer.checkpoint.documents import Marker

MANIFEST = "manifest.json"
COMMITTED = "COMMITTED"
_NAME = re.compile(
    r"(?P<folder>step-(?P<step>\d{8,})/(?P<attempt>\d{4,})-(?P<session>[0-9a-f]{16})-\d{4,})/(?P<file>[^/]+)"
)
_ATTEMPT = re.compile(r"attempts/(\d+)")


def part_key(folder: str, rank: int) -> str:
    """The key of a rank's part."""
    return f"{folder}/part-{rank:04d}"


@dataclass(frozen=True)
class Session:
    """One start of the ranks: the names of what it writes are its own, so no key is ever written twice."""

    attempt: int
    id: str

    @staticmethod
    def new_id() -> str:
        return secrets.token_hex(8)

    def folder(self, step: int, number: int) -> str:
        """The folder of its `number`-th checkpoint."""
        return f"step-{step:08d}/{self.attempt:04d}-{self.id}-{number:04d}"


@dataclass(frozen=True)
class Committed:
    """A checkpoint whose marker is there."""

    step: int
    attempt: int
    folder: str = field(compare=False)
    manifest: str = field(compare=False)  # xxh3_64 of manifest.json
    time: datetime = field(compare=False)  # of the commit, by the storage's clock

    @property
    def rank(self) -> tuple[int, int, datetime]:
        """What makes one newer than another: a newer attempt began from what it trusted."""
        return (self.attempt, self.step, self.time)


@dataclass(frozen=True)
class Listing:
    """What a listing of the checkpoints' store says."""

    checkpoints: list[Committed]  # newest first
    ignored: dict[str, str]  # folder -> why its marker doesn't count
    keys: dict[str, list[str]]  # folder -> keys of its objects
    sessions: dict[str, Session]  # folder -> who wrote it
    attempts: set[int]


def list_checkpoints(store: Store) -> Listing:
    """List `store` and read the markers.

    A marker of an older attempt doesn't count if its step comes after the first of a newer attempt: it was written by a
    process that had already been replaced, or what it stands for couldn't be read when the newer attempt began.
    """
    keys: dict[str, list[str]] = {}
    sessions: dict[str, Session] = {}
    attempts: set[int] = set()
    found: list[Committed] = []
    ignored: dict[str, str] = {}
    for info in store.list():
        if begun := _ATTEMPT.fullmatch(info.key):
            attempts.add(int(begun[1]))
        if not (name := _NAME.fullmatch(info.key)):
            continue
        folder = name["folder"]
        keys.setdefault(folder, []).append(info.key)
        sessions[folder] = Session(int(name["attempt"]), name["session"])
        if name["file"] == COMMITTED:
            try:
                found.append(_read_marker(store, name, info.modified))
            except (ValueError, NotFound):
                ignored[folder] = "its marker can't be read"
    ignored |= dict(_fenced(found))
    valid = sorted((c for c in found if c.folder not in ignored), key=lambda c: c.rank, reverse=True)
    return Listing(valid, ignored, keys, sessions, attempts)


def _read_marker(store: Store, name: re.Match[str], time: datetime) -> Committed:
    marker = Marker.model_validate_json(store.get(name[0]))
    if (marker.step, marker.attempt) != (int(name["step"]), int(name["attempt"])):
        raise ValueError("the marker is of another checkpoint")
    return Committed(marker.step, marker.attempt, name["folder"], marker.manifest, time)


def _fenced(found: list[Committed]) -> Iterator[tuple[str, str]]:
    for late in found:
        newer = [c for c in found if c.attempt > late.attempt and c.step < late.step]
        if newer:
            first = min(newer, key=lambda c: c.step)
            yield (
                late.folder,
                f"attempt {late.attempt} wrote it, and attempt {first.attempt} had gone on from an earlier step",
            )


def begin_attempt(store: Store, attempt: int) -> None:
    """Write down that `attempt` has begun; raises TrainyardError if a newer one has."""
    check_fence(store, attempt)
    store.put_json(f"attempts/{attempt}", {"attempt": attempt})


def check_fence(store: Store, attempt: int) -> None:
    """Raise TrainyardError if an attempt newer than `attempt` has begun."""
    begun = (_ATTEMPT.fullmatch(info.key) for info in store.list("attempts/"))
    newest = max((int(match[1]) for match in begun if match), default=attempt)
    if newest > attempt:
        raise TrainyardError(
            what=f"Attempt {newest} of this run has begun, so attempt {attempt} may no longer write checkpoints.",
            where=store.uri,
            remedy="Nothing: the newer attempt goes on. End this process.",
            code=ExitCode.INFRASTRUCTURE,
            cause="Fenced",
        )


def retire(store: Store, keep: int, session: Session) -> None:
    """Delete all but the `keep` newest checkpoints, and what earlier sessions left unfinished.

    Markers go first, so that a half-deleted checkpoint doesn't count. What newer attempts wrote is left alone.
    """
    listing = list_checkpoints(store)
    kept = {checkpoint.folder for checkpoint in listing.checkpoints[:keep]}
    committed = {checkpoint.folder for checkpoint in listing.checkpoints} | listing.ignored.keys()
    for folder, keys in listing.keys.items():
        owner = listing.sessions[folder]
        unfinished = folder not in committed
        if folder in kept or owner.attempt > session.attempt or (unfinished and owner == session):
            continue
        marker = f"{folder}/{COMMITTED}"
        if not unfinished:
            store.delete([marker])
        store.delete([key for key in keys if key != marker])
