"""An image with Python and torch, and nothing of ours: a program in it has launcher, SDK and all that they give."""

import json

from harness.docker import docker
from harness.images import Images
from harness.product import Team, until

_STEPS = 400
_PROGRAM = f"""
import time, torch, trainyard_trainer
job = trainyard_trainer.current_job()
job.init_process_group()
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
checkpoints = job.checkpointer({{"model": model, "optimizer": optimizer}})
print("brought:", trainyard_trainer.__file__)
for step in range(checkpoints.load() + 1, {_STEPS} + 1):
    loss = model(torch.ones(4, 2)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    checkpoints.step(step, samples=8)
    job.log(step, steps={_STEPS}, loss=loss.item())
    time.sleep(0.02)  # so that somebody can look while it runs
"""


def test_a_program_with_the_sdk_runs_on_two_nodes(team: Team, images: Images) -> None:
    team.script("own", _PROGRAM)
    job = team.digits("own", template={"image": images.own}, checkpoint={"everySteps": 100})
    del job["spec"]["recipe"]
    job["spec"]["script"] = {"command": ["train.py"], "source": f"{team.bucket}/code/own.tar.gz"}
    team.apply(job)
    until("it beats", lambda: team.report("own-0"), lambda it: bool(it.get("heartbeats") and it.get("progress")))
    status = team.when("own", phase="Complete")
    assert status["checkpoint"]["step"] == _STEPS
    assert status["restarts"]["attempt"] == 0
    for pod in ("own-0", "own-1"):
        log = team.cluster.kubectl("-n", team.namespace, "logs", pod, "-c", "trainer")
        assert "brought: /trainyard/code/trainyard_trainer/__init__.py" in log


def test_the_image_has_nothing_of_ours_and_the_payload_no_torch(images: Images) -> None:
    program = "import importlib.util as it; print([bool(it.find_spec(name)) for name in ('torch', 'trainyard_api')])"
    assert _in(images.own, "python", "-c", program) == "[True, False]"
    assert _in(images.payload, "python", "-c", program) == "[False, True]"


def test_the_payload_is_for_every_python_and_lists_what_is_in_it(images: Images) -> None:
    program = "import json, pathlib; print(json.dumps([str(it) for it in pathlib.Path('/opt/trainyard/payload')"
    program += ".glob('cp3*/*.dist-info')]))"
    found = [path.split("/")[-2:] for path in json.loads(_in(images.payload, "python", "-c", program))]
    installed = {version: {name for folder, name in found if folder == version} for version, _ in found}
    assert sorted(installed) == ["cp311", "cp312", "cp313", "cp314"]
    bill = json.loads(_in(images.payload, "cat", "/opt/trainyard/sbom.cdx.json"))["components"]
    listed = {f"{one['name'].replace('-', '_')}-{one['version']}.dist-info" for one in bill}
    assert set().union(*installed.values()) == listed
    size = int(docker("image", "inspect", "--format", "{{.Size}}", images.payload))
    print(f"payload {size / 1e6:.0f} MB")


def _in(image: str, *words: str) -> str:
    return docker("run", "--rm", "--read-only", "--network", "none", "--entrypoint", words[0], image, *words[1:])
