"""Tars for a script: read where they lie, or cut anew when they must be divided; the program sees the same."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.prepared import Result, run_script_stage
from support.s3_server import S3Server
from support.shards import npy, tar_bytes
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_storage import open_store
from trainyard_trainer.data import SplitReader
from trainyard_trainer.prepare import tars

ALL = {"validation": 0.0, "test": 0.0}


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 3), number).save(stream, "png")
    return stream.getvalue()


def sample(number: int) -> list[tuple[str, bytes]]:
    grid = npy(np.full((2, 2), number, np.int16))
    bodies = {"png": png(number), "npy": grid, "cls": b"%d" % (number % 3), "txt": f"n {number}".encode()}
    return [(f"a/{number:03}.{ending}", body) for ending, body in {**bodies, "json": b'{"n": %d}' % number}.items()]


def write(folder: Path, name: str, numbers: range, **spoilt: bytes) -> None:
    """A tar of samples; `spoilt` gives the first of them another file by ending."""
    members = [member for number in numbers for member in sample(number)]
    folder.mkdir(parents=True, exist_ok=True)
    bad = {f"a/{numbers[0]:03}.{ending}": body for ending, body in spoilt.items()}
    (folder / name).write_bytes(tar_bytes([(name, bad.get(name, body)) for name, body in members]))


def decode(field: str, data: bytes) -> np.ndarray:
    assert field == "png"
    return np.asarray(Image.open(io.BytesIO(data)))


def read(result: Result, split: str, storage: Storage | None = None) -> dict[str, dict[str, Any]]:
    """Every field of every good sample, by the sample's name."""
    reader = SplitReader(
        result.data, result.manifest, split, batch_size=4, seed=0, decode=decode, max_bad_share=0.5, storage=storage
    )
    found: dict[str, dict[str, Any]] = {}
    for batch in reader.epoch(0):
        for row in np.flatnonzero(batch.weight):
            values = {name: values[row] for name, values in batch.fields.items()}
            assert found.setdefault(values["__key__"], values) is values, "each sample once"
    return found


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


@pytest.mark.parametrize("largest", [tars.LARGEST, 0], ids=["in place", "copied"])
def test_the_program_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    monkeypatch.setattr(tars, "LARGEST", largest)
    write(tmp_path / "in", "0.tar", range(20))
    write(tmp_path / "in", "1.tar", range(20, 30))
    splits = {"train": f"{tmp_path}/in/0.tar", "test": f"{tmp_path}/in/1.tar"}
    result = run_script_stage(tmp_path / "run", {"splits": splits})
    kinds = {name: (spec.dtype, spec.shape) for name, spec in result.manifest.fields.items()}
    assert kinds == {
        "__key__": ("str", []),
        "cls": ("int64", []),
        "json": ("json", []),
        "npy": ("int16", [2, 2]),
        "png": ("bytes", []),
        "txt": ("str", []),
    }
    for split, numbers in (("train", range(20)), ("test", range(20, 30))):
        expected = {
            f"a/{n:03}": {
                "__key__": f"a/{n:03}",
                "cls": n % 3,
                "json": {"n": n},
                "npy": [[n, n], [n, n]],
                "png": [[n] * 4] * 3,
                "txt": f"n {n}",
            }
            for n in numbers
        }
        assert {key: plain(values) for key, values in read(result, split).items()} == expected
    assert result.card.splits == {"train": 20, "validation": 0, "test": 10}
    copied = [info.key for info in result.data.list() if info.key.endswith((".parquet", ".tar"))]
    assert bool(copied) == (largest == 0)


def test_what_must_be_divided_is_cut_anew(tmp_path: Path) -> None:
    write(tmp_path, "0.tar", range(40))
    result = run_script_stage(tmp_path / "run", {"uri": f"{tmp_path}/0.tar"})
    assert result.manifest.format == "parquet"
    found = [read(result, split) for split in ("train", "validation", "test")]
    assert sorted(key for part in found for key in part) == [f"a/{n:03}" for n in range(40)]
    assert all(found)


@pytest.mark.parametrize("largest", [tars.LARGEST, 0], ids=["in place", "copied"])
@pytest.mark.parametrize("spoilt", [{"npy": b"no array"}, {"cls": b"four"}, {"json": b"{"}, {"txt": b"\xff"}])
def test_bad_samples_are_counted_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, spoilt: dict[str, bytes]
) -> None:
    monkeypatch.setattr(tars, "LARGEST", largest)
    write(tmp_path / "in", "0.tar", range(10))
    write(tmp_path / "in", "1.tar", range(10, 20), **spoilt)
    data = {"uri": f"{tmp_path}/in", "split": ALL, "maxBadShare": 0.1}
    result = run_script_stage(tmp_path / "run", data)
    assert result.card.bad_samples == 1
    assert "1.tar: a/010" in result.card.bad_examples[0]
    assert sorted(read(result, "train")) == [f"a/{n:03}" for n in range(20) if n != 10]
    with pytest.raises(TrainyardError) as caught:
        run_script_stage(tmp_path / "strict", {**data, "maxBadShare": 0.01})
    assert caught.value.cause == "BadSamples"


def test_in_a_bucket(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.bucket()
    write(tmp_path, "0.tar", range(12))
    open_store(bucket).upload(tmp_path / "0.tar", "deep/in it/0.tar")
    result = run_script_stage(tmp_path / "run", {"uri": f"{bucket}/deep", "split": ALL})
    (shard,) = result.manifest.splits["train"]
    assert shard.key == f"{bucket}/deep/in it/0.tar"
    assert sorted(read(result, "train")) == [f"a/{n:03}" for n in range(12)]


def test_a_tar_that_changed_or_went_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "in", "0.tar", range(12))
    result = run_script_stage(tmp_path / "run", {"uri": f"{tmp_path}/in", "split": ALL})
    path = tmp_path / "in" / "0.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainyardError) as caught:
        read(result, "train")
    assert (caught.value.cause, caught.value.where) == ("DataCorrupt", f"file://{path}")
    path.unlink()
    with pytest.raises(TrainyardError) as caught:
        read(result, "train")
    assert (caught.value.cause, caught.value.where) == ("DataMissing", f"file://{path}")


def test_the_first_sample_is_bad(tmp_path: Path) -> None:
    write(tmp_path, "0.tar", range(5), npy=b"no array")
    for number, split in enumerate((ALL, {})):
        with pytest.raises(TrainyardError, match=r"first sample.*can't be decoded") as caught:
            run_script_stage(tmp_path / f"run-{number}", {"uri": f"{tmp_path}/0.tar", "split": split})
        assert caught.value.cause == "DataCorrupt"
