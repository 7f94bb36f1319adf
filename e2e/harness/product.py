"""The product itself in the cluster: the chart, installed from this checkout with the images built from it."""

import io
import json
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from harness import s3
from harness.cluster import Cluster
from harness.docker import docker
from harness.images import Images
from harness.places import ROOT
from harness.process import step
from support.s3_server import S3Server

CHART = str(ROOT / "helm" / "trainyard")
RELEASE = "trainyard"
SYSTEM = "trainyard-system"
SECRET = "object-storage"
_SECONDS = 240.0
_REPORT_PORT = 9465

Object = dict[str, Any]


def install(cluster: Cluster, images: Images, *more: str) -> None:
    """Install the chart, or upgrade it; back when the operator is ready. `more`: words for helm. Raises Failed."""
    operator, trainer, payload = (one.rpartition(":") for one in (images.operator, images.trainer, images.payload))
    values = {
        "image": {"repository": operator[0], "tag": operator[2], "pullPolicy": "Never"},
        "trainerImage": {"repository": trainer[0], "tag": trainer[2]},
        "payloadImage": {"repository": payload[0], "tag": payload[2]},
        "replicas": 2,
        # The tag says nothing of what is in it: a cluster that was kept must get the new operator.
        "podAnnotations": {"trainyard.dev/image": docker("image", "inspect", "--format", "{{.Id}}", images.operator)},
        "runtimes": {
            "default": {
                "template": {"imagePullPolicy": "IfNotPresent"},
                "storage": {"endpoint": s3.INSIDE, "region": "us-east-1", "credentialsSecret": SECRET},
            }
        },
    }
    path = ROOT / "e2e-artifacts" / "values.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    with step("the chart"):
        words = ("upgrade", "--install", RELEASE, CHART, "-n", SYSTEM, "--create-namespace")
        cluster.helm(*words, "--values", str(path), "--wait", "--timeout", "120s", *more)


@dataclass
class Team:
    """A namespace of people who train, with their bucket and its keys."""

    cluster: Cluster
    namespace: str
    server: S3Server
    bucket: str

    @classmethod
    def make(cls, cluster: Cluster, namespace: str, server: S3Server) -> "Team":
        """Put the keys into the namespace, and the digits into a new bucket."""
        found = cls(cluster, namespace, server, server.bucket())
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        found.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": keys})
        data = (ROOT / "examples/digits/digits.parquet").read_bytes()
        name = found.bucket.removeprefix("s3://")
        server.client().put_object(Bucket=name, Key="data/digits.parquet", Body=data)
        return found

    def apply(self, document: Object) -> None:
        """kubectl apply."""
        self.cluster.kubectl("-n", self.namespace, "apply", "-f", "-", input=json.dumps(document))

    def digits(self, name: str, *, epochs: int = 5, **spec: Any) -> Object:
        """The example of the README on two nodes, with data and results in the bucket."""
        job: Object = yaml.safe_load((ROOT / "examples/digits/job.yaml").read_text())
        job["metadata"]["name"] = name
        job["spec"] |= {"nodes": 2, "processesPerNode": 1, "storage": {"uri": f"{self.bucket}/runs"}, **spec}
        if "recipe" in job["spec"]:
            job["spec"]["recipe"]["data"]["uri"] = f"{self.bucket}/data/digits.parquet"
            job["spec"]["recipe"]["train"]["epochs"] = epochs
        return job

    def script(self, name: str, program: str) -> None:
        """Put code/NAME.tar.gz, with `program` as its train.py, into the bucket."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            member = tarfile.TarInfo("train.py")
            member.size = len(program)
            archive.addfile(member, io.BytesIO(program.encode()))
        bucket = self.bucket.removeprefix("s3://")
        self.server.client().put_object(Bucket=bucket, Key=f"code/{name}.tar.gz", Body=packed.getvalue())

    def status(self, name: str) -> Object:
        """Of a job; empty if it has none."""
        found: Object = self.cluster.get("-n", self.namespace, "trainingjob", name).get("status") or {}
        return found

    def patch(self, name: str, **spec: Any) -> None:
        """Change fields of a job's spec."""
        body = json.dumps({"spec": spec})
        self.cluster.kubectl("-n", self.namespace, "patch", "trainingjob", name, "--type=merge", "-p", body)

    def when(self, name: str, seconds: float = _SECONDS, **wanted: Any) -> Object:
        """The job's status, once its fields are as wanted. Raises AssertionError with the last one."""

        def there(status: Object) -> bool:
            ended = status.get("phase") in ("Failed", "Complete")
            if ended and wanted.get("phase", status["phase"]) != status["phase"]:
                raise AssertionError(f"{name} has ended: {status['phase']}, {status['message']}")
            return all(status.get(field) == value for field, value in wanted.items())

        return until(f"{name}: {wanted}", lambda: self.status(name), there, seconds)

    def pods(self, name: str) -> dict[str, Object]:
        """The job's pods by name."""
        listed = self.cluster.get("-n", self.namespace, "pods", "-l", f"trainyard.dev/job={name}")["items"]
        return {pod["metadata"]["name"]: pod for pod in listed}

    def report(self, pod: str) -> Object:
        """What the pod's launcher says of itself; empty if it doesn't answer."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{_REPORT_PORT}/proxy/report"
        try:
            found: Object = json.loads(self.cluster.kubectl("get", "--raw", path))
        except Exception:  # noqa: BLE001 - whatever stands between us and the pod
            return {}
        return found

    def stepping(self, name: str, beyond: int = 0, seconds: float = _SECONDS) -> int:
        """The step node 0 is at, once it is beyond `beyond`."""
        report = until(
            f"{name} steps beyond {beyond}",
            lambda: self.report(f"{name}-0"),
            lambda report: ((report.get("progress") or {}).get("step") or 0) > beyond,
            seconds,
        )
        return int(report["progress"]["step"])

    def python(self, pod: str, program: str) -> str:
        """What a Python program prints in the pod."""
        return self.cluster.kubectl("-n", self.namespace, "exec", pod, "-c", "trainer", "--", "python", "-c", program)


def until(what: str, look: Callable[[], Object], wanted: Callable[[Object], bool], seconds: float = _SECONDS) -> Object:
    """What `look` sees, once it's as wanted. Raises AssertionError with what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if wanted(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}; last seen: {json.dumps(seen)[:3000]}")
        time.sleep(0.2)
