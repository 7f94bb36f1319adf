"""The whole life of a model with data and storage in S3, and nothing of it in a local folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from support.launched import Ended, end_of
from support.s3_server import S3Server

DIABETES = Path(__file__).parents[2] / "examples" / "diabetes"


def trainyard(folder: Path, environment: dict[str, str], *arguments: str) -> Ended:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainyard_cli.main", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return end_of(process)


def test_from_data_to_predictions_in_s3(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.client().upload_file(str(DIABETES / "diabetes.csv"), bucket.removeprefix("s3://"), "data/diabetes.csv")
    manifest = yaml.safe_load((DIABETES / "job.yaml").read_text())
    manifest["spec"]["recipe"]["data"]["uri"] = f"{bucket}/data/diabetes.csv"
    manifest["spec"]["recipe"]["train"]["epochs"] = 3
    manifest["spec"]["storage"] = {"uri": f"{bucket}/runs"}
    manifest["spec"]["checkpoint"] = {"everySteps": 5}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "TRAINYARD_METRICS_PORT": "0",
    }
    done = trainyard(tmp_path, environment, "run", "job.yaml")
    assert done.code == 0, done.err
    listed = s3.client().list_objects_v2(Bucket=bucket.removeprefix("s3://"))["Contents"]
    keys = [item["Key"] for item in listed]
    assert any("/checkpoints/step-" in key and key.endswith("/COMMITTED") for key in keys)
    (published,) = [key for key in keys if key.endswith("PUBLISHED.json")]
    model = json.loads(s3.client().get_object(Bucket=bucket.removeprefix("s3://"), Key=published)["Body"].read())["uri"]
    assert model.startswith(f"{bucket}/runs/default/diabetes/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "job.yaml"]
    answer = trainyard(tmp_path, environment, "predict", model)
    assert answer.code == 0, answer.err
    assert isinstance(json.loads(answer.out)["prediction"], float)
