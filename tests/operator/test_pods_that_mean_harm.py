"""Whatever a pod says of itself, the operator goes on, other jobs go on, and nothing but plain words is passed on."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.cluster import Namespace, Object, until
from support.operator_process import OperatorProcess
from support.report_server import Answer, ReportServer, document, http, report_server, told
from trainyard_api.status import Status

ESCAPE = "\x1b[2J\x07\u202e\x00"
HOSTILE_FAULT = {"cause": f"User{ESCAPE}Error " + "x" * 300, "message": f"no {ESCAPE} column", "rank": 10**18}
# The most a message may have on its way through the API server.
MESSAGES = {
    "nothing": "",
    "no JSON": "{",
    "deeply nested": "[" * 4096,
    "a nested document": '{"version": 1, "fault": ' + '{"fault": ' * 400,
    "wrong types": document(restarts="many", fault=[1], progress=7),
    "numbers without end": document(restarts=10**400),
    "not a number": '{"version": 1, "progress": {"loss": NaN, "samplesPerSecond": Infinity}}',
    "a rank of 4000 digits": '{"version": 1, "fault": {"cause": "A", "message": "b", "rank": ' + "9" * 4000 + "}}",
    "half a letter": '{"version": 1, "stage": "\\ud800"}',
    "control characters": document(fault=HOSTILE_FAULT),
    "lines": f"{ESCAPE}\r\n\t{ESCAPE}last words\u2028{ESCAPE}",
    "restarts beyond counting": document(restarts=2_147_483_647, fault={"cause": "", "message": ""}),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_last_words_of_any_kind_are_borne(space: Namespace, message: str) -> None:
    space.create("digits", nodes=1, recovery={"maxRestarts": 0})
    space.run_all("digits", 1)
    space.end("digits-0", 1, message)
    _is_plain(space.when("digits", phase="Failed"))
    _events_are_plain(space)


def _stream(head: bytes, part: bytes) -> Answer:
    return lambda over: _without_end(over, head, part)


def _without_end(over: threading.Event, head: bytes, part: bytes) -> Iterator[bytes]:
    yield head
    while not over.is_set():
        yield part


def _once(body: bytes) -> Answer:
    return lambda over: [body]


def _drip(over: threading.Event) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    while not over.wait(0.05):
        yield b" "


def _random(seed: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(chance.randrange(4000)) for _ in range(8)]


def _answers(seed: int) -> dict[str, Answer]:
    whole = {f"random body {index}": http(body) for index, body in enumerate(_random(seed))}
    whole |= {f"random {index}": body for index, body in enumerate(_random(seed + 1))}
    whole |= {name: http(message.encode(errors="surrogatepass")) for name, message in MESSAGES.items()}
    whole |= {
        "10,000 brackets": http(b"[" * 10_000),
        "too long": http(document(stage="x" * 20_000).encode()),
        "no gzip": http(b"nonsense", Content_Encoding="gzip"),
        "no length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        "a length that is a lie": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
        "long headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
        "another encoding": http(document().encode("utf-16"), Content_Type="application/json; charset=utf-16"),
        "cookies": http(document().encode(), Set_Cookie="a\x01=b;;;=;"),
        "an error": http(document(stage="train").encode(), "500 No"),
        "silence": b"",
    }
    found: dict[str, Answer] = {name: _once(body) for name, body in whole.items()}
    found["without end"] = _stream(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65536)
    found["headers without end"] = _stream(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000)
    found["continue without end"] = _stream(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    found["drop by drop"] = _drip
    return found


def test_answers_of_any_kind_are_borne_and_other_jobs_go_on(space: Namespace, shared_operator: OperatorProcess) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    answers = _answers(seed)
    before = shared_operator.memory()
    with ExitStack() as stack:
        servers = [stack.enter_context(report_server()) for _ in answers]
        for server, answer in zip(servers, answers.values(), strict=True):
            server.answer = answer
        for index, server in enumerate(servers):
            space.create(f"bad-{index}", nodes=1)
            _run(space, f"bad-{index}", server)
        good = stack.enter_context(report_server())
        good.tell(stage="train", progress={"step": 7})
        space.create("digits", nodes=1)
        _run(space, "digits", good)
        until("each was asked twice", lambda: all(server.asked > 1 for server in servers))
        until("the good one's progress is told", lambda: "progress" in space.status("digits"))
        for index in range(len(servers)):
            _is_plain(space.when(f"bad-{index}", phase="Running"))
    grown = shared_operator.memory() - before
    print(f"the operator has grown by {grown >> 10} KiB")  # noqa: T201
    assert grown < 64 << 20
    assert shared_operator.get("/healthz") == "ok"


def test_it_is_never_led_elsewhere(space: Namespace) -> None:
    with report_server() as pod, report_server(0) as victim:
        elsewhere = http(b"", "302 Found", Location=f"http://{victim.ip}:{victim.port}/latest/meta-data")
        pod.answer = lambda over: [elsewhere]
        space.create("digits", nodes=1)
        _run(space, "digits", pod)
        until("it was asked twice", lambda: pod.asked > 1)
        pod.answer = told(stage="train", progress={"step": 1})
        until("its progress is told", lambda: "progress" in space.status("digits"))
        assert victim.asked == 0
        assert all(b"authorization" not in request.lower() for request in pod.requests)


def test_what_is_told_of_checkpoint_and_model_is_plain(space: Namespace) -> None:
    with report_server() as pod:
        checkpoint = {"uri": f"s3://a{ESCAPE}b", "step": 1, "time": f"{ESCAPE}now"}
        pod.tell(stage="train", progress={"step": 1}, checkpoint=checkpoint, waiting=f"for{ESCAPE}you")
        space.create("digits", nodes=1)
        _run(space, "digits", pod)
        until("the checkpoint is told", lambda: "checkpoint" in space.status("digits"))
        _is_plain(space.status("digits"))
        model = {"uri": f"s3://{ESCAPE}", "digest": ESCAPE, "metrics": {f"loss{ESCAPE}": 1e308}}
        space.end("digits-0", 0, document(model=model))
        _is_plain(space.when("digits", phase="Complete"))
    _events_are_plain(space)


def test_a_secret_stays_where_it_is(space: Namespace, shared_operator: OperatorProcess) -> None:
    canary = f"canary-{random.randrange(1 << 64):x}"
    keys = {"AWS_ACCESS_KEY_ID": canary, "AWS_SECRET_ACCESS_KEY": canary}
    secret = {"metadata": {"name": "keys"}, "stringData": keys}
    space.call("POST", f"/api/v1/namespaces/{space.name}/secrets", secret)
    space.create("digits", nodes=1, storage={"uri": "s3://bucket/runs", "credentialsSecret": "keys"})
    space.run_all("digits", 1)
    space.end("digits-0", 1, "no such bucket")
    space.when("digits", reason="UserError")
    base = f"/api/v1/namespaces/{space.name}"
    told = [space.call("GET", f"{base}/{kind}") for kind in ("configmaps", "events", "pods", "services")]
    told += [space.get("digits"), shared_operator.log.read_text(), shared_operator.get("/metrics")]
    assert '"keys"' in json.dumps(told)
    assert canary not in json.dumps(told)


def _run(space: Namespace, name: str, launcher: ReportServer) -> None:
    space.created(name, 1)
    space.run(f"{name}-0", "node-0", launcher.ip)


def _is_plain(status: Object) -> None:
    Status.model_validate(status)
    text = json.dumps(status, ensure_ascii=False)
    assert text == "".join(letter for letter in text if letter.isprintable()), text


def _events_are_plain(space: Namespace) -> None:
    for event in space.events("digits"):
        assert event["message"].isprintable()
        assert event["reason"].isalnum()
