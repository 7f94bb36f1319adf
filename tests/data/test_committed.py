"""A prepared data set whose bytes rot: whichever file it is, its next reader says so."""

import random
from pathlib import Path

import polars as pl
import pytest

from support.prepared import run_stage
from trainyard_api.documents import Plan
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.data import SplitReader
from trainyard_trainer.data.committed import read_committed
from trainyard_trainer.export.rows import paired_rows
from trainyard_trainer.prepare import committed

FILES = ("manifest.json", "preparation.json", "card.json", "raw/test/", "train/", "validation/", "test/")


@pytest.fixture
def run(tmp_path: Path) -> Store:
    rows = range(200)
    table = pl.DataFrame({"x": [n / 7 for n in rows], "kind": [f"k{n % 3}" for n in rows], "y": [n % 2 for n in rows]})
    table.write_parquet(tmp_path / "t.parquet")
    run_stage(tmp_path / "run", {"uri": str(tmp_path / "t.parquet"), "target": "y"})
    return open_store(str(tmp_path / "run"))


def read_all(run: Store) -> None:
    """As training, publishing and the report do."""
    found = read_committed(run)
    assert found is not None
    plan = Plan.model_validate_json(found.document("preparation.json"))
    found.document("card.json")
    assert found.manifest.raw.keys() == {"test"}
    for split in found.manifest.splits:
        reader = SplitReader(found.data, found.manifest, split, batch_size=32, seed=0)
        assert sum(batch.weight.sum() for batch in reader.epoch(0)) == found.manifest.rows(split)
        reader.close()
    assert sum(len(labels) for *_, labels in paired_rows(found.data, found.manifest, plan, "test")) == 40


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_noticed(run: Store, name: str) -> None:
    read_all(run)
    (info, *_) = (info for info in run.list("data/") if name in info.key and "raw/" + name not in info.key)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    data = bytearray(run.get(info.key))
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    run.put(info.key, data)
    with pytest.raises(TrainyardError) as caught:
        read_all(run)
    assert (caught.value.cause, caught.value.where) == ("DataCorrupt", run.url(info.key))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_is_made_again(run: Store, name: str) -> None:
    assert committed(run) is not None
    run.delete([info.key for info in run.list("data/") if f"/{name}" in info.key])
    assert committed(run) is None
