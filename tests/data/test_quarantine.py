"""Bad samples: left out at their position, counted with key and reason, and too many of them an error."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.shards import npy, tar_bytes
from trainyard_api.documents import DatasetManifest
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.data import SplitReader, reader
from trainyard_trainer.data.index import index_webdataset, sealed, webdataset_fields

MODES = pytest.mark.parametrize("resident", [True, False], ids=["resident", "streamed"])


def dataset(store: Store, shards: list[list[tuple[str, bytes]]]) -> DatasetManifest:
    keys = [f"{number}.tar" for number in range(len(shards))]
    for key, members in zip(keys, shards, strict=True):
        store.put(key, tar_bytes(members))
    fields = webdataset_fields(store, keys[0])
    shards, _ = index_webdataset(store, keys, fields)
    return sealed(DatasetManifest(format="webdataset", fields=fields, splits={"train": shards}, hash=""))


def sample(number: int, bad: str = "") -> list[tuple[str, bytes]]:
    """One sample; `bad` says in which way it's bad."""
    array = npy(np.full(2, number, np.int32))
    bodies = {"garbled": b"garbage", "cut": array[:-3], "dtype": npy(np.zeros(2)), "shape": npy(np.zeros(3, np.int32))}
    class_body = b"four" if bad == "class" else str(number).encode()
    members = [(f"{number:03d}.npy", bodies.get(bad, array)), (f"{number:03d}.cls", class_body)]
    return members[:1] if bad == "lonely" else members


@MODES
def test_bad_samples_keep_their_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident: bool) -> None:
    if not resident:
        monkeypatch.setattr(reader, "RESIDENT_BYTES", 0)
    bad = {3: "garbled", 8: "cut", 12: "dtype", 17: "shape", 22: "class", 23: "lonely"}
    good_store, bad_store = open_store(str(tmp_path / "good")), open_store(str(tmp_path / "bad"))
    shards = [range(10), range(10, 20), range(20, 30)]
    good = dataset(good_store, [[m for n in shard for m in sample(n)] for shard in shards])
    spoilt = dataset(bad_store, [[m for n in shard for m in sample(n, bad.get(n, ""))] for shard in shards])
    spoilt = spoilt.model_copy(update={"hash": good.hash})  # the same order
    whole = SplitReader(good_store, good, "train", batch_size=8, seed=1)
    one = SplitReader(bad_store, spoilt, "train", batch_size=8, seed=1, max_bad_share=0.2)
    for epoch in range(2):
        for expected, batch in zip(whole.epoch(epoch), one.epoch(epoch), strict=True):
            hit = np.isin(expected.fields["cls"], list(bad))
            assert np.array_equal(batch.weight, expected.weight * ~hit)
            assert np.array_equal(batch.fields["cls"][~hit], expected.fields["cls"][~hit])
            assert np.array_equal(batch.fields["npy"][~hit], expected.fields["npy"][~hit])
            assert batch.global_weight == expected.global_weight
    found = {entry.key: entry for entry in one.bad_samples}
    assert sorted(found) == [f"{number:03d}" for number in bad]
    assert "float64" in found["012"].reason
    assert found["012"].shard == bad_store.url("1.tar")
    assert "no .cls" in found["023"].reason


def test_too_many_bad_samples_stop_the_run(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = dataset(store, [[m for n in range(10) for m in sample(n, "garbled" if n in (4, 5) else "")]])
    with pytest.raises(TrainyardError) as caught:
        list(SplitReader(store, manifest, "train", batch_size=2, seed=0, max_bad_share=0.1).epoch(0))
    assert caught.value.cause == "BadSamples"
    assert "005" in caught.value.what
    assert len(list(SplitReader(store, manifest, "train", batch_size=2, seed=0, max_bad_share=0.2).epoch(0))) == 5


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), value).save(stream, "png")
    return stream.getvalue()


@MODES
def test_images_are_decoded_by_the_callers_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident: bool
) -> None:
    if not resident:
        monkeypatch.setattr(reader, "RESIDENT_BYTES", 0)
    store = open_store(str(tmp_path))
    bodies = [png(number) if number != 6 else b"no image" for number in range(9)]
    members = [[(f"{n}.png", body), (f"{n}.cls", str(n).encode())] for n, body in enumerate(bodies)]
    manifest = dataset(store, [[member for pair in members for member in pair]])

    def decode(field: str, data: bytes) -> np.ndarray:
        assert field == "png"
        return np.asarray(Image.open(io.BytesIO(data)))

    one = SplitReader(store, manifest, "train", batch_size=3, seed=0, decode=decode, max_bad_share=0.2)
    for batch in one.epoch(0):
        assert batch.fields["png"].shape == (3, 2, 3)
        assert batch.fields["png"].dtype == np.uint8
        good = batch.weight > 0
        assert np.array_equal(batch.fields["png"][good, 1, 2], batch.fields["cls"][good])
        assert np.array_equal(good, batch.fields["cls"] != 6)
    assert [(bad.key, bad.reason.split(":")[0]) for bad in one.bad_samples] == [("sample 6", ".png")]


def test_text_json_and_bytes(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    members = [("1.txt", "ä".encode()), ("1.json", b'{"a": [1]}'), ("1.jpg", b"raw")]
    manifest = dataset(store, [members])
    assert {name: spec.dtype for name, spec in manifest.fields.items()} == {
        "__key__": "str",
        "txt": "str",
        "json": "json",
        "jpg": "bytes",
    }
    (batch,) = SplitReader(store, manifest, "train", batch_size=1, seed=0).epoch(0)
    assert [batch.fields[name][0] for name in ("__key__", "txt", "json", "jpg")] == ["1", "ä", {"a": [1]}, b"raw"]


def test_no_tar_and_no_samples(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("text.tar", b"This is no tar." * 100)
    store.put("empty.tar", tar_bytes([]))
    for call in (lambda key: index_webdataset(store, [key], {}), lambda key: webdataset_fields(store, key)):
        with pytest.raises(TrainyardError) as caught:
            call("text.tar")
        assert (caught.value.cause, caught.value.where) == ("DataCorrupt", store.url("text.tar"))
    assert [shard.rows for shard in index_webdataset(store, ["empty.tar"], {})[0]] == [0]
    with pytest.raises(TrainyardError, match="no samples"):
        webdataset_fields(store, "empty.tar")
