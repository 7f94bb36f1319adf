"""Where credentials come from, beside the environment: a profile's file, and a role by way of a container's agent."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from support.s3_server import S3Server
from trainyard_storage import Store, open_store


@pytest.fixture
def bare(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with everything in the environment but credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    return s3


def works(store: Store, tmp_path: Path) -> None:
    """Bytes go there and back, and Polars reads them too."""
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    store.upload(tmp_path / "t.parquet", "t.parquet")
    assert store.get("t.parquet") == (tmp_path / "t.parquet").read_bytes()
    found = pl.scan_parquet(store.url("t.parquet"), storage_options=store.polars_options(), credential_provider=None)
    assert found.collect()["a"].to_list() == [1, 2]


def test_a_profile(bare: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = f"aws_access_key_id = {bare.access_key}\naws_secret_access_key = {bare.secret_key}\n"
    others = "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n"
    (tmp_path / "credentials").write_text(f"{others}[team]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    works(open_store(bare.bucket()), tmp_path)


@pytest.fixture
def agent(bare: S3Server) -> Iterator[str]:
    """An endpoint that gives the keys of a role for an hour, as the agents of ECS and EKS do."""

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            end = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = {"AccessKeyId": bare.access_key, "SecretAccessKey": bare.secret_key, "Expiration": end}
            body = json.dumps(keys | {"Token": ""}).encode()  # versitygw knows no sessions
            self.send_response(200 if self.headers["Authorization"] == "this pod" else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


def test_a_role(bare: S3Server, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "this pod")
    works(open_store(bare.bucket()), tmp_path)
