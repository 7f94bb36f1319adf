"""docs/operate.md, Back up: its commands, from one cluster to another."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.control_plane import ControlPlane, control_plane
from support.control_plane.binaries import folder

ROOT = Path(__file__).parents[2]
BACK_UP, RESTORE = re.findall(
    r"^```sh\n(.*?)^```$",
    (ROOT / "docs" / "operate.md").read_text().partition("## Back up")[2].partition("\n## ")[0],
    re.DOTALL | re.MULTILINE,
)
GROUP = "/apis/trainyard.dev/v1alpha1"
RUNTIME = {"kind": "TrainingRuntime", "metadata": {"name": "default"}, "spec": {"storage": {"uri": "s3://models/a"}}}


def shell(plane: ControlPlane, command: str, where: Path, given: str = "") -> None:
    environment = {
        **os.environ,
        "PATH": f"{folder()}:{os.environ['PATH']}",
        "KUBECONFIG": str(plane.kubeconfig()),
        "HOME": str(where),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        input=given, cwd=where, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def apply(plane: ControlPlane, where: Path, body: dict[str, Any], *words: str) -> None:
    given = json.dumps({"apiVersion": "trainyard.dev/v1alpha1", **body})
    shell(plane, " ".join(["kubectl apply --server-side --field-manager tests", *words, "-f -"]), where, given)


def jobs(plane: ControlPlane) -> dict[str, Any]:
    with plane.get(f"{GROUP}/trainingjobs") as answer:
        return {each["metadata"]["name"]: each for each in json.load(answer)["items"]}


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[tuple[ControlPlane, ControlPlane]]:
    """The old and the new one, both with the definitions."""
    with control_plane(tmp_path / "old") as old, control_plane(tmp_path / "new") as new:
        for plane in (old, new):
            shell(plane, f"kubectl apply --server-side -k {ROOT / 'crds'}", tmp_path)
            shell(plane, "kubectl wait --for=condition=Established crd --all && kubectl create ns team-a", tmp_path)
        yield old, new


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()


def test_what_is_restored(clusters: tuple[ControlPlane, ControlPlane], tmp_path: Path) -> None:
    old, new = clusters
    apply(old, tmp_path, RUNTIME)
    phases = {"new": None, "trains": "Running", "waits": "Suspended", "done": "Complete", "broken": "Failed"}
    for name, phase in phases.items():
        spec = {"script": {"command": ["t.py"]}, "suspend": phase == "Suspended"}
        job = {"kind": "TrainingJob", "metadata": {"name": name, "namespace": "team-a"}, "spec": spec}
        apply(old, tmp_path, job)
        if phase:
            apply(old, tmp_path, {**job, "status": {"phase": phase}}, "--subresource=status")

    shell(old, BACK_UP, tmp_path)
    shell(new, RESTORE, tmp_path)
    before, after = jobs(old), jobs(new)
    assert set(after) == {"new", "trains", "waits"}, "one that has ended would train again"
    assert {name: each["spec"] for name, each in after.items()} == {name: before[name]["spec"] for name in after}
    assert not [each for each in after.values() if "status" in each]
    with new.get(f"{GROUP}/trainingruntimes/default") as answer:
        assert json.load(answer)["spec"] == RUNTIME["spec"]
    shell(new, RESTORE, tmp_path)
    assert set(jobs(new)) == set(after), "restoring twice does no harm"
