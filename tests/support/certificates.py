"""A certificate authority that nobody knows, and a certificate by it for 127.0.0.1: made anew by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority's certificate, and the server's with its key."""

    authority: Path
    server: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and a certificate of 127.0.0.1 into `folder`."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    made = Certificates(authority, folder / "server.pem", folder / "server.key")
    _openssl("-subj", "/CN=nobody", "-out", authority, "-keyout", authority_key)
    address = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    signed = ["-CA", authority, "-CAkey", authority_key]
    _openssl("-subj", "/CN=127.0.0.1", *address, *signed, "-out", made.server, "-keyout", made.key)
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([*_NEW, *map(str, arguments)], check=True, capture_output=True)
