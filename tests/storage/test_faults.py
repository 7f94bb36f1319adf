"""What a person is told when storage fails, and what is survived without a word."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from support.commands import like_anybody
from support.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from support.s3_server import S3Server
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.job import Storage
from trainyard_storage import Store, backends, digest, open_store

Call = Callable[[Store], object]
CALLS: dict[str, Call] = {
    "get": lambda store: store.get("x"),
    "put": lambda store: store.put("x", b"1"),
    "large put": lambda store: store.put("x", [b"1" * 6_000_000] * 2),
    "head": lambda store: store.head("x"),
    "list": lambda store: list(store.list()),
    "delete": lambda store: store.delete(["x"]),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
CHANGES = pytest.mark.parametrize("call", [CALLS[name] for name in ("put", "large put", "delete")])


def error(call: Call, store: Store) -> TrainyardError:
    with pytest.raises(TrainyardError) as caught:
        call(store)
    assert caught.value.where.startswith(store.uri)
    assert caught.value.remedy
    assert "Debug source" not in str(caught.value)
    return caught.value


@EVERY_CALL
def test_refused_connection(s3: S3Server, call: Call) -> None:
    store = open_store("s3://bucket/x", Storage(endpoint="http://127.0.0.1:1"))
    told = error(call, store)
    assert (told.cause, told.code) == ("StorageUnreachable", ExitCode.INFRASTRUCTURE)


@EVERY_CALL
def test_wrong_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    bucket = s3.bucket()
    for name, value in s3.stranger().items():
        monkeypatch.setenv(name, value)
    told = error(call, open_store(bucket))
    assert (told.cause, told.code) == ("StorageDenied", ExitCode.INVALID)


def test_no_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TrainyardError, match="No credentials") as caught:
        open_store("s3://bucket/x")
    assert caught.value.cause == "StorageDenied"


@EVERY_CALL
def test_missing_bucket(s3: S3Server, call: Call) -> None:
    told = error(call, open_store(s3.missing_bucket()))
    assert (told.cause, told.code) == ("BucketMissing", ExitCode.INVALID)


@CHANGES
def test_read_only_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    bucket = s3.bucket()
    open_store(bucket).put("y", b"1")
    for name, value in s3.reader(bucket).items():
        monkeypatch.setenv(name, value)
    store = open_store(bucket)
    assert store.get("y") == b"1"
    assert [info.key for info in store.list()] == ["y"]
    assert error(call, store).cause == "StorageReadOnly"


FULL = """
import resource, sys
from trainyard_api.errors import TrainyardError
from trainyard_storage import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
data = b"x" * int(sys.argv[2])
try:
    store.put("x", data)
except TrainyardError as error:
    print(error.cause)
