"""The same store over a folder and over S3."""

from pathlib import Path

import pytest

from support.s3_server import S3Server
from trainyard_api.errors import TrainyardError
from trainyard_storage import NotFound, Store, digest, open_store


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "file":
        return open_store(str(tmp_path / "a folder"))
    server: S3Server = request.getfixturevalue("s3")
    return open_store(f"{server.bucket()}/a folder")


def test_what_is_put_is_got(store: Store) -> None:
    store.put("x/one", b"1")
    store.put("x/none", b"")
    store.put("x/pieces", [b"ab", memoryview(b"cd"), bytearray(b"e")])
    assert store.get("x/one") == b"1"
    assert store.get("x/none") == b""
    assert store.get("x/pieces") == b"abcde"
    assert store.get_range("x/pieces", 1, 3) == b"bc"
    assert store.get_range("x/pieces", 2, 2) == b""
    assert store.child("x").get("one") == b"1"


def test_large_pieces_come_back_whole(store: Store) -> None:
    pieces = [bytes([number]) * 5_000_000 for number in range(4)]
    store.put("large", pieces)
    assert digest(store.view("large")) == digest(pieces)


@pytest.mark.parametrize("key", ["a b", "50%", "a%20b", "ä/ü", "a#b?c", "x+y=z&w", "[1]*"])
def test_a_name_is_its_own_address(store: Store, key: str) -> None:
    store.put(key, b"1")
    assert [info.key for info in store.list()] == [key]
    assert store.get(key) == b"1"
    assert store.url(key) == f"{store.uri}/{key}"


def test_listing_is_sorted_and_takes_any_prefix(store: Store) -> None:
    for key in ("b/2", "a", "b/1", "bc", "c/d/e"):
        store.put(key, b"123")
    assert [info.key for info in store.list()] == ["a", "b/1", "b/2", "bc", "c/d/e"]
    assert [info.key for info in store.list("b")] == ["b/1", "b/2", "bc"]
    assert [info.key for info in store.list("b/")] == ["b/1", "b/2"]
    assert [info.key for info in store.child("c").list("d/")] == ["d/e"]
    assert list(store.list("nothing/")) == []


def test_head_says_what_the_listing_says(store: Store) -> None:
    store.put("a/b", b"123")
    (listed,) = store.list("a/")
    assert store.head("a/b") == listed
    assert listed.size == 3
    assert listed.etag
    assert store.head("a") is None
    assert store.head("none") is None


def test_what_is_missing(store: Store) -> None:
    with pytest.raises(NotFound, match="none"):
        store.get("none")
    with pytest.raises(NotFound):
        store.get_range("none", 0, 1)
    assert store.get_json("none") is None
    store.delete(["none"])


def test_delete(store: Store) -> None:
    for key in "abc":
        store.put(key, b"")
    store.delete(["a", "none", "b"])
    assert [info.key for info in store.list()] == ["c"]
    store.delete([])


def test_only_the_first_conditional_put_succeeds(store: Store) -> None:
    store.put("marker", b"first", if_absent=True)
    with pytest.raises(FileExistsError, match="marker"):
        store.put("marker", [b"sec", b"ond"], if_absent=True)
    assert store.get("marker") == b"first"
    store.put("marker", b"third")
    assert store.get("marker") == b"third"


def test_json(store: Store) -> None:
    value = {"b": [1, 2.5, None], "a": "ä"}
    store.put_json("x.json", value)
    assert store.get("x.json") == '{"a":"ä","b":[1,2.5,null]}'.encode()
    assert store.get_json("x.json") == value
    store.put("x.json", b'{"a":')
    with pytest.raises(TrainyardError) as caught:
        store.get_json("x.json")
    assert caught.value.cause == "DataCorrupt"
    assert caught.value.where == store.url("x.json")


def test_files_go_up_and_down(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 80_000)  # 20 MB: several parts
    store.upload(source, "up/file")
    store.download("up/file", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == source.read_bytes()
    with pytest.raises(NotFound):
        store.download("none", tmp_path / "new" / "other")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy"]


def test_a_digest_is_checked(store: Store) -> None:
    store.put("x", b"right")
    assert store.get("x", xxh3=digest(b"right")) == b"right"
    with pytest.raises(TrainyardError) as caught:
        store.view("x", xxh3=digest(b"wrong"))
    assert caught.value.cause == "DataCorrupt"
    assert caught.value.where == store.url("x")


def test_polars_reads_it(store: Store, tmp_path: Path) -> None:
    import polars

    polars.DataFrame({"a": [1, 2, 3]}).write_parquet(tmp_path / "x")
    store.upload(tmp_path / "x", "p q/x.parquet")
    frame = polars.scan_parquet(store.url("p q/x.parquet"), storage_options=store.polars_options(), glob=False)
    assert frame.collect()["a"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("uri", ["gs://bucket/x", "s3://", "s3:///x", "http://host/x"])
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(TrainyardError) as caught:
        open_store(uri)
    assert caught.value.where == uri


@pytest.mark.parametrize("key", ["../x", "a/../../x"])
def test_no_key_leaves_the_store(store: Store, key: str) -> None:
    with pytest.raises(TrainyardError, match="Not a name"):
        store.put(key, b"")


def test_addresses_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("x/../runs").uri == open_store(f"file://{tmp_path}/runs/").uri == f"file://{tmp_path}/runs"
    assert not (tmp_path / "runs").exists()
