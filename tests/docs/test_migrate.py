"""docs/migrate.md: its commands turn every PyTorchJob of a namespace into a manifest that is valid."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "migrate.md").read_text()
KUBECTL = """#!/bin/sh
case "$2" in
pytorchjobs) echo pytorchjob.kubeflow.org/one; echo pytorchjob.kubeflow.org/two ;;
*) cat <<END
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: ${2##*/}, namespace: team, uid: 1-2, resourceVersion: "7"}
spec:
  pytorchReplicaSpecs:
    Worker: {replicas: 2, template: {spec: {containers: [{name: pytorch, image: i, command: [torchrun, t.py]}]}}}
END
esac
"""


def test_each_job_into_a_file_of_its_own(tmp_path: Path) -> None:
    (loop,) = re.findall(r"^    for .*?^    done$", TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = f"{textwrap.dedent(loop)}\ntrainyard validate one.yaml two.yaml"
    done = subprocess.run(["sh", "-eu", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "one.yaml: valid\ntwo.yaml: valid\n", done.stderr
