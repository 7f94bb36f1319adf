"""Everything the SDK gives, in one program under two ranks: data, checkpoints, log, export."""

import json
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest

from support.launched import ScriptJob

ROWS = 230
PROGRAM = """
    import json
    import numpy as np
    import torch
    from pathlib import Path
    from trainyard_trainer import current_job

    job = current_job()
    job.init_process_group()
    torch.manual_seed(0)
    bare = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    model = torch.nn.parallel.DistributedDataParallel(bare)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    checkpoints = job.checkpointer({"model": model, "optimizer": optimizer})
    step = checkpoints.load()
    reader = job.data("train", batch_size=16, seed=4)
    seen = []
    for epoch in range(2):
        for batch in reader.epoch(epoch):
            features = torch.from_numpy(np.stack([batch.fields["a"], batch.fields["b"]], 1)).float()
            labels = torch.from_numpy((batch.fields["kind"] == "yes").astype(np.int64))
            weight = torch.from_numpy(batch.weight)
            losses = torch.nn.functional.cross_entropy(model(features), labels, reduction="none")
            loss = (losses * weight).sum() * job.world / batch.global_weight
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            checkpoints.step(step, samples=int(batch.global_weight))
            job.log(step, epoch, steps=2 * reader.batches_per_epoch, loss=loss.item())
            if epoch == 1:
                seen += batch.fields["a"][batch.weight > 0].tolist()
    Path(f"seen-{job.rank}.json").write_text(json.dumps(seen))
    example = torch.arange(12.0).reshape(6, 2) / 7
    uri = job.export(bare, example)
    if job.rank == 0:
        bare.eval()
        Path("answers.json").write_text(json.dumps([example.tolist(), bare(example).tolist(), uri]))
"""


def archive(folder: Path, program: str) -> Path:
    """The program as a .tar.gz that isn't beside the manifest."""
    (folder / "code").mkdir()
    job = ScriptJob(folder / "code", program)
    (job.folder / "job.yaml").unlink()
    path = folder / "code.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(job.folder / "train.py", "train.py")
    return path


def seen(folder: Path) -> list[float]:
    return [value for rank in range(2) for value in json.loads((folder / f"seen-{rank}.json").read_text())]


def test_data_checkpoints_log_and_export_in_one_program(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    a, b = draw.normal(size=ROWS), draw.normal(size=ROWS)
    pl.DataFrame({"a": a, "b": b, "kind": np.where(a > b, "yes", "no")}).write_csv(tmp_path / "data.csv")
    source = archive(tmp_path, PROGRAM)
    data = {"uri": "data.csv", "target": "kind", "split": {"validation": 0.1, "test": 0.1, "seed": 1}}
    job = ScriptJob(
        tmp_path,
        "raise SystemExit('the archive is to be run')",
        processesPerNode=2,
        checkpoint={"everySteps": 7},
        recovery={"maxRestarts": 0},
        script={"command": ["train.py"], "source": f"file://{source}", "data": data},
    )
    done = job.run()
    assert done.code == 0, done.err

    (manifest,) = (job.run_folder / "data").glob("*/manifest.json")
    parts = pl.concat(pl.read_parquet(path) for path in sorted((manifest.parent / "train").iterdir()))
    rows = parts["a"].to_list()
    folder = job.runtime / "source"
    assert sorted(seen(folder)) == sorted(rows), "each sample exactly once over both ranks"
    assert len(rows) == len(set(rows)) >= 0.7 * ROWS

    steps = 2 * -(-len(rows) // 16)
    history = [json.loads(line) for line in (job.run_folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == list(range(1, steps + 1))
    newest = max((job.run_folder / "checkpoints").glob("step-*/*/COMMITTED"))
    assert newest.parent.parent.name == f"step-{steps // 7 * 7:08d}"

    example, answers, uri = json.loads((folder / "answers.json").read_text())
    assert uri in done.out
    session = onnxruntime.InferenceSession(str(Path(uri.removeprefix("file://")) / "model.onnx"))
    name = session.get_inputs()[0].name
    for count in (1, 6):
        (found,) = session.run(None, {name: np.array(example[:count], np.float32)})
        assert found == pytest.approx(np.array(answers[:count]), abs=1e-5)
