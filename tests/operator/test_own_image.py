"""Which image does what in a pod: ours, or the job's own with launcher and SDK brought into it."""

from typing import Any

import pytest

from support.any_history import Cluster
from trainyard_api.errors import TrainyardError
from trainyard_operator.actions import Create
from trainyard_operator.api import JOBS
from trainyard_operator.settings import read

SCRIPT = {"command": ["train.py"], "source": "s3://bucket/code.tar.gz"}
IMAGES = {"TRAINYARD_IMAGE": "trainer", "TRAINYARD_PAYLOAD_IMAGE": "payload"}


def pod(image: str | None, script: dict[str, Any] | None, **template: Any) -> dict[str, Any]:
    """The spec of the first pod of such a job."""
    cluster = Cluster()
    spec = {**cluster.job["spec"], "template": {**({"image": image} if image else {}), **template}}
    if script:
        del spec["recipe"]
        spec["script"] = script
    cluster.put(JOBS, {**cluster.job, "spec": spec})
    while True:
        _, status, plan = cluster.decide()
        cluster.write(status)
        for action in plan.actions:
            if isinstance(action, Create) and action.body["kind"] == "Pod":
                return dict(action.body["spec"])
            cluster.act(action)


def test_a_program_in_an_image_of_its_own_is_brought_launcher_and_sdk() -> None:
    spec = pod("example.org/own:1", SCRIPT)
    (container,), (bringing,) = spec["containers"], spec["initContainers"]
    assert (container["image"], bringing["image"]) == ("example.org/own:1", "payload")
    (shared,) = bringing["volumeMounts"]
    assert bringing["command"][-1] == shared["mountPath"]
    assert container["command"] == ["python", f"{shared['mountPath']}/launch.py"]
    assert {**shared, "readOnly": True} in container["volumeMounts"]


def test_what_brings_them_asks_for_no_more_than_the_trainer() -> None:
    """A quota on CPU or memory refuses a pod with a container that doesn't say how much it takes."""
    requests, limits = {"cpu": 2, "memory": "4Gi"}, {"memory": "8Gi", "nvidia.com/gpu": 1}
    spec = pod("example.org/own:1", SCRIPT, resources={"requests": requests, "limits": limits})
    assert spec["initContainers"][0]["resources"] == {"requests": requests, "limits": {"memory": "8Gi"}}


@pytest.mark.parametrize("script", [None, SCRIPT])
def test_in_our_image_nothing_is_brought(script: dict[str, Any] | None) -> None:
    spec = pod(None, script)
    assert [each["image"] for each in spec["containers"]] == ["trainer"]
    assert "initContainers" not in spec


@pytest.mark.parametrize("missing", IMAGES)
def test_the_operator_wants_both_images_named(missing: str) -> None:
    assert read(IMAGES).images.payload == "payload"
    with pytest.raises(TrainyardError, match=missing):
        read({name: image for name, image in IMAGES.items() if name != missing})
