"""A storage that takes its time is no hang: whoever waits for an upload says so by its heartbeat."""

from pathlib import Path

import pytest

from support.faulty_proxy import Held, faulty_proxy
from support.s3_server import S3Server
from support.training import TrainingRun, table
from trainyard_launcher.runtime import read_heartbeats


@pytest.mark.parametrize(
    "part",
    [
        "step-00000001/",  # the next checkpoint waits for this one
        "step-00000020/",  # the end of training waits for this one
        "history.jsonl",
        "weights.safetensors",
    ],
)
def test_no_beat_is_expected_during_an_upload(part: str, s3: S3Server, tmp_path: Path) -> None:
    held = Held(part)
    run = TrainingRun(
        tmp_path,
        train={"epochs": 2, "batchSize": 12},
        checkpoint={"everySteps": 1},
        uri=f"{s3.bucket()}/run",
        environment=s3.environment(),
    ).prepare(*table())
    with faulty_proxy(s3.endpoint, held) as proxy:
        run.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
        ranks = run.start()
        try:
            assert ranks.until(lambda: held.reached.is_set() and not read_heartbeats(run.runtime))
        finally:
            held.released.set()
        assert ranks.codes() == [0], run.log()
