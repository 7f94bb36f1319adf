"""What storage's failures mean, said to a person.

obstore gives a few exception types and, for the rest, the text of the service's answer: its error code (S3 API
reference, "Error responses") or the number of the operating system's error.
"""

import errno
import re
from typing import Literal

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from trainyard_api.errors import ExitCode, TrainyardError

Verb = Literal["read", "write", "list", "delete"]


class NotFound(KeyError):
    """There is no object of this name."""

    def __str__(self) -> str:
        return f"no such object: {self.args[0]}"


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OUT_OF_REACH = ("HTTP error", "error sending request", "error decoding response body", "operation timed out")


def explain(error: Exception, verb: Verb, url: str) -> Exception:
    """The NotFound or TrainyardError that `error`, raised by obstore on `verb` of `url`, stands for."""
    text = str(error).split("\n\nDebug source")[0].strip()
    number = getattr(error, "errno", None) or _os_error(text)
    code = _s3_code(text)
    if code == "NoSuchBucket":
        return _error("BucketMissing", "The bucket does not exist.", url, "Create it, or correct storage.uri.")
    if isinstance(error, FileNotFoundError) or (verb != "write" and number == errno.ENOTDIR):  # below a file is nothing
        return NotFound(url)
    if number == errno.ENOTDIR:
        remedy = "Name a folder in storage.uri, or one that is yet to be made."
        return _error("StorageNoFolder", "A file is where a folder is wanted.", url, remedy)
    if number in _FULL or code in {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"} or "507 " in text:
        return _error("DiskFull", "Storage is full.", url, "Free some space, or raise the quota; then run it again.")
    if number in {errno.EROFS, errno.EACCES, errno.EPERM} or _denied(error, code, text):
        return _refused(verb, url, code, text)
    if any(words in text for words in _OUT_OF_REACH) or re.search(r"status code: (5\d\d|429)", text):
        return _error(
            "StorageUnreachable",
            f"Storage does not answer: {_first_line(text)}",
            url,
            "Check the endpoint and the network; if both are right, the service is down: try again later.",
        )
    if isinstance(error, ValueError):
        return TrainyardError(f"Not a name for an object: {_first_line(text)}", url, "Use plain path segments.")
    return _error("StorageFailed", f"Storage failed: {_first_line(text)}", url, "Try again.")


def _refused(verb: Verb, url: str, code: str, text: str) -> TrainyardError:
    """A refusal: of the credentials as such, or of changes alone."""
    credentials = code in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
    if verb in ("write", "delete") and not credentials:
        return TrainyardError(
            f"Storage may be read but not written: {_first_line(text)}",
            url,
            "Allow this user to write there, or name another place in storage.uri.",
            ExitCode.INVALID,
            "StorageReadOnly",
        )
    if url.startswith("file:"):
        return TrainyardError(
            f"There is no permission to {verb} this: {_first_line(text)}",
            url,
            "Give this user the permission (chmod, chown), or name another place.",
            ExitCode.INVALID,
            "StorageDenied",
        )
    return TrainyardError(
        f"Storage refused the credentials: {code or _first_line(text)}",
        url,
        "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the profile or the role, and what it may do there.",
        ExitCode.INVALID,
        "StorageDenied",
    )


def damaged(url: str, expected: str, found: str) -> TrainyardError:
    """The bytes of `url` are not those that were written, read twice over."""
    return TrainyardError(
        f"The object is damaged: its xxh3 is {found}, {expected} was written down.",
        url,
        "Restore it, or delete it and what was made with it, so that it is made again.",
        ExitCode.INVALID,
        "DataCorrupt",
    )


def _error(cause: str, what: str, url: str, remedy: str) -> TrainyardError:
    code = ExitCode.INVALID if cause == "BucketMissing" else ExitCode.INFRASTRUCTURE
    return TrainyardError(what, url, remedy, code, cause)


def _denied(error: Exception, code: str, text: str) -> bool:
    refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    return refused or code == "AccessDenied" or re.search(r"status code: 40[13]", text) is not None


def _os_error(text: str) -> int | None:
    found = re.search(r"\(os error (\d+)\)", text)
    return int(found[1]) if found else None


def _s3_code(text: str) -> str:
    found = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
    return (found[1] or found[2]) if found else ""


def _first_line(text: str) -> str:
    """The service's own message if there is one, else the first line, at most 300 characters."""
    found = re.search(r"<Message>(.*?)</Message>", text)
    return (found[1] if found else text.splitlines()[0])[:300]


STORAGE_ERRORS = (BaseError, OSError, ValueError)
"""What obstore raises."""
