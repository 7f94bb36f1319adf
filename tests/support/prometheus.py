"""Prometheus and promtool: the machine's own, or those of Debian's package, unpacked into a cache; and a running one.

`python -m support.prometheus` gets them, and prints where they are.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainyard_launcher.ports import free_port

INSTALL = "sudo apt-get install prometheus"
CACHE = Path.home() / ".cache" / "trainyard" / "prometheus"
_START_SECONDS = 30


def binary(name: str) -> Path:
    """The program `name`: prometheus or promtool. Raises RuntimeError, naming what to install, if it can't be had."""
    if found := shutil.which(name):
        return Path(found)
    if not (CACHE / name).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            _unpack(Path(folder))
            for each in ("prometheus", "promtool"):
                Path(folder, "usr", "bin", each).replace(CACHE / each)
    return CACHE / name


def _unpack(folder: Path) -> None:
    """Debian's package, whose checksum apt checks, without installing it: no root is needed, and no server starts."""
    try:
        subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, check=True, capture_output=True, text=True)
        (package,) = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True, capture_output=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        raise RuntimeError(f"Prometheus (runs the alerts and the dashboards' queries): {INSTALL} ({said})") from error


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series `expression` gives now. Raises AssertionError with Prometheus' words if it's no expression."""
        text = urllib.parse.urlencode({"query": expression})
        try:
            found: list[dict[str, Any]] = self._get(f"query?{text}")["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {json.load(error).get('error')}") from error
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules it has, each with its `health` and its `alerts`."""
        return [rule for group in self._get("rules?type=alert")["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["data"]
        return found


@contextmanager
def prometheus(work: Path, scraped: list[dict[str, Any]], interval: str = "1s") -> Iterator[Prometheus]:
    """A server that scrapes the jobs `scraped` (as in its scrape_configs), with its files under `work`."""
    port = free_port()
    settings = work / "prometheus.yml"
    settings.write_text(yaml.safe_dump({"global": {"scrape_interval": interval}, "scrape_configs": scraped}))
    log = work / "prometheus.log"
    command = [str(binary("prometheus")), f"--config.file={settings}", f"--storage.tsdb.path={work / 'data'}"]
    with log.open("wb") as output:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _START_SECONDS
        while not _is_ready(running):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus doesn't start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield running
    finally:
        server.terminate()
        server.wait(10)


def _is_ready(server: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{binary('prometheus')}\n")
    except RuntimeError as error:
        sys.exit(str(error))
