"""A cluster that isn't there, isn't ours, or doesn't know us: what is said."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.commands import plain, trainyard
from support.control_plane import ControlPlane, control_plane
from support.team import Team, kubeconfig, token_of

SILENT = "https://127.0.0.1:9"  # nothing listens there (RFC 863)


def test_no_kubeconfig(tmp_path: Path) -> None:
    done = trainyard("list", folder=tmp_path, KUBECONFIG=str(tmp_path / "absent"))
    plain(done, 2, "no cluster is named: there is no kubeconfig", "absent", "--kubeconfig FILE")


def test_a_server_that_is_not_there(team: Team) -> None:
    path = kubeconfig(team.api, team.folder, server=SILENT)
    plain(team.command("list", "--kubeconfig", str(path)), 3, "the cluster doesn't answer", "refused", SILENT, "tests")


def test_a_server_with_another_certificate(team: Team) -> None:
    server = team.api.configuration.host.replace("127.0.0.1", "127.0.0.2")
    path = kubeconfig(team.api, team.folder, server=server)
    done = team.command("list", "--kubeconfig", str(path))
    assert done.returncode == 3
    plain(done, 3, "the cluster doesn't answer")


def test_contexts(team: Team) -> None:
    plain(team.command("list", "--context", "test"), 2, "there is no context test", "did you mean tests?")
    plain(team.command("list", "--context", "xyz"), 2, "there is no context xyz", "known are: tests")
    assert team.command("list", "--context", "tests").returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("contexts"),
        lambda document: document.update({"current-context": "other"}),
        lambda document: document.pop("current-context"),
        lambda document: document["clusters"][0]["cluster"].pop("server"),
        lambda document: document["contexts"][0]["context"].update({"user": "nobody"}),
        lambda document: document["clusters"][0]["cluster"].update({"certificate-authority": "/absent"}),
        lambda document: document["users"][0].update({"user": {"exec": {"command": "/absent"}}}),
    ],
)
def test_a_damaged_kubeconfig(team: Team, change: "object") -> None:
    document = yaml.safe_load(team.config.read_text())
    change(document)  # type: ignore[operator]
    team.config.write_text(yaml.safe_dump(document))
    done = team.command("list")
    assert done.returncode in (2, 3), done.stdout + done.stderr
    plain(done, done.returncode, "remedy: ")
    assert "in a way it should not" not in done.stderr


@pytest.mark.parametrize("text", ["", "[]", "a: [", "just words", "contexts: {}"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    done = trainyard("list", "--kubeconfig", "config", folder=tmp_path)
    plain(done, 2, "config", "remedy: ")
    assert "in a way it should not" not in done.stderr


def test_credentials_that_nobody_knows(team: Team) -> None:
    path = kubeconfig(team.api, team.folder, token="wrong")
    plain(team.command("list", "--kubeconfig", str(path)), 2, "the cluster doesn't accept your credentials")


def test_a_login_by_a_program(team: Team) -> None:
    """How cloud clusters log people in: the kubeconfig names a program that prints a token."""
    document = yaml.safe_load(team.config.read_text())
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token_of(team.api)},
    }
    program = team.folder / "login.py"
    program.write_text(f"print({json.dumps(json.dumps(credential))})\n")
    document["users"][0]["user"] = {}
    document["users"][0]["user"]["exec"] = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(program)],
        "interactiveMode": "Never",
    }
    team.config.write_text(yaml.safe_dump(document))
    team.job("j")
    done = team.command("list")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("j ")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster without the resource definitions."""
    with control_plane(tmp_path_factory.mktemp("bare")) as plane:
        yield plane


def test_a_cluster_that_does_not_know_us(bare: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "apiVersion: trainyard.dev/v1alpha1\nkind: TrainingJob\nmetadata: {name: j}\n"
        "spec: {template: {image: i}, script: {command: [/t.py]}, storage: {uri: s3://b/p}}\n"
    )
    with bare.api() as api:
        path = kubeconfig(api, tmp_path)
    for command in (["list"], ["status", "j"], ["logs", "j"], ["submit", "job.yaml"], ["wait", "j"], ["delete", "j"]):
        done = trainyard(*command, "--kubeconfig", str(path), folder=tmp_path)
        plain(done, 2, "this cluster doesn't know TrainingJobs", "helm install")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (["list", "--kubeconfig", "x"], "kubernetes", "cluster"),
        (["predict", "x"], "numpy", "trainer,serve"),
        (["serve", "x"], "uvicorn", "trainer,serve"),
        (["report", "x"], "plotly", "trainer,serve"),
    ],
)
def test_without_its_packages_a_command_says_how_to_install_them(
    command: list[str], package: str, extra: str, tmp_path: Path
) -> None:
    """As where Trainyard was installed without an extra: the import fails."""
    code = (
        f"import sys; sys.modules['{package}'] = None\nfrom trainyard_cli.main import main\nsys.exit(main({command}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    plain(done, 2, f"what `trainyard {command[0]}` needs isn't installed", f"pip install '.[{extra}]'")
