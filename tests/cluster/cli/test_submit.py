"""`trainyard submit`, against a real API server and a real S3 server."""

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.commands import plain
from support.control_plane import ControlPlane
from support.s3_server import S3Server
from support.team import Team
from trainyard_api.job import TrainingJob
from trainyard_api.resolve import resolve_on_cluster
from trainyard_storage import open_store
from trainyard_storage.source import list_source

CSV = "a,b\n" + "1,x\n2,y\n" * 10


def manifest(folder: Path, name: str = "job", file: str = "job.yaml", **spec: Any) -> str:
    """A manifest's file."""
    document = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": spec,
    }
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(yaml.safe_dump(document))
    return str(folder / file)


def recipe(uri: str) -> dict[str, Any]:
    return {"data": {"uri": uri, "target": "b"}}


def test_data_goes_where_the_job_looks_for_it(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    (team.folder / "data.csv").write_text(CSV)
    file = manifest(team.folder, storage={"uri": f"{bucket}/p"}, recipe=recipe("data.csv"))
    done = team.command("submit", file)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"data.csv -> {bucket}/p/data.csv\n"
        f"{team.namespace}/job created\n"
        f"  see how it goes:   trainyard status job -n {team.namespace}\n"
        f"  follow its logs:   trainyard logs -f job -n {team.namespace}\n"
    )
    job = team.get("job")
    kept = {**job, "metadata": {"name": "job", "namespace": team.namespace}}
    resolved = resolve_on_cluster(TrainingJob.model_validate(kept), "uid")
    assert resolved.spec.recipe is not None
    listing = list_source(resolved.spec.recipe.data, resolved.spec.storage)
    assert [file.uri for file in listing.files] == [f"{bucket}/p/data.csv"], "the trainer reads it there"
    owners = {(entry["manager"], entry["operation"]) for entry in job["metadata"]["managedFields"]}
    assert owners == {("trainyard", "Apply")}
    again = team.command("submit", file)
    assert again.stdout.splitlines()[0] == f"{team.namespace}/job unchanged"
    assert team.get("job")["metadata"]["resourceVersion"] == job["metadata"]["resourceVersion"]


