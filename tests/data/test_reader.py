"""The reader over real shards: whole epochs, resumption, world sizes, damage."""

import os
import threading
import weakref
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.prepared import run_script_stage
from support.s3_server import S3Server
from support.shards import index_parquet, parquet_dataset, tar_dataset
from trainyard_api.documents import DatasetManifest, FieldSpec
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.data import SplitReader, reader
from trainyard_trainer.data.index import sealed
from trainyard_trainer.data.shards import Decoded, decode_parquet, memory_bytes

Build = Callable[..., DatasetManifest]
BUILDERS = pytest.mark.parametrize("build", [parquet_dataset, tar_dataset], ids=["parquet", "tar"])
MODES = pytest.mark.parametrize("resident", [True, False], ids=["resident", "streamed"])


def stream_everything(monkeypatch: pytest.MonkeyPatch, resident: bool) -> None:
    """Unless `resident`: as if every split were too large for memory."""
    if not resident:
        monkeypatch.setattr(reader, "RESIDENT_BYTES", 0)


def labels(one: SplitReader, epoch: int, start: int = 0) -> list[list[int]]:
    name = "label" if "label" in one._fields else "cls"
    return [
        [int(value) if weight else -1 for value, weight in zip(batch.fields[name], batch.weight, strict=True)]
        for batch in one.epoch(epoch, start)
    ]


@BUILDERS
@MODES
def test_an_epoch_holds_every_sample_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build, resident: bool
) -> None:
    stream_everything(monkeypatch, resident)
    store = open_store(str(tmp_path))
    manifest = build(store, [13, *([0] if build is parquet_dataset else []), 40, 25, 7])
    one = SplitReader(store, manifest, "train", batch_size=16, seed=1)
    for epoch in range(2):
        seen = []
        for index, batch in enumerate(one.epoch(epoch)):
            values = batch.fields["features" if build is parquet_dataset else "npy"]
            assert values.shape == (16, 3)
            assert batch.index == index
            assert batch.weight.dtype == np.float32
            assert batch.global_weight == batch.weight.sum()
            target = batch.fields["label" if build is parquet_dataset else "cls"]
            assert np.array_equal(values[:, 2], target)
            seen += target[batch.weight > 0].tolist()
        assert index + 1 == one.batches_per_epoch
        assert sorted(seen) == list(range(85))
    one.close()


@settings(max_examples=8, deadline=None)
@given(data=st.data(), rows=st.lists(st.integers(1, 25), min_size=1, max_size=7), batch=st.sampled_from([3, 4, 8, 24]))
@pytest.mark.parametrize("resident", [True, False])
def test_any_world_and_any_start_give_the_same_batches(
    tmp_path_factory: pytest.TempPathFactory, resident: bool, data: st.DataObject, rows: list[int], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        stream_everything(monkeypatch, resident)
        store = open_store(str(tmp_path_factory.mktemp("data")))
        manifest = parquet_dataset(store, rows)
        epoch = data.draw(st.integers(0, 3))
        whole = labels(SplitReader(store, manifest, "train", batch_size=batch, seed=5), epoch)
        start = data.draw(st.integers(0, len(whole)))
        for world in (1, 2, 3, 4):
            readers = [
                SplitReader(store, manifest, "train", batch_size=batch, seed=5, rank=rank, world=world)
                for rank in range(world)
            ]
            ranks = [labels(one, epoch, start) for one in readers]
            assert [list(chain(*parts)) for parts in zip(*ranks, strict=True)] == whole[start:]


@MODES
def test_epochs_out_of_order_and_left_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident: bool) -> None:
    stream_everything(monkeypatch, resident)
    store = open_store(str(tmp_path))
    manifest = parquet_dataset(store, [20] * 6)
    one, fresh = (SplitReader(store, manifest, "train", batch_size=8, seed=5) for _ in range(2))
    expected = {epoch: labels(fresh, epoch) for epoch in (0, 1, 2)}
    next(one.epoch(0))
    assert labels(one, 2) == expected[2]
    begun = one.epoch(0)
    next(begun)
    assert labels(one, 1, 4) == expected[1][4:]
    assert labels(one, 0) == expected[0]
    assert labels(one, 1) == expected[1]


def test_without_shuffle_rows_come_in_order(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    one = SplitReader(store, parquet_dataset(store, [3, 4]), "train", batch_size=4, seed=0, shuffle=False)
    assert labels(one, 0) == labels(one, 1) == [[0, 1, 2, 3], [4, 5, 6, -1]]


def test_more_ranks_than_samples_in_a_batch_and_no_such_split(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = parquet_dataset(store, [5])
    idle = SplitReader(store, manifest, "train", batch_size=2, seed=0, rank=0, world=3)
    assert [batch.fields["features"].shape for batch in idle.epoch(0)] == [(0, 3)] * 3
    assert SplitReader(store, manifest, "test", batch_size=2, seed=0).batches_per_epoch == 0


def test_from_s3_it_is_the_same(s3: S3Server, tmp_path: Path) -> None:
    local, remote = open_store(str(tmp_path)), open_store(f"{s3.bucket()}/data")
    manifest = parquet_dataset(remote, [9, 9])
    assert parquet_dataset(local, [9, 9]) == manifest
    readers = [SplitReader(store, manifest, "train", batch_size=4, seed=0) for store in (local, remote)]
    assert labels(readers[0], 0) == labels(readers[1], 0)


@BUILDERS
@MODES
def test_a_flipped_byte_names_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build, resident: bool
) -> None:
    stream_everything(monkeypatch, resident)
    store = open_store(str(tmp_path))
    manifest = build(store, [9, 9])
    shard = manifest.splits["train"][1]
    data = bytearray(store.get(shard.key))
    data[len(data) // 2] ^= 1
    store.put(shard.key, data)
    with pytest.raises(TrainyardError) as caught:
        labels(SplitReader(store, manifest, "train", batch_size=4, seed=0), 0)
    assert caught.value.cause == "DataCorrupt"
    assert caught.value.where == store.url(shard.key)


def test_a_byte_flipped_on_the_way_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path))
    manifest = parquet_dataset(store, [9])
    right, reads = store.get(manifest.splits["train"][0].key), []

    def flaky(self: Store, key: str) -> memoryview:
        reads.append(key)
        return memoryview(right if len(reads) > 1 else bytes([right[0] ^ 1]) + right[1:])

    monkeypatch.setattr(Store, "_read", flaky)
    assert len(labels(SplitReader(store, manifest, "train", batch_size=9, seed=0), 0)) == 1
    assert len(reads) == 2


