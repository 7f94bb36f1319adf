"""From nothing to a cluster with our images and an S3 server in it; quick where that is there already."""

import dataclasses

from harness import cluster, s3
from harness.cluster import Cluster
from harness.docker import ensure_daemon
from harness.images import Images, build_images
from harness.node_image import node_image
from harness.places import STATE


@dataclasses.dataclass(frozen=True)
class Ready:
    """What the tests start from."""

    cluster: Cluster
    images: Images


def up() -> Ready:
    """Make what is missing; each step that takes time says so. Raises Failed."""
    STATE.mkdir(parents=True, exist_ok=True)
    ensure_daemon()
    images = build_images()
    running = cluster.ensure(node_image())
    running.load(*dataclasses.astuple(images))
    s3.deploy(running, images.s3)
    return Ready(running, images)
