"""The same file on a cluster and on one machine gives models that answer alike."""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.product import Team


def test_a_model_of_two_nodes_answers_as_the_one_trained_here(team: Team, tmp_path: Path) -> None:
    job = team.digits("digits")
    team.apply(job)
    status = team.when("digits", phase="Complete")
    assert status["model"]["metrics"]["accuracy"] > 0.9
    late = _moment(status["completionTime"]) - max(_ended(pod) for pod in team.pods("digits").values())
    print(f"last container's end -> Complete: {late.total_seconds():.0f} s, in whole seconds (target < 2)")
    job["spec"]["storage"] = {"uri": str(tmp_path / "runs")}
    manifest = tmp_path / "job.yaml"
    manifest.write_text(yaml.safe_dump(job))
    environment = {**os.environ, **team.server.environment()}
    subprocess.run(["trainyard", "run", str(manifest)], check=True, env=environment, capture_output=True)
    (run,) = (tmp_path / "runs/default/digits").iterdir()
    there, here = (_answers(str(uri), environment) for uri in (status["model"]["uri"], run))
    assert [one["label"] for one in there] == [one["label"] for one in here]
    for one, other in zip(there, here, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-3)


def _ended(pod: dict[str, Any]) -> datetime:
    return _moment(pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _answers(model: str, environment: dict[str, str]) -> list[dict[str, float]]:
    answered = subprocess.run(
        ["trainyard", "predict", model], check=True, env=environment, capture_output=True, text=True
    )
    return [json.loads(line) for line in answered.stdout.splitlines() if line.startswith("{")]
