"""What Prometheus is told of a real run while it trains: by the command, over HTTP, read by Prometheus' own parser."""

import contextlib
import urllib.request
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.images import write_images
from support.launched import wait_until
from support.running import metrics_port, running

BAD = 3


def scrape(folder: Path) -> dict[str, Metric]:
    """Metric families by name; none while nobody answers yet."""
    with contextlib.suppress(OSError):
        if port := metrics_port(folder):
            told = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
            return {family.name: family for family in text_string_to_metric_families(told)}
    return {}


def value(families: dict[str, Metric], name: str) -> float:
    """The only sample of this name without a label; -1 if there is none."""
    found = [s.value for family in families.values() for s in family.samples if s.name == name and not s.labels]
    return float(found[0]) if found else -1.0


def test_a_recipe_tells_all_while_it_trains(tmp_path: Path) -> None:
    write_images(tmp_path / "data.tar", bad=BAD, count=60)
    recipe = {
        "data": {"uri": "data.tar", "target": "cls", "maxBadShare": 0.1},
        "prepare": {"duplicates": "keep"},
        "model": {"type": "cnn", "channels": [2], "hidden": [2]},
        "train": {"epochs": 1_000_000, "batchSize": 8},
    }

    def told() -> dict[str, Metric] | None:
        found = scrape(tmp_path)
        saved = value(found, "trainyard_checkpoint_seconds_count") >= 1
        return found if value(found, "trainyard_epoch") >= 2 and saved else None

    with running(tmp_path, recipe=recipe, checkpoint={"everySteps": 20}):
        families = wait_until(told, "two epochs and a checkpoint are told")
        kinds = {name: family.type for name, family in families.items() if name.startswith("trainyard_")}
        assert kinds == {
            **dict.fromkeys(("trainyard_samples", "trainyard_data_wait_seconds"), "counter"),
            **dict.fromkeys(("trainyard_bad_samples", "trainyard_telemetry_failures"), "counter"),
            **dict.fromkeys(("trainyard_step_seconds", "trainyard_checkpoint_seconds"), "histogram"),
            **dict.fromkeys(("trainyard_training_loss", "trainyard_gradient_norm"), "gauge"),
            **dict.fromkeys(("trainyard_learning_rate", "trainyard_epoch", "trainyard_step"), "gauge"),
            **dict.fromkeys(("trainyard_last_checkpoint_timestamp_seconds", "trainyard_metric"), "gauge"),
        }
        assert value(families, "trainyard_bad_samples_total") == BAD
        assert value(families, "trainyard_training_loss") > 0
        assert value(families, "trainyard_gradient_norm") > 0
        assert value(families, "trainyard_learning_rate") == 0.001
        assert value(families, "trainyard_telemetry_failures_total") == 0
        assert value(families, "trainyard_samples_total") >= 16
        assert value(families, "trainyard_step_seconds_count") >= 4
        assert value(families, "trainyard_step_seconds_sum") > 0
        before = value(families, "trainyard_step")
        wait_until(lambda: value(scrape(tmp_path), "trainyard_step") > before, "training goes on")


def test_a_program_tells_its_own_metrics_and_bad_samples(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"x": 1, "y": 2}\n' * 60 + "not json\n" * BAD)
    data = {"uri": "data.jsonl", "maxBadShare": 0.1}
    (tmp_path / "train.py").write_text(
        "import itertools, torch\n"
        "from trainyard_trainer import current_job\n"
        "job = current_job()\n"
        "reader = job.data('train', batch_size=8)\n"
        "checkpoints = job.checkpointer({'model': torch.nn.Linear(1, 1)})\n"
        "for step in itertools.count(1):\n"
        "    checkpoints.step(step, samples=8)\n"
        "    job.log(step, loss=0.5, bleu=12.5)\n"
    )

    def told() -> dict[str, Metric] | None:
        found = scrape(tmp_path)
        return found if value(found, "trainyard_step_seconds_count") >= 2 else None

    with running(tmp_path, script={"command": ["train.py"], "data": data}):
        families = wait_until(told, "two steps are told")
        assert value(families, "trainyard_bad_samples_total") == BAD
        assert value(families, "trainyard_training_loss") == 0.5
        assert value(families, "trainyard_samples_total") >= 8
        assert [(s.labels, s.value) for s in families["trainyard_metric"].samples] == [({"name": "bleu"}, 12.5)]
