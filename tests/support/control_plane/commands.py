"""The command lines of the control plane's programs."""

from pathlib import Path

from support.control_plane.access import Authority


def etcd(work: Path, port: int, peer_port: int) -> list[str]:
    """A store that needn't outlive its machine."""
    address, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        *("--data-dir", str(work / "etcd"), "--unsafe-no-fsync", "--log-level", "error"),
        *("--listen-client-urls", address, "--advertise-client-urls", address),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"default={peer}"),
    ]


def api_server(work: Path, etcd_port: int, port: int, users: Authority) -> list[str]:
    """A server that knows an administrator by token, users by certificate, and service accounts; RBAC decides."""
    key = str(accounts_key(work))
    return [
        *("--etcd-servers", f"http://127.0.0.1:{etcd_port}", "--bind-address", "127.0.0.1", "--secure-port", str(port)),
        *("--cert-dir", str(work / "certificates"), "--token-auth-file", str(work / "tokens.csv")),
        *("--client-ca-file", str(users.certificate), "--authorization-mode", "RBAC"),
        *("--service-account-issuer", "https://tests", "--service-account-key-file", key),
        *("--service-account-signing-key-file", key, "--service-cluster-ip-range", "10.0.0.0/24"),
    ]


def controllers(work: Path, kubeconfig: Path, trusted: Path, port: int) -> list[str]:
    """Every usual controller but the one that watches nodes: tests set the state of theirs, which have no kubelet."""
    return [
        *("--kubeconfig", str(kubeconfig), "--authentication-kubeconfig", str(kubeconfig)),
        *("--authorization-kubeconfig", str(kubeconfig), "--leader-elect=false"),
        *("--bind-address", "127.0.0.1", "--secure-port", str(port), "--cert-dir", str(work / "controllers")),
        *("--service-account-private-key-file", str(accounts_key(work)), "--root-ca-file", str(trusted)),
        *("--controllers", "*,-node-lifecycle-controller"),
    ]


def accounts_key(work: Path) -> Path:
    """The key that signs the tokens of service accounts."""
    return work / "accounts.key"