def test_a_missing_shard_and_a_wrong_column(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = parquet_dataset(store, [9, 9])
    features = manifest.fields["features"].model_copy(update={"shape": [2]})
    narrow = manifest.model_copy(update={"fields": {**manifest.fields, "features": features}})
    with pytest.raises(TrainyardError, match="features"):
        labels(SplitReader(store, narrow, "train", batch_size=4, seed=0), 0)
    store.delete([manifest.splits["train"][0].key])
    with pytest.raises(TrainyardError) as caught:
        labels(SplitReader(store, manifest, "train", batch_size=4, seed=0), 0)
    assert caught.value.cause == "DataMissing"


def test_reading_forks_nothing_and_uses_threads_only(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore's threads don't survive a fork, so a reader must never make one."""

    def forbidden(*_: object) -> None:
        raise AssertionError("a process was made")

    monkeypatch.setattr(reader, "RESIDENT_BYTES", 0)
    for name in ("fork", "posix_spawn", "forkpty"):
        monkeypatch.setattr(os, name, forbidden)
    store = open_store(s3.bucket())
    one = SplitReader(store, parquet_dataset(store, [9, 9]), "train", batch_size=4, seed=0)
    batches = one.epoch(0)
    next(batches)
    assert {thread.name.rpartition("_")[0] for thread in threading.enumerate()} >= {"read-train", "batches"}
    list(batches)


def test_a_reader_carried_over_a_fork_says_so(tmp_path: Path) -> None:
    """As a DataLoader with workers would do it: an error, not a hang."""
    store = open_store(str(tmp_path))
    one = SplitReader(store, parquet_dataset(store, [9, 9]), "train", batch_size=4, seed=0)
    child = os.fork()
    if child == 0:
        try:
            next(one.epoch(0))
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_tensors_as_binary_values(tmp_path: Path) -> None:
    """Parquet has no type for small integers: an array of uint8 takes four times the bytes, as binary just its own."""
    store = open_store(str(tmp_path))
    for side in (4, 80):  # small values are kept as one array, large ones apart
        images = np.random.default_rng(side).integers(0, 256, (9, side, side), dtype=np.uint8)
        frame = pl.DataFrame({"features": [image.tobytes() for image in images], "label": np.arange(9)})
        frame.write_parquet(tmp_path / "x.parquet")
        fields = {"features": FieldSpec(dtype="uint8", shape=[side, side]), "label": FieldSpec(dtype="int64")}
        splits = {"train": index_parquet(store, ["x.parquet"])}
        manifest = sealed(DatasetManifest(format="parquet", fields=fields, splits=splits, hash=""))
        (batch,) = SplitReader(store, manifest, "train", batch_size=9, seed=0).epoch(0)
        assert np.array_equal(batch.fields["features"], images[batch.fields["label"]])


def test_few_shards_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays flat: shards open and read ahead are at most twice what is mixed, and three."""
    monkeypatch.setattr(reader, "RESIDENT_BYTES", 0)
    store = open_store(str(tmp_path))
    manifest = parquet_dataset(store, [16] * 40)
    monkeypatch.setattr(reader, "MIXED_BYTES", 4 * manifest.splits["train"][0].bytes)
    alive: weakref.WeakSet[Decoded] = weakref.WeakSet()
    most = 0

    def counted(*args: object) -> Decoded:
        nonlocal most
        decoded = decode_parquet(*args)  # type: ignore[arg-type]
        alive.add(decoded)
        most = max(most, len(alive))
        return decoded

    monkeypatch.setattr(reader, "decode_parquet", counted)
    one = SplitReader(store, manifest, "train", batch_size=8, seed=0)
    for epoch in range(3):
        assert sum(len(row) for row in labels(one, epoch)) == 640
    assert 4 <= most <= 12


def test_texts_that_compress_well_are_not_taken_for_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split that fits as Parquet, but not decoded, is read anew in every epoch, and fails without its shards."""
    table = pl.DataFrame({"text": [f"{n}" + "a" * 20_000 for n in range(200)]})
    table.write_parquet(tmp_path / "t.parquet")
    made = run_script_stage(tmp_path / "run", {"uri": str(tmp_path / "t.parquet")})
    shards = made.manifest.splits["train"]
    assert sum(shard.bytes for shard in shards) < 100_000
    assert sum(memory_bytes(shard, made.manifest.fields) for shard in shards) > 140 * 20_000
    monkeypatch.setattr(reader, "RESIDENT_BYTES", 1_000_000)
    read = SplitReader(made.data, made.manifest, "train", batch_size=20, seed=0)
    assert sum(batch.weight.sum() for batch in read.epoch(0)) == 140
    made.data.delete([shard.key for shard in shards])
    with pytest.raises(TrainyardError, match="missing"):
        list(read.epoch(1))
    read.close()
