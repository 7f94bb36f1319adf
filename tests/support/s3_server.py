"""A real S3 server for tests: versitygw on a free port of this machine, over a temporary folder.

`python -m support.s3_server` builds the server if it isn't there, and prints where it is.
"""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from support import go
from support.certificates import Certificates
from trainyard_launcher.ports import free_port

VERSION = "v1.8.0"
_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
_ACCESS_KEY = "trainyard-tests"
_SECRET_KEY = "not-a-secret"  # of a server on loopback that lives for one test session


def binary() -> Path:
    """The server's program: $TRAINYARD_VERSITYGW, or the one in the cache, built by Go if need be.

    Raises RuntimeError, naming what to install, if it can't be built.
    """
    if named := os.environ.get("TRAINYARD_VERSITYGW"):
        return Path(named)
    return go.installed(_PACKAGE, VERSION)


@dataclass
class S3Server:
    """A running server. `bucket()` gives a fresh bucket to whoever needs one."""

    endpoint: str
    access_key: str = _ACCESS_KEY
    secret_key: str = _SECRET_KEY
    region: str = "us-east-1"
    certificates: Certificates | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def environment(self) -> dict[str, str]:
        """The variables by which a process finds this server as its owner."""
        bundle = {"AWS_CA_BUNDLE": str(self.certificates.authority)} if self.certificates else {}
        return _variables(self.endpoint, self.access_key, self.secret_key, self.region) | bundle

    def bucket(self) -> str:
        """The URI of a fresh, empty bucket: s3://name."""
        name = f"bucket-{next(self._numbers)}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def missing_bucket(self) -> str:
        """The URI of a bucket that does not exist."""
        return f"s3://missing-{next(self._numbers)}"

    def reader(self, bucket: str) -> dict[str, str]:
        """The variables of a user who may list and read `bucket` (s3://name), and nothing else."""
        name = bucket.removeprefix("s3://")
        user = f"reader-{next(self._numbers)}"
        admin = [str(binary()), "admin", "-a", self.access_key, "-s", self.secret_key, "--er", self.endpoint]
        new_user = ["create-user", "--access", user, "--secret", _SECRET_KEY, "--role", "user"]
        subprocess.run(admin + new_user, check=True, capture_output=True)
        allowed = {
            "Effect": "Allow",
            "Principal": {"AWS": [user]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.client().put_bucket_policy(Bucket=name, Policy=policy)
        return _variables(self.endpoint, user, _SECRET_KEY, self.region)

    def stranger(self) -> dict[str, str]:
        """The variables of somebody who has this server's key but the wrong secret."""
        return _variables(self.endpoint, self.access_key, "wrong", self.region)

    def client(self) -> Any:
        """A boto3 client of the owner, for looking behind the code under test."""
        import boto3

        session = boto3.Session(self.access_key, self.secret_key, region_name=self.region)
        verify = str(self.certificates.authority) if self.certificates else None
        return session.client("s3", endpoint_url=self.endpoint, verify=verify)


@contextlib.contextmanager
def serve(folder: Path, certificates: Certificates | None = None) -> Iterator[S3Server]:
    """A server over `folder`, on a free port of 127.0.0.1, by TLS with `certificates`; stopped at the end."""
    program = binary()
    for _ in range(5):  # another process may take the port between finding it and using it
        port = free_port()
        with (folder / "versitygw.log").open("ab") as log:
            command = _command(program, folder, port, certificates)
            process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
        try:
            if _answers(process, port, certificates):
                yield S3Server(f"http{'s' if certificates else ''}://127.0.0.1:{port}", certificates=certificates)
                return
        finally:
            process.terminate()
            process.wait(10)
    raise RuntimeError(f"versitygw doesn't start: {(folder / 'versitygw.log').read_text()[-2000:]}")


def _command(program: Path, folder: Path, port: int, certificates: Certificates | None) -> list[str]:
    for name in ("buckets", "users", "sidecar"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    command = [str(program), "--port", f"127.0.0.1:{port}", "--health", "/health", "--quiet"]
    if certificates:
        command += ["--cert", str(certificates.server), "--key", str(certificates.key)]
    command += ["--iam-dir", str(folder / "users"), "posix"]
    if not _extended_attributes(folder):
        command += ["--sidecar", str(folder / "sidecar")]
    return [*command, str(folder / "buckets")]


def _environment() -> dict[str, str]:
    return {**os.environ, "ROOT_ACCESS_KEY": _ACCESS_KEY, "ROOT_SECRET_KEY": _SECRET_KEY, "GOMAXPROCS": "1"}


def _extended_attributes(folder: Path) -> bool:
    """Whether the file system keeps the user attributes in which versitygw stores ETags."""
    try:
        os.setxattr(folder, "user.trainyard", b"1")
    except OSError:
        return False
    return True


def _answers(process: subprocess.Popen[bytes], port: int, certificates: Certificates | None) -> bool:
    """True once the server answers, False if it has ended or is silent for 10 s."""
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if certificates:
                trust = ssl.create_default_context(cafile=certificates.authority)
                connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=1, context=trust)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return True
        time.sleep(0.01)
    return False


def _variables(endpoint: str, access_key: str, secret_key: str, region: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{binary()}\n")
    except RuntimeError as error:
        sys.exit(str(error))
