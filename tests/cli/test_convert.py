"""`trainyard convert`: what comes over of Kubeflow's jobs, and what is said of the rest."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support.commands import Ended, plain
from trainyard_api.manifest import load_job
from trainyard_api.source import parse_documents
from trainyard_cli.convert import written
from trainyard_cli.main import main

POD = """
        spec:
          containers:
            - name: pytorch
              image: example.org/mnist:1
              command: [python3, /opt/mnist.py, "--epochs=1"]
"""
TWO_GROUPS = f"""
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {{name: mnist, namespace: team, labels: {{kueue.x-k8s.io/queue-name: q}}}}
spec:
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      restartPolicy: OnFailure
      template: {POD}
    Worker:
      replicas: 3
      restartPolicy: OnFailure
      template: {POD}
"""


def run(path: Path) -> Ended:
    """`trainyard convert` in this process: many are run here."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["convert", str(path)])
    return Ended([], code, out.getvalue(), err.getvalue().replace(f"{path.parent}/", ""))


def convert(folder: Path, text: str) -> tuple[dict[str, Any], str]:
    """The one job converted, as `trainyard validate` takes it, and its comments."""
    (folder / "in.yaml").write_text(text)
    done = run(folder / "in.yaml")
    assert done.returncode == 0, done.stderr
    (folder / "out.yaml").write_text(done.stdout)
    load_job(folder / "out.yaml")
    comments = " ".join(line.lstrip("#- ") for line in done.stdout.splitlines() if line.startswith("#"))
    return yaml.safe_load(done.stdout), comments


def pytorch_job(command: str = "[torchrun, t.py]", pod: str = "", container: str = "", spec: str = "") -> str:
    """A PyTorchJob of one Worker group with these things in it, each as flow YAML without its braces."""
    containers = f"[{{name: pytorch, image: i, command: {command}{container and ', ' + container}}}]"
    template = f"{{spec: {{containers: {containers}{pod and ', ' + pod}}}}}"
    return (
        "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: j}\n"
        f"spec: {{pytorchReplicaSpecs: {{Worker: {{replicas: 2, template: {template}}}}}{spec and ', ' + spec}}}\n"
    )


def train_job(spec: str) -> str:
    return f"apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {{name: j}}\nspec: {spec}\n"


def test_master_and_workers_become_nodes(tmp_path: Path) -> None:
    job, said = convert(tmp_path, TWO_GROUPS)
    assert job == {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "mnist", "namespace": "team", "labels": {"kueue.x-k8s.io/queue-name": "q"}},
        "spec": {
            "nodes": 4,
            "template": {"image": "example.org/mnist:1"},
            "script": {"command": ["/opt/mnist.py", "--epochs=1"]},
        },
    }
    assert said.startswith("Converted from PyTorchJob mnist. spec.storage.uri:"), "nothing else is to be said"


def test_workers_unlike_their_master_are_told(tmp_path: Path) -> None:
    _, said = convert(tmp_path, TWO_GROUPS.replace("--epochs=1", "--epochs=2", 1))
    assert "the template of Worker differs and is left out" in said


@pytest.mark.parametrize(
    ("command", "words", "processes"),
    [
        ("[python, t.py, -x]", ["t.py", "-x"], None),
        ("[python3.11, -u, t.py]", ["t.py"], None),
        ("[python, -m, pkg.train, a]", ["-m", "pkg.train", "a"], None),
        ("[t.py]", ["t.py"], None),
        ("[torchrun, t.py, --nproc_per_node, '9']", ["t.py", "--nproc_per_node", "9"], None),
        ("[torchrun, --nnodes=2, --nproc_per_node, '8', --standalone, t.py]", ["t.py"], 8),
        ("[torchrun, --nproc-per-node=gpu, -m, pkg.train]", ["-m", "pkg.train"], None),
        ("[/usr/bin/torchrun, --rdzv_backend, c10d, --no-python, python, t.py]", ["t.py"], None),
        ("[python, -m, torch.distributed.run, --rdzv-conf=a=b, t.py]", ["t.py"], None),
        ("[python, -u, -m, torch.distributed.run, --nnodes=2, --nproc-per-node=8, t.py]", ["t.py"], 8),
        ("[python, -Wignore, -X, faulthandler, -m, torch.distributed.launch, t.py]", ["t.py"], None),
        ("[python, -mtorch.distributed.run, --nproc-per-node, '2', t.py]", ["t.py"], 2),
        ("[python, -X, faulthandler, -W, ignore, t.py, -x]", ["t.py", "-x"], None),
        ("[torchrun, --no-python, python, -u, -W, error, -m, pkg.train]", ["-m", "pkg.train"], None),
        ("[bash, -c, 'torchrun --nproc_per_node=2 t.py --x \"a b\"']", ["t.py", "--x", "a b"], 2),
    ],
)
def test_torchrun_is_ours_to_start(tmp_path: Path, command: str, words: list[str], processes: int | None) -> None:
    job, _ = convert(tmp_path, pytorch_job(command))
    assert job["spec"]["script"] == {"command": words}
    assert job["spec"].get("processesPerNode") == processes


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("[sh, -c, 'pip install x && python t.py']", "shell code has no place in a TrainingJob; do the same in the"),
        ("[python, -c, 'print(1)']", "save it as train.py beside this file print(1)"),
        ("[mpirun, python, t.py]", "mpirun is no Python program"),
        ("[python, -u, -X, faulthandler, t.py]", "python's option -X faulthandler is left out: say it in"),
        ("[]", "the program is in the image's entrypoint"),
        ("[python, t.py, $(BATCH)]", "$(NAME) is not expanded"),
    ],
)
def test_commands_that_need_a_hand(tmp_path: Path, command: str, said: str) -> None:
    assert said in convert(tmp_path, pytorch_job(command))[1]


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    job, _ = convert(
        tmp_path,
        pytorch_job("[t.py, --lr, '1e-4', '0o17']", container="env: [{name: BUILD, value: '12345e6'}]").replace(
            "{name: j}", "{name: j, labels: {commit: '12345e6'}}"
        ),
    )
    words = parse_documents((tmp_path / "out.yaml").read_text())[0]["spec"]["script"]["command"]
    assert words == ["t.py", "--lr", "1e-4", "0o17"]
    assert job["metadata"]["labels"] == {"commit": "12345e6"}


