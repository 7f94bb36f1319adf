"""Checkpointers over a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trainyard_storage import Store, open_store
from trainyard_trainer.checkpoint import Checkpointer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "checkpoints"))


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Callable[..., Checkpointer]:
    """Begin an attempt of one rank."""

    def start_attempt(attempt: int = 1, keep: int = 3) -> Checkpointer:
        return Checkpointer(store, rank=0, world=1, keep=keep, attempt=attempt, staging=tmp_path / "staging")

    return start_attempt
