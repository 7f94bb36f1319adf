"""What a launcher says of itself: to anyone who asks, whoever else asks, and at its end."""

import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.launched import wait_until
from trainyard_api.documents import Fault, NodeReport
from trainyard_api.errors import ExitCode
from trainyard_api.status import CheckpointStatus, Progress
from trainyard_launcher import serving
from trainyard_launcher.account import Account
from trainyard_launcher.node import Node, this_node
from trainyard_launcher.observer import Observer
from trainyard_launcher.ports import free_port
from trainyard_launcher.report import reporting
from trainyard_launcher.runtime import write_checkpoint
from trainyard_storage import open_store

CHECKPOINT = CheckpointStatus(uri="s3://b/c", step=40, time="2026-11-25T10:00:00Z")


def node() -> Node:
    return Node(0, "job-0.tj-job", "127.0.0.1", restarts=2, report_port=free_port())


def asked(port: int, path: str = "/report") -> NodeReport:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return NodeReport.model_validate_json(answer.read())


def test_it_tells_what_it_has_heard(tmp_path: Path) -> None:
    here, account = node(), Account(Observer(), restarts=2)
    with reporting(account, here):
        assert asked(here.report_port) == NodeReport(restarts=2)
        account.follow(tmp_path)
        account.stage("train")
        account.waiting("node 1 of 2")
        account.progress(Progress(step=41, steps=100))
        account.heartbeats()
        account.fault(Fault(cause="Killed", message="Rank 0 was killed."), 3)
        write_checkpoint(tmp_path, CHECKPOINT)
        said = asked(here.report_port)
        assert (said.stage, said.waiting, said.restarts, said.heartbeats) == ("train", "node 1 of 2", 3, True)
        assert said.progress is not None
        assert said.progress.step == 41
        assert said.fault is not None
        assert said.fault.cause == "Killed"
        assert said.checkpoint == CHECKPOINT
        account.begin()
        assert asked(here.report_port).progress is None
        with pytest.raises(urllib.error.HTTPError, match="404"):
            asked(here.report_port, "/etc/passwd")


def test_silent_and_rude_clients_keep_nobody_from_the_report() -> None:
    here, account = node(), Account(Observer())
    with reporting(account, here), ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", here.report_port)))
        rude = stack.enter_context(socket.create_connection(("127.0.0.1", here.report_port)))
        rude.sendall(b"\xff" * 100_000)
        assert asked(here.report_port) == NodeReport()


def test_a_crowd_is_turned_away_and_forgotten() -> None:
    here, account = node(), Account(Observer())
    with reporting(account, here):
        with ExitStack() as stack:
            crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", here.report_port))) for _ in range(100)]
            crowd[-1].settimeout(30)
            assert crowd[-1].recv(1) == b""
        assert asked(here.report_port) == NodeReport()


def test_a_crowd_that_stays_keeps_nobody_else_from_the_report() -> None:
    here, account = node(), Account(Observer())
    with reporting(account, here), ExitStack() as stack:
        for _ in range(100):
            theirs = socket.create_connection(("127.0.0.1", here.report_port), source_address=("127.0.0.2", 0))
            stack.enter_context(theirs)
        assert asked(here.report_port) == NodeReport()


def test_a_client_that_never_comes_to_its_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_SECONDS", 1.0)
    here, account = node(), Account(Observer())
    with reporting(account, here), socket.create_connection(("127.0.0.1", here.report_port)) as slow:

        def refused() -> bool:
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(refused, "it is hung up on")


def test_a_port_that_is_taken_means_no_report_and_no_harm() -> None:
    said: list[str] = []

    class Listener(Observer):
        def notice(self, text: str) -> None:
            said.append(text)

    here = node()
    with socket.create_server(("", here.report_port)), reporting(Account(Listener()), here):
        pass
    assert "No report is served" in said[0]


def test_the_last_word_names_the_model_and_no_fault_that_was_overcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_TERMINATION_LOG", str(tmp_path / "termination"))
    store = open_store(str(tmp_path / "run"))
    store.put_json("PUBLISHED.json", {"uri": "s3://b/model/1", "digest": "0123", "version": "1"})
    store.put_json("evaluation.json", {"metrics": {"accuracy": 0.9, "auc": None}})
    account = Account(Observer())
    account.fault(Fault(cause="Killed", message="Rank 0 was killed."), 1)
    account.published(store)
    account.close(ExitCode.OK, None, tmp_path, in_pod=True)
    said = NodeReport.model_validate_json((tmp_path / "termination").read_bytes())
    assert said.fault is None
    assert said.restarts == 1
    assert said.model is not None
    assert (said.model.uri, said.model.digest, said.model.metrics) == ("s3://b/model/1", "0123", {"accuracy": 0.9})


def test_a_node_is_what_its_environment_says() -> None:
    assert this_node({}) is None
    found = this_node({"TRAINYARD_NODE_INDEX": "3", "TRAINYARD_RESTARTS": "2", "POD_IP": "10.0.0.9"})
    assert found == Node(3, "", "10.0.0.9", restarts=2, report_port=9465)
    assert not found.leads
