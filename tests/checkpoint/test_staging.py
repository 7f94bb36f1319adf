"""Staging memory: its own to each process, there before it is written, and kept for the next process."""

from pathlib import Path

from trainyard_trainer.checkpoint.staging import Staging


def test_two_never_share_memory(tmp_path: Path) -> None:
    one, other = Staging(tmp_path / "part"), Staging(tmp_path / "part")
    one.buffer(1000).fill_(1)
    other.buffer(1000).fill_(2)
    assert bool((one.buffer(1000) == 1).all())


def test_the_next_process_finds_the_pages_of_the_last(tmp_path: Path) -> None:
    one = Staging(tmp_path / "part")
    one.buffer(1000).fill_(1)
    del one
    assert bool((Staging(tmp_path / "part").buffer(1000) == 1).all())
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_backed_by_the_disk_before_it_is_written(tmp_path: Path) -> None:
    """Or a disk that fills up later would end the process by SIGBUS."""
    Staging(tmp_path / "part").buffer(1_000_000)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= 1_000_000
