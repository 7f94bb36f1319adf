"""Who may speak to the control plane: an authority for users' certificates, and kubeconfig files."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EC = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]


@dataclass(frozen=True)
class Authority:
    """Signs certificates of users, in `folder`; the API server believes it."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The authority's own certificate, made at the first call."""
        path = self.folder / "users.crt"
        if not path.exists():
            _openssl("-subj", "/CN=users", "-out", path, "-keyout", self.folder / "users.key")
        return path

    def user(self, name: str, groups: tuple[str, ...] = ()) -> dict[str, str]:
        """The credentials of user `name` in `groups`, as a kubeconfig's user has them."""
        stem = "-".join([name, *groups]).replace(":", "-")
        certificate, key = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        if not certificate.exists():
            subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
            signed: list[str | Path] = ["-CA", self.certificate, "-CAkey", self.folder / "users.key"]
            use = ["-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=critical,CA:FALSE"]
            _openssl("-subj", subject, *use, *signed, "-out", certificate, "-keyout", key)
        return {"client-certificate": str(certificate), "client-key": str(key)}


def write_kubeconfig(path: Path, url: str, trusted: Path, user: dict[str, str], namespace: str = "default") -> Path:
    """Write a kubeconfig (in JSON, which is YAML) with one cluster and one `user`."""
    context = {"cluster": "tests", "user": "tests", "namespace": namespace}
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": url, "certificate-authority": str(trusted)}}],
        "users": [{"name": "tests", "user": user}],
        "contexts": [{"name": "tests", "context": context}],
        "current-context": "tests",
    }
    path.write_text(json.dumps(content))
    return path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([*_EC, *map(str, arguments)], check=True, capture_output=True)
