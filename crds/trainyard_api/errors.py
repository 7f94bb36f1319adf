"""Errors that a person can act on, and what each exit code means."""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `trainyard` and of the launcher; the operator decides by them whether to try again."""

    OK = 0
    FAILED = 1  # the program failed; a restart may help
    INVALID = 2  # manifest, data or settings are wrong; a restart can't help
    INFRASTRUCTURE = 3  # storage, a peer or the machine failed; not the program's fault
    INTERRUPTED = 130  # Ctrl-C; a checkpoint was written
    TERMINATED = 143  # SIGTERM; a checkpoint was written


@dataclass
class TrainyardError(Exception):
    """An error said in one plain message: what was wrong, where, and what to do.

    Ends the process with `code`. `cause` is one word for machines (metrics, status), in CamelCase.
    """

    what: str
    where: str = ""
    remedy: str = ""
    code: ExitCode = ExitCode.INVALID
    cause: str = "InvalidInput"

    def __str__(self) -> str:
        lines = [
            self.what,
            f"  where: {self.where}" if self.where else "",
            f"  remedy: {self.remedy}" if self.remedy else "",
        ]
        return "\n".join(line for line in lines if line)
