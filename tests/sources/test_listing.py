"""Which files a job's data consists of."""

from pathlib import Path

import pytest

from support.s3_server import S3Server
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data, GivenSplits
from trainyard_storage import open_store
from trainyard_storage.source import SourceListing, list_source


def listed(uri: Path | str, storage: str | None = None, **fields: object) -> SourceListing:
    return list_source(Data.model_validate({"uri": str(uri), **fields}), Storage(uri=storage))


def names(listing: SourceListing) -> list[str]:
    return [file.key for file in listing.files]


RESULT = "runs/default/job/0123456789ab/x.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "sub/c.csv", "notes.txt", ".hidden.csv", "_SUCCESS.csv", RESULT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x,y\n1,2\n")
    return tmp_path


def test_a_folder_a_file_a_pattern(folder: Path) -> None:
    assert names(listed(folder, str(folder / "runs"))) == ["a.csv", "b.csv", "sub/c.csv"]
    assert names(listed(folder / "a.csv")) == ["a.csv"]
    assert names(listed(f"file://{folder}/*.csv")) == ["a.csv", "b.csv"]
    assert names(listed(folder / "**" / "c.csv")) == ["sub/c.csv"]
    assert names(listed(folder / "[ab].c?v")) == ["a.csv", "b.csv"]
    assert names(listed(folder / "notes.txt", format="csv")) == ["notes.txt"]


def test_what_is_there_by_that_very_name_is_no_pattern(folder: Path, s3: S3Server) -> None:
    for name in ("[ab].csv", "what?/d.csv", "[2024] final/e.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x\n1\n")
    assert names(listed(folder / "[ab].csv")) == ["[ab].csv"]
    assert names(listed(folder / "what?")) == ["d.csv"]
    assert names(listed(folder / "[2024] final" / "e.csv")) == ["e.csv"]
    assert names(listed(folder / "[2024] final")) == ["e.csv"]
    assert names(listed(folder / "[ab].cs?")) == ["a.csv", "b.csv"]
    bucket = s3.bucket()
    open_store(bucket).put("run [1]/a.csv", b"x\n1\n")
    assert names(listed(f"{bucket}/run [1]")) == names(listed(f"{bucket}/run [1]/a.csv")) == ["a.csv"]


def test_the_digest_changes_with_the_bytes_alone(folder: Path) -> None:
    before = listed(folder / "*.csv")
    assert listed(folder / "*.csv").digest() == before.digest()
    assert before.bytes == 16
    (folder / "a.csv").write_text("x,y\n1,3\n")
    assert listed(folder / "*.csv").digest() != before.digest()


def test_formats_by_name(tmp_path: Path) -> None:
    for name, expected in (("x.parquet", "parquet"), ("x.jsonl", "jsonl"), ("x.tar", "webdataset")):
        (tmp_path / name).write_text("x")
        assert listed(tmp_path / name).format == expected
    with pytest.raises(TrainyardError, match="jsonl and parquet and webdataset"):
        listed(tmp_path)
    assert names(listed(tmp_path, format="jsonl")) == ["x.jsonl"]


def test_given_splits(folder: Path) -> None:
    data = Data(splits=GivenSplits(train=str(folder / "b.csv"), test=str(folder / "a.csv")))
    listing = list_source(data, Storage())
    assert [(file.split, file.key) for file in listing.files] == [("test", "a.csv"), ("train", "b.csv")]


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(TrainyardError, match=r"Did you mean .*/sub\?"):
        listed(folder / "sbu")
    with pytest.raises(TrainyardError, match="no data"):
        listed(folder / "*.parquet")


def test_of_a_bucket(s3: S3Server) -> None:
    bucket = s3.bucket()
    store = open_store(bucket)
    for key in ("data/a.csv", "data/b.csv", "other/c.csv"):
        store.put(key, b"x\n1\n")
    assert names(listed(f"{bucket}/data")) == ["a.csv", "b.csv"]
    assert names(listed(f"{bucket}/data/")) == ["a.csv", "b.csv"]
    assert names(listed(f"{bucket}/data/*.csv")) == ["a.csv", "b.csv"]
    assert names(listed(f"{bucket}/data/a.csv")) == ["a.csv"]
    assert names(listed(bucket)) == ["data/a.csv", "data/b.csv", "other/c.csv"]
    assert listed(f"{bucket}/data/b.csv").files[0].uri == f"{bucket}/data/b.csv"
    with pytest.raises(TrainyardError, match="no data"):
        listed(f"{bucket}/nothing")
    with pytest.raises(TrainyardError, match="bucket does not exist"):
        listed(f"{s3.missing_bucket()}/data/*.csv")


def test_data_may_lie_beside_the_results(folder: Path) -> None:
    """`trainyard submit` puts a manifest's data under storage.uri."""
    (folder / "runs" / "uploaded.csv").write_text("x\n1\n")
    for place in ("runs", "runs/uploaded.csv", "runs/*.csv", "runs/**"):
        assert names(listed(folder / place, str(folder / "runs"))) == ["uploaded.csv"]


def test_results_and_hidden_files_are_no_data_and_the_error_says_so(folder: Path) -> None:
    with pytest.raises(TrainyardError, match=r"results of a run under storage\.uri") as caught:
        listed(folder / "runs", str(folder / "runs"))
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(TrainyardError, match="only hidden files"):
        listed(folder / "_SUCCESS.csv")
