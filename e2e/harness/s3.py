"""The S3 server in the cluster. Pods reach it by the name of its Service, the tests by a port of a node."""

import time
from itertools import count

from harness.cluster import Cluster
from harness.places import MANIFESTS, NAMESPACE
from harness.process import step
from support.s3_server import S3Server

PORT = 7070
INSIDE = f"http://s3.{NAMESPACE}.svc:{PORT}"


def deploy(cluster: Cluster, image: str) -> None:
    """Start it and wait until it answers. Raises Failed."""
    server = S3Server("")
    text = (MANIFESTS / "s3.yaml").read_text()
    values = {"IMAGE": image, "ACCESS_KEY": server.access_key, "SECRET_KEY": server.secret_key}
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    with step("S3 server"):
        cluster.kubectl("apply", "-f", "-", input=text)
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/s3", "--timeout=120s")


def outside(cluster: Cluster) -> S3Server:
    """The server as this machine reaches it; its `bucket()` makes buckets."""
    endpoint = f"http://{cluster.outside(NAMESPACE, 's3')}"
    return S3Server(endpoint, _numbers=count(int(time.time())))  # a cluster that was left has older buckets