_WORDS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
    st.from_regex(r"[-+]?[0-9._]{1,4}([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["y", "N", "on", "null", "~", "", "0x1F", "0b1", "0o7", ".inf", "2026-01-01", "<<", "=", "a: b", "#"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_WORDS, st.one_of(_WORDS, st.lists(_WORDS), st.integers(), st.booleans())))
def test_what_is_written_reads_back_the_same(values: dict[str, Any]) -> None:
    assert parse_documents(written(values)) == [values]
    assert yaml.safe_load(written(values)) == values


def test_elastic(tmp_path: Path) -> None:
    policy = "elasticPolicy: {rdzvBackend: c10d, minReplicas: 1, maxReplicas: 3, maxRestarts: 100, metrics: [{}], x: 1}"
    job, said = convert(tmp_path, pytorch_job(spec=policy))
    assert (job["spec"]["nodes"], job["spec"]["elastic"]) == (2, {"minNodes": 1, "maxNodes": 3})
    assert job["spec"]["recovery"] == {"maxRestarts": 100}
    assert "no autoscaler is made" in said
    assert "elasticPolicy.x is left out" in said
    assert "rdzv" not in said


def test_the_master_counts_among_elastic_nodes(tmp_path: Path) -> None:
    job, _ = convert(tmp_path, TWO_GROUPS + "  elasticPolicy: {minReplicas: 1, maxReplicas: 5}\n")
    assert (job["spec"]["nodes"], job["spec"]["elastic"]) == (4, {"minNodes": 2, "maxNodes": 6})


def test_run_policy(tmp_path: Path) -> None:
    policy = (
        "runPolicy: {cleanPodPolicy: All, ttlSecondsAfterFinished: 9, activeDeadlineSeconds: 8, backoffLimit: 7, "
        "suspend: true, schedulingPolicy: {minAvailable: 2, queue: q, priorityClass: high}}"
    )
    job, said = convert(tmp_path, pytorch_job(spec=policy, pod="schedulerName: volcano"))
    spec = job["spec"]
    assert (spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"], spec["suspend"]) == (9, 8, True)
    assert spec["recovery"] == {"maxRestarts": 7}
    assert spec["template"] == {
        "image": "i", "schedulerName": "volcano", "priorityClassName": "high", "gang": "volcano"
    }  # fmt: skip
    assert "cleanPodPolicy All" in said
    assert "schedulingPolicy.queue is left out" in said


def test_never_restarted_stays_so(tmp_path: Path) -> None:
    text = pytorch_job().replace("replicas: 2,", "replicas: 2, restartPolicy: Never,")
    assert convert(tmp_path, text)[0]["spec"]["recovery"] == {"maxRestarts": 0}


def test_pods(tmp_path: Path) -> None:
    pod = (
        "volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 4Gi}}, {name: d, emptyDir: {}}], "
        "imagePullSecrets: [{name: s}], nodeSelector: {a: b}, tolerations: [{operator: Exists}], hostNetwork: true, "
        "initContainers: [{name: i}], serviceAccountName: sa"
    )
    container = (
        "volumeMounts: [{name: shm, mountPath: /dev/shm}, {name: d, mountPath: /d}], workingDir: /w, "
        "resources: {limits: {nvidia.com/gpu: 2, cpu: 0.5}}, ports: [{containerPort: 1}], "
        "env: [{name: MASTER_ADDR, value: x}, {name: PET_NNODES, value: '2'}, {name: A, value: b}]"
    )
    job, said = convert(tmp_path, pytorch_job(pod=pod, container=container))
    assert job["spec"]["template"] == {
        "image": "i",
        "env": [{"name": "A", "value": "b"}],
        "volumeMounts": [{"name": "d", "mountPath": "/d"}],
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "serviceAccountName": "sa",
        "volumes": [{"name": "d", "emptyDir": {}}],
        "resources": {"limits": {"nvidia.com/gpu": 2, "cpu": "0.5"}},
        "imagePullSecrets": ["s"],
        "shmSize": "4Gi",
    }
    for name in ("hostNetwork", "initContainers", "workingDir", "env MASTER_ADDR, PET_NNODES"):
        assert f"{name} is left out" in said
    assert "ports" not in said


def test_a_train_job(tmp_path: Path) -> None:
    text = train_job("""
  runtimeRef: {apiGroup: trainer.kubeflow.org, kind: ClusterTrainingRuntime, name: torch-distributed}
  suspend: true
  labels: {a: b}
  podGroupPolicy: {volcano: {}}
  trainer:
    image: i
    numNodes: 2
    numProcPerNode: 4
    command: [torchrun, t.py]
    args: [--x]
    env: [{name: A, value: b}]
    resourcesPerNode: {limits: {nvidia.com/gpu: 4}}
  initializer: {dataset: {storageUri: "hf://a/b"}}
  managedBy: kueue.x-k8s.io/multikueue
""")
    job, said = convert(tmp_path, text)
    assert job["spec"] == {
        "nodes": 2,
        "processesPerNode": 4,
        "template": {
            "image": "i",
            "env": [{"name": "A", "value": "b"}],
            "resources": {"limits": {"nvidia.com/gpu": 4}},
            "labels": {"a": "b"},
            "gang": "volcano",
        },
        "script": {"command": ["t.py", "--x"]},
        "suspend": True,
    }
    assert "runtimeRef torch-distributed: what that runtime presets isn't in this file" in said
    assert "initializer.dataset (hf://a/b) is left out" in said
    assert "spec.managedBy is left out" in said


PATCHED = {"labels": {"team": "a"}, "annotations": {"x": "y"}, "nodeSelector": {"a": "b"}, "serviceAccountName": "sa"}
OVERRIDES = [
    """
  podTemplateOverrides:
    - targetJobs: [{name: node}]
      metadata: {labels: {team: a}, annotations: {x: "y"}}
      spec: {nodeSelector: {a: b}, serviceAccountName: sa}
    - targetJobs: [{name: dataset-initializer}]
      spec: {nodeSelector: {c: d}}
  trainer: {command: [t.py]}
""",
    """
  trainer:
    command: [t.py]
    podTemplateOverrides:
      - targetJobs: [{name: node}]
        metadata: {labels: {team: a}, annotations: {x: "y"}}
        spec: {nodeSelector: {a: b}, serviceAccountName: sa, containers: [{name: node}]}
      - targetJobs: [{name: dataset-initializer}]
""",
    """
  trainer: {command: [t.py]}
  runtimePatches:
    - manager: platform
      trainingRuntimeSpec:
        template:
          metadata: {labels: {team: a}, annotations: {x: "y"}}
          spec:
            replicatedJobs:
              - name: node
                template: {spec: {template: {spec: {nodeSelector: {a: b}, serviceAccountName: sa}}}}
              - name: dataset-initializer
                template: {spec: {template: {spec: {nodeSelector: {c: d}}}}}
""",
]


@pytest.mark.parametrize("spec", OVERRIDES, ids=["overrides", "inside the trainer", "patches"])
def test_overrides_of_a_runtime(tmp_path: Path, spec: str) -> None:
    job, said = convert(tmp_path, train_job(spec))
    assert job["spec"]["template"] == PATCHED
    assert "for dataset-initializer is left out" in said


def test_several_documents(tmp_path: Path) -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    (tmp_path / "in.yaml").write_text("---\n".join([config, TWO_GROUPS, train_job("{trainer: {command: [t.py]}}")]))
    done = run(tmp_path / "in.yaml")
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(done.stdout)] == ["mnist", "j"]
    assert done.stderr == "in.yaml, document 1: ConfigMap is left out: keep it as it is\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apiVersion: v1\nkind: Pod\n", "there is no PyTorchJob and no TrainJob in it"),
        ("", "there is no PyTorchJob and no TrainJob in it"),
        ("a: [", "not valid YAML"),
        ("- 1", "a document isn't a Kubernetes object"),
        (pytorch_job().replace("{name: j}", "{name: UPPER}"), "metadata.name"),
        ("apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nspec: [1]\n", "isn't one that its own API takes"),
        (pytorch_job().replace("replicas: 2", "replicas: many"), "isn't one that its own API takes"),
    ],
)
def test_what_can_not_be_converted(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "in.yaml").write_text(text)
    plain(run(tmp_path / "in.yaml"), 2, said)
