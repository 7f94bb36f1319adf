"""While nothing changes nothing is written: not at a resync, not at a restart, and progress only now and then."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.api_proxy import ApiProxy
from support.cluster import Namespace, job, until
from support.forked_operator import an_operator

RESYNCS = 100


def in_every_phase(space: Namespace) -> dict[str, str]:
    """Jobs that stay as they are, by name, each in the phase that is named."""
    space.create("pending", nodes=1)
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
    space.created("pending", 1)
    space.pod_status("pending-0", conditions=[waits])
    space.create("starting", nodes=1)
    space.created("starting", 1)
    space.bind("starting-0")
    for name in ("running", "complete", "failed", "restarting", "suspending"):
        space.create(name, nodes=1)
        space.run_all(name, 1)
    space.end("complete-0")
    space.end("failed-0", 2, "no such column")
    space.core.delete_namespaced_pod("restarting-0", space.name)  # no kubelet ever confirms it
    space.patch("suspending", suspend=True)
    space.create("suspended", nodes=1, suspend=True)
    invalid = job("invalid", space.name, nodes=1, storage={})
    space.call("POST", f"/apis/trainyard.dev/v1alpha1/namespaces/{space.name}/trainingjobs", invalid)
    phases = {name: name.capitalize() for name in ("pending", "starting", "running", "complete", "failed")}
    phases |= {name: name.capitalize() for name in ("restarting", "suspending", "suspended")} | {"invalid": "Pending"}
    for name, phase in phases.items():
        space.when(name, phase=phase)
    return phases


def test_a_hundred_resyncs_and_a_restart_write_nothing(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    with an_operator(proxy.through, tmp_path / "first", TRAINYARD_NAMESPACES=alone.name):
        jobs = in_every_phase(alone)
        until("the start was told of", lambda: alone.status("starting"))
    proxy.writes.clear()
    proxy.refused.clear()
    busy = {"TRAINYARD_RESYNC_SECONDS": "0.05", "TRAINYARD_NAMESPACES": alone.name}
    with an_operator(proxy.through, tmp_path / "second", **busy) as operator:
        until("all were looked at often", lambda: operator.looks() >= RESYNCS * len(jobs), 120)
    assert (proxy.writes, proxy.refused) == ([], [])


class Launcher(ThreadingHTTPServer):
    """What a launcher answers on its port."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {"version": 1, "stage": "train"}
        self.asked = 0
        super().__init__(("127.0.0.1", 9465), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Launcher

    def do_GET(self) -> None:
        self.server.asked += 1
        step = {"stage": "train", "step": self.server.asked, "steps": 100000}
        body = json.dumps({**self.server.report, "progress": step}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def launcher() -> Iterator[Launcher]:
    server = Launcher()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_progress_alone_is_written_now_and_then(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    quick = {"TRAINYARD_POLL_SECONDS": "0.05", "TRAINYARD_NAMESPACES": alone.name}
    never = {"reconcile.PROGRESS_SECONDS": 3600.0}
    with launcher() as server:
        with an_operator(proxy.through, tmp_path / "never", never, **quick):
            alone.create("digits", nodes=1)
            alone.run_all("digits", 1)
            until("it was asked often", lambda: server.asked > 5)
            alone.when("digits", reason="Running")
            until("progress is known", lambda: alone.status("digits").get("progress") or server.asked > 20)
            proxy.writes.clear()
            asked = server.asked
            until("it was asked often", lambda: server.asked > asked + 30)
            assert proxy.writes == []
        often = {"reconcile.PROGRESS_SECONDS": 1.0}
        with an_operator(proxy.through, tmp_path / "often", often, **quick):
            asked = server.asked
            until("it was written three times", lambda: len(proxy.writes) >= 3)
            assert server.asked > asked + 6
            assert set(proxy.writes) == {"PATCH trainingjobs/status"}
            assert not [each for each in alone.events("digits") if each["reason"] not in ("Running",)]