def test_changed_data_of_the_same_job_is_uploaded_again(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    folder = team.folder / "images"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(label.encode())
    (folder / ".hidden").write_text("")
    file = manifest(team.folder, storage={"uri": bucket}, recipe=recipe("images/"))
    assert "1.png -> " in team.command("submit", file).stdout
    store = open_store(bucket)
    assert store.get("images/cat/1.png") == b"cat"
    assert store.head("images/.hidden") is None
    (folder / "cat" / "1.png").write_bytes(b"cats")
    done = team.command("submit", file)
    assert done.stdout.count(" -> ") == 1, "only what has changed"
    assert store.get("images/cat/1.png") == b"cats"


def test_another_jobs_data_is_not_overwritten(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    for name in ("one", "two"):
        folder = team.folder / name
        file = manifest(folder, name, storage={"uri": bucket}, recipe=recipe("data.csv"))
        (folder / "data.csv").write_text(CSV + "9,x\n" * (name == "two"))
        done = team.command("submit", file)
    plain(done, 2, "other data is there already, of job", "/one: it isn't overwritten", f"{bucket}/data.csv")
    assert open_store(bucket).get("data.csv").decode() == CSV
    open_store(bucket).put("mine.csv", b"by hand")
    (team.folder / "mine.csv").write_text(CSV)
    file = manifest(team.folder, "three", storage={"uri": bucket}, recipe=recipe("mine.csv"))
    plain(team.command("submit", file), 2, "other data is there already: it isn't overwritten")


def test_a_program_is_packed_once(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    folder = team.folder
    (folder / "lib").mkdir()
    (folder / "train.py").write_text("import lib.model\n")
    (folder / "lib" / "model.py").write_text("x = 1\n")
    (folder / "rows.csv").write_text(CSV)
    for hidden in (".git/config", "venv/pyvenv.cfg", "__pycache__/train.pyc", "trainyard-runs/x/y"):
        (folder / hidden).parent.mkdir(parents=True)
        (folder / hidden).write_text("")
    spec = {"storage": {"uri": bucket}, "script": {"command": ["train.py"], "data": {"uri": "rows.csv", "target": "b"}}}
    file = manifest(folder, **spec)
    done = team.command("submit", file)
    assert done.returncode == 0, done.stderr
    source = team.get("job")["spec"]["script"]["source"]
    assert source.startswith(f"{bucket}/code/")
    assert source.endswith(".tar.gz")
    archive = open_store(bucket).get(source.removeprefix(f"{bucket}/"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert sorted(tar.getnames()) == ["lib/model.py", "train.py"]
        assert tar.extractfile("lib/model.py").read() == b"x = 1\n"  # type: ignore[union-attr]
    (folder / "train.py").touch()
    file = manifest(folder, **spec, recovery={"maxRestarts": 7})
    assert team.command("submit", file).stdout.splitlines()[0] == f"{team.namespace}/job changed"
    assert team.command("submit", file).stdout.splitlines()[0] == f"{team.namespace}/job unchanged"
    (folder / "train.py").write_text("import lib.model  # changed\n")
    plain(team.command("submit", file), 2, "spec.script can't change on a job that exists", "job.yaml:")


def test_a_module_and_files_that_the_command_names(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    for name in ("pkg/__init__.py", "pkg/train.py", "conf/big.yaml", "conf/unused.yaml"):
        (team.folder / name).parent.mkdir(exist_ok=True)
        (team.folder / name).write_text("")
    script = {"command": ["pkg/train.py", "--config", "conf/big.yaml"]}
    file = manifest(team.folder, "path", storage={"uri": bucket}, script=script)
    assert "3 files of the program -> " in team.command("submit", file).stdout
    file = manifest(team.folder, "module", storage={"uri": bucket}, script={"command": ["-m", "pkg.train"]})
    done = team.command("submit", file)
    assert "files of the program -> " in done.stdout, done.stderr


def test_a_program_in_the_image_is_left_there(team: Team) -> None:
    spec = {
        "storage": {"uri": "s3://nobody/asked"},
        "template": {"image": "example.org/t:1"},
        "script": {"command": ["/opt/train.py"]},
    }
    done = team.command("submit", manifest(team.folder, **spec))
    assert done.returncode == 0, done.stderr
    assert "source" not in team.get("job")["spec"]["script"]


def test_a_job_that_has_ended_does_not_begin_again(team: Team) -> None:
    spec = {"storage": {"uri": "s3://b/p"}, "template": {"image": "i"}, "script": {"command": ["/t.py"]}}
    file = manifest(team.folder, **spec)
    assert "it has ended" not in team.command("submit", file).stdout
    team.status("job", "Failed", "UserError")
    done = team.command("submit", file)
    said = f"it has ended (Failed), and doesn't begin again: trainyard delete job -n {team.namespace}\n"
    assert done.returncode == 0
    assert said in done.stdout


def test_a_conflict_with_our_own_resume(team: Team) -> None:
    spec = {"storage": {"uri": "s3://b/p"}, "script": {"command": ["/t.py"]}, "template": {"image": "i"}}
    file = manifest(team.folder, suspend=True, **spec)
    assert team.command("submit", file).returncode == 0
    assert team.command("resume", "job").returncode == 0
    done = team.command("submit", file)
    remedy = f"trainyard suspend job -n {team.namespace}, or take suspend out of the manifest"
    plain(done, 2, "trainyard suspend or resume has set spec.suspend to another value", remedy)
    assert team.command("suspend", "job").returncode == 0
    assert team.command("submit", file).returncode == 0


def test_a_runtime_that_may_not_be_read(team: Team, plane: ControlPlane, s3: S3Server) -> None:
    rights = client.RbacAuthorizationV1Api(team.api)
    rule = {"apiGroups": ["trainyard.dev"], "resources": ["trainingjobs"], "verbs": ["get", "create", "patch"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jobs"}
    ann = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}
    rights.create_namespaced_role(team.namespace, {"metadata": {"name": "jobs"}, "rules": [rule]})
    rights.create_namespaced_role_binding(
        team.namespace, {"metadata": {"name": "jobs"}, "roleRef": role, "subjects": [ann]}
    )
    (team.folder / "data.csv").write_text(CSV)
    as_ann = ["submit", manifest(team.folder, recipe=recipe("data.csv")), "--kubeconfig"]
    as_ann.append(str(plane.user("ann", namespace=team.namespace)))
    done = team.command(*as_ann)
    plain(done, 2, "you may not read the TrainingRuntime", "TrainingRuntime default", "give --storage URI")
    assert team.command(*as_ann, "--storage", f"{s3.bucket()}/p").returncode == 0


def test_a_runtime_says_where(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    name = f"runtime-{team.namespace}"
    body = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {"name": name},
        "spec": {"storage": {"uri": f"{bucket}/team", "endpoint": "http://only.in.the.cluster"}},
    }
    client.CustomObjectsApi(team.api).create_cluster_custom_object(
        "trainyard.dev", "v1alpha1", "trainingruntimes", body
    )
    (team.folder / "data.csv").write_text(CSV)
    done = team.command("submit", manifest(team.folder, runtime=name, recipe=recipe("data.csv")))
    assert f"data.csv -> {bucket}/team/data.csv" in done.stdout, done.stderr
    assert "storage" not in team.get("job")["spec"], "the runtime's stays the runtime's"


def test_what_overrides_say_is_sent(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    (team.folder / "data.csv").write_text(CSV)
    file = manifest(team.folder, recipe=recipe("data.csv"))
    plain(team.command("submit", file), 2, "there is no object storage that all nodes reach", "spec.storage.uri")
    done = team.command("submit", file, "--storage", f"{bucket}/x", "--set", "spec.recipe.train.epochs=3")
    assert done.returncode == 0, done.stderr
    spec = team.get("job")["spec"]
    assert (spec["storage"], spec["recipe"]["train"]) == ({"uri": f"{bucket}/x"}, {"epochs": 3})


def test_nothing_is_uploaded_for_a_job_that_is_refused(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    (team.folder / "data.csv").write_text(CSV)
    file = manifest(team.folder, storage={"uri": bucket}, recipe=recipe("data.csv"))
    assert team.command("submit", file).returncode == 0
    (team.folder / "data.csv").write_text(CSV * 2)
    file = manifest(team.folder, storage={"uri": bucket}, nodes=2, recipe=recipe("data.csv"), checkpoint={"keep": 9})
    done = team.command("submit", file)
    plain(
        done,
        2,
        "job.yaml:",
        "spec.checkpoint can't change on a job that exists",
        "delete it and apply it anew, or choose another name",
        "spec.nodes can't change without spec.elastic",
        "the API server refuses it for 2 reasons",
    )
    assert open_store(bucket).get("data.csv").decode() == CSV


def test_fields_that_another_manager_has_set(team: Team) -> None:
    spec = {"storage": {"uri": "s3://b/p"}, "template": {"image": "i"}, "script": {"command": ["/t.py"]}}
    team.job("job", {**spec, "ttlSecondsAfterFinished": 5})
    file = manifest(team.folder, **spec, ttlSecondsAfterFinished=7)
    done = team.command("submit", file)
    plain(done, 2, "has set spec.ttlSecondsAfterFinished to another value", f"TrainingJob {team.namespace}/job")


def test_namespaces(team: Team) -> None:
    spec = {"storage": {"uri": "s3://b/p"}, "template": {"image": "i"}, "script": {"command": ["/t.py"]}}
    file = manifest(team.folder, **spec)
    plain(team.command("submit", file, "-n", "nowhere"), 2, "there is no namespace nowhere")
    document = yaml.safe_load(Path(file).read_text())
    document["metadata"]["namespace"] = team.namespace
    Path(file).write_text(yaml.safe_dump(document))
    plain(team.command("submit", file, "-n", "other"), 2, f"is for namespace {team.namespace}, -n says other")
    assert team.command("submit", file, "-n", team.namespace).returncode == 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"recipe": recipe("nothing.csv")}, "there is no data here"),
        ({"recipe": recipe("../data.csv")}, "data outside the manifest's folder has no place on a cluster"),
        ({"script": {"command": ["tarin.py"]}}, "the program isn't beside the manifest"),
        ({"recipe": {**recipe("s3://b/x.csv"), "model": {"type": "nets:Net"}}}, "a class of your own must be in the"),
        ({"nodes": 0, "recipe": recipe("x.csv")}, "spec.nodes: 0 is not a whole number"),
    ],
)
def test_what_is_wrong_on_this_machine(team: Team, spec: dict[str, Any], said: str) -> None:
    file = manifest(team.folder, storage={"uri": "s3://b/p"}, **spec)
    plain(team.command("submit", file), 2, said)


def test_storage_that_refuses(team: Team, s3: S3Server) -> None:
    (team.folder / "data.csv").write_text(CSV)
    file = manifest(team.folder, storage={"uri": s3.missing_bucket()}, recipe=recipe("data.csv"))
    plain(team.command("submit", file), 2, "The bucket does not exist.")


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    from trainyard_cli.cluster.upload import packed

    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    names = tuple(f"{generator.randrange(1000)}-ü.py" for _ in range(5))
    folders = tmp_path / "a", tmp_path / "b"
    contents = {name: generator.randbytes(1000) for name in names}
    for folder in folders:
        folder.mkdir()
        for name in sorted(names, key=lambda _: generator.random()):
            (folder / name).write_bytes(contents[name])
    assert packed(folders[0], names) == packed(folders[1], names)
