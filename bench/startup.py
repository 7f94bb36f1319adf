"""How soon `trainyard --help`, `validate` and `status` answer, against what no command in Python can save.

That is Python with argparse; for `validate` Python with a YAML reader and pydantic; for `status`, which asks a small
web server in place of a cluster, Python with the reader of kubeconfigs. All alternate, each a process of its
own; medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TRAINYARD = str(Path(sys.executable).with_name("trainyard"))
MANIFEST = str(Path(__file__).parents[1] / "examples/digits/job.yaml")
JOB = {
    "metadata": {"name": "digits", "namespace": "default", "uid": "1", "generation": 1},
    "spec": {"nodes": 2},
    "status": {"phase": "Running", "reason": "Running", "message": "training", "observedGeneration": 1},
}


class Cluster(BaseHTTPRequestHandler):
    """Answers what `trainyard status` asks for: the job, its pods (none), events (none)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(JOB if self.path.endswith("/digits") else {"items": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def kubeconfig() -> Iterator[str]:
    """A kubeconfig for such a cluster."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cluster = {"name": "bench", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "bench", "context": {"cluster": "bench", "user": "bench"}}
        user = {"name": "bench", "user": {"token": "none"}}
        path = Path(folder, "kubeconfig")
        config = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "bench"}
        path.write_text(json.dumps(config))
        yield str(path)
        server.shutdown()


def seconds(command: list[str]) -> float:
    """From the start of a process to its end."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the time of each command and the ratio to its floor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with kubeconfig() as config:
        commands = {
            "--help": ([TRAINYARD, "--help"], "import argparse", 0.5),
            "validate": ([TRAINYARD, "validate", MANIFEST], "import yaml; from pydantic import BaseModel", 0.5),
            "status": ([TRAINYARD, "status", "digits", "--kubeconfig", config], "import kubernetes.config", 1.5),
        }
        for name, (command, floor, target) in commands.items():
            pairs = [(seconds(command), seconds([sys.executable, "-c", floor])) for _ in range(rounds + 1)][1:]
            print(f"trainyard {name}: {statistics.median(ours for ours, _ in pairs):.3f} s (target < {target})")
            print(f"ratio {name} against bare Python: {statistics.median(ours / bare for ours, bare in pairs):.2f}")


if __name__ == "__main__":
    main()
