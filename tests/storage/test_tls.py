"""S3 by TLS, with a certificate by an authority that only AWS_CA_BUNDLE knows."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from support.certificates import make_certificates
from support.commands import trainyard
from support.s3_server import S3Server, serve
from trainyard_api.errors import TrainyardError
from trainyard_storage import backends, open_store


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("tls")
    with serve(folder, make_certificates(folder)) as server:
        yield server


def test_bytes_go_there_and_back(secure: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in secure.environment().items():
        monkeypatch.setenv(name, value)
    store = open_store(secure.bucket())
    store.put("x", [b"1" * 6_000_000] * 2)
    assert store.get("x") == b"1" * 12_000_000
    monkeypatch.setattr(backends, "_RETRY", {"max_retries": 1})
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(TrainyardError) as caught:
        open_store(store.uri).get("x")
    assert caught.value.cause == "StorageUnreachable"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_data_is_read_by_the_command(secure: S3Server, name: str, tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [n / 7 for n in range(60)], "label": ["x", "y"] * 30})
    {"t.csv": table.write_csv, "t.parquet": table.write_parquet}[name](tmp_path / name)
    bucket = secure.bucket()
    secure.client().upload_file(str(tmp_path / name), bucket.removeprefix("s3://"), name)
    command = ["init", f"{bucket}/{name}", "--target", "label", "-o", "job.yaml"]
    done = trainyard(*command, folder=tmp_path, **secure.environment())
    assert done.returncode == 0, done.stderr
    assert "binary, 60 samples" in done.stdout
