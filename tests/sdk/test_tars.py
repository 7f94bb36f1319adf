"""Pictures in tars, streamed by a program under two ranks from a bucket."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from support.launched import ScriptJob
from support.s3_server import S3Server
from support.shards import tar_bytes
from trainyard_storage import open_store

ROWS = 50
PROGRAM = """
    import io, json
    from pathlib import Path
    import numpy as np
    from PIL import Image
    from trainyard_trainer import current_job

    job = current_job()
    job.init_process_group()
    reader = job.data("train", batch_size=8, decode=lambda field, data: np.asarray(Image.open(io.BytesIO(data))))
    seen = []
    for batch in reader.epoch(0):
        good = batch.weight > 0
        seen += zip(batch.fields["__key__"][good].tolist(), batch.fields["png"][good].mean(axis=(1, 2)).tolist())
    Path(f"seen-{job.rank}.json").write_text(json.dumps([seen, len(reader.bad_samples)]))
"""


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), number, np.uint8)).save(stream, "png")
    return stream.getvalue()


def test_pictures_in_a_bucket(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.bucket()
    for first in (0, 25):
        bodies = {number: png(number) if number != 30 else b"no picture" for number in range(first, first + 25)}
        members = [(f"{number:03}.png", body) for number, body in bodies.items()]
        open_store(bucket).put(f"tars/{first:02}.tar", tar_bytes(members))
    data = {"splits": {"train": f"{bucket}/tars/*.tar"}, "maxBadShare": 0.05}
    job = ScriptJob(tmp_path, PROGRAM, processesPerNode=2, script={"command": ["train.py"], "data": data})
    done = job.run()
    assert done.code == 0, done.err
    ranks = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in range(2)]
    seen = [tuple(sample) for samples, _ in ranks for sample in samples]
    assert sorted(seen) == [(f"{number:03}", number) for number in range(ROWS) if number != 30]
    assert sum(bad for _, bad in ranks) == 1
    assert not list((job.run_folder / "data").rglob("*.parquet"))
