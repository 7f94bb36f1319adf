"""Storage that fails while Parquet is read where it lies: told as what it is, not as a damaged file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from support.faulty_proxy import Fault, faulty_proxy
from support.s3_server import S3Server
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data, ImageShape
from trainyard_storage import backends, open_store
from trainyard_trainer.sources import BadSamples, Source, SourceListing, list_source, open_source


@dataclass
class Remote:
    """A Parquet file in a bucket, behind a proxy that does `fault` to every request."""

    data: Data
    storage: Storage
    scratch: Path
    fault: Fault = "ok"

    def listing(self) -> SourceListing:
        return list_source(self.data, self.storage)

    def open(self, listing: SourceListing) -> Source:
        return open_source(listing, self.data, self.storage, ImageShape(), self.scratch, BadSamples())

    def delete(self) -> None:
        store = open_store(str(self.data.uri), self.storage)
        store.delete([info.key for info in store.list()])


@pytest.fixture
def remote(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setattr(backends, "_RETRY", {"max_retries": 1})
    bucket = s3.bucket()
    pl.DataFrame({"a": range(1000)}).write_parquet(tmp_path / "t.parquet")
    open_store(bucket).upload(tmp_path / "t.parquet", "t.parquet")
    with faulty_proxy(s3.endpoint, lambda method, path: found.fault) as proxy:
        found = Remote(Data(uri=bucket), Storage(endpoint=proxy.endpoint), tmp_path / "scratch")
        yield found


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_before_the_columns_are_known(remote: Remote, fault: Fault) -> None:
    listing = remote.listing()
    remote.fault = fault
    with pytest.raises(TrainyardError) as caught:
        remote.open(listing)
    assert (caught.value.cause, caught.value.code) == ("StorageUnreachable", ExitCode.INFRASTRUCTURE)
    assert caught.value.where == listing.files[0].uri


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_while_rows_are_read(remote: Remote, fault: Fault) -> None:
    source = remote.open(remote.listing())
    remote.fault = fault
    with pytest.raises(TrainyardError) as caught:
        list(source.frames([pl.all()]))
    assert (caught.value.cause, caught.value.code) == ("StorageUnreachable", ExitCode.INFRASTRUCTURE)


def test_a_file_that_goes_away(remote: Remote) -> None:
    listing = remote.listing()
    remote.delete()
    with pytest.raises(TrainyardError, match="is gone") as caught:
        remote.open(listing)
    assert caught.value.where == listing.files[0].uri