print([info.key for info in store.list()])
"""


@pytest.mark.parametrize("size", [2_000_000, 20_000_000])
def test_disk_full_leaves_nothing(tmp_path: Path, size: int) -> None:
    """A limit on file size stands for a full disk; in a process of its own, as it can't be lifted again."""
    folder = tmp_path / "store"
    run = subprocess.run(
        [sys.executable, "-B", "-c", FULL, folder, str(size)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "DiskFull\n[]\n"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


PUT = """
import sys
from trainyard_api.errors import TrainyardError
from trainyard_storage import open_store
try:
    open_store(sys.argv[1]).put("y", b"2")
except TrainyardError as error:
    print(error.cause)
"""


def test_read_only_folder(tmp_path: Path) -> None:
    """In a process that may write no more than anybody may."""
    tmp_path.chmod(0o500)
    command = [sys.executable, "-c", PUT, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=like_anybody)
    assert run.stdout == "StorageReadOnly\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "A file is where a folder" in error(CALLS["put"], open_store(str(tmp_path / "file"))).what


# --- faults on the way, by a proxy ------------------------------------------------------------------------------


Through = Callable[[Callable[[str, str], Fault]], tuple[Store, FaultyProxy]]


@pytest.fixture
def through(s3: S3Server) -> Iterator[Through]:
    """Gives a store in a fresh bucket whose requests pass a proxy with the given faults, and the proxy."""
    with ExitStack() as stack:

        def build(choose: Callable[[str, str], Fault]) -> tuple[Store, FaultyProxy]:
            proxy = stack.enter_context(faulty_proxy(s3.endpoint, choose))
            return open_store(s3.bucket(), Storage(endpoint=proxy.endpoint)), proxy

        yield build


def every(number: int, fault: Fault, method: str = "GET") -> Callable[[str, str], Fault]:
    """`fault` for every `number`th request by `method`, beginning with the first."""
    counter = count()
    return lambda used, path: fault if used == method and next(counter) % number == 0 else "ok"


@pytest.mark.parametrize("fault", ["cut", "busy", "reset"])
def test_reads_survive_a_bad_line(through: Through, fault: Fault) -> None:
    store, proxy = through(every(3, fault))
    data = bytes(range(256)) * 2000
    for number in range(6):
        store.put(f"x{number}", data)
    for number in range(6):
        assert store.get(f"x{number}") == data
    assert sum(request[2] == fault for request in proxy.requests) >= 2


def test_writes_survive_503s(through: Through) -> None:
    store, _ = through(every(2, "busy", "PUT"))
    for number in range(4):
        store.put(f"x{number}", b"1")
    assert len(list(store.list())) == 4


def test_writes_survive_those_of_others(through: Through, tmp_path: Path) -> None:
    """Two nodes that write side by side: some services answer 409, though neither asks that there be nothing yet."""
    store, _ = through(every(2, "conflict", "PUT"))
    (tmp_path / "file").write_bytes(b"2")
    store.put("x", b"1")
    store.upload(tmp_path / "file", "x")
    assert store.get("x") == b"2"


def test_conflicts_without_end_are_told(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard_storage.store._CONFLICT_SECONDS", (0.0, 0.0))
    store, _ = through(lambda method, path: "conflict" if method == "PUT" else "ok")
    with pytest.raises(TrainyardError, match="409") as told:
        store.put("x", b"1")
    assert told.value.code == ExitCode.INFRASTRUCTURE


def test_a_storm_of_503s_ends_in_an_error(through: Through) -> None:
    store, proxy = through(lambda method, path: "busy")
    told = error(CALLS["get"], store)
    assert (told.cause, told.code) == ("StorageUnreachable", ExitCode.INFRASTRUCTURE)
    assert len(proxy.requests) == 1 + int(backends._RETRY["max_retries"])


def test_a_silent_service_is_given_up(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_SILENCE", "300ms")
    monkeypatch.setattr(backends, "_RETRY", {"max_retries": 1})
    store, proxy = through(lambda method, path: "silent")
    assert error(CALLS["get"], store).cause == "StorageUnreachable"
    assert len(proxy.requests) == 2


def test_a_flipped_bit_is_read_again_once(through: Through) -> None:
    """obstore takes a flipped bit as good: only the digest tells."""
    store, proxy = through(every(3, "flip"))
    data = bytes(range(256)) * 100
    store.put("x", data)
    assert store.get("x") != data
    assert store.get("x", xxh3=digest(data)) == data
    store.get("x")  # the third GET; the fourth is flipped
    assert store.get("x", xxh3=digest(data)) == data
    assert [fault for method, _, fault in proxy.requests if method == "GET"] == ["flip", "ok", "ok", "flip", "ok"]


def test_bits_flipped_for_ever_end_in_an_error(through: Through) -> None:
    store, _ = through(every(1, "flip"))
    store.put("x", b"12345")
    told = error(lambda store: store.get("x", xxh3=digest(b"12345")), store)
    assert (told.cause, told.where) == ("DataCorrupt", store.url("x"))


def test_a_download_cut_short_again_and_again_leaves_no_file(through: Through, tmp_path: Path) -> None:
    store, _ = through(every(1, "cut"))
    store.put("x", b"1" * 100_000)
    told = error(lambda store: store.download("x", tmp_path / "copy"), store)
    assert told.cause == "StorageUnreachable"
    assert list(tmp_path.iterdir()) == []


def test_only_one_of_two_conditional_puts_wins(s3: S3Server) -> None:
    store = open_store(s3.bucket())

    def claim(number: int) -> bool:
        try:
            store.put("marker", str(number).encode(), if_absent=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(16)))
    assert sum(won) == 1
    assert store.get("marker") == str(won.index(True)).encode()


def test_a_store_is_not_used_after_a_fork(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("x", b"1")
    child = os.fork()
    if child == 0:
        try:
            store.get("x")
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
