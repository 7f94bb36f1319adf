"""Running programs, and telling a person how long each step takes."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping


class Failed(RuntimeError):
    """A program failed, or something that is needed isn't there; the message says what to do."""


def run(*words: str, input: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
    """What the command prints. Raises Failed, with the end of what it said, if it fails or isn't there."""
    try:
        done = subprocess.run(words, input=input, env={**os.environ, **(env or {})}, capture_output=True)
    except FileNotFoundError as error:
        raise Failed(f"{words[0]} isn't installed") from error
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise Failed(f"{' '.join(words)} failed ({done.returncode}):\n{said[-3000:]}")
    return done.stdout.decode(errors="replace").strip()


def works(*words: str, env: Mapping[str, str] | None = None) -> bool:
    """Whether the command is there and succeeds."""
    try:
        run(*words, env=env)
    except Failed:
        return False
    return True


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is done within the block, and how long it took."""
    started = time.monotonic()
    try:
        yield
    finally:
        sys.stderr.write(f"  {time.monotonic() - started:6.1f} s  {what}\n")
        sys.stderr.flush()
