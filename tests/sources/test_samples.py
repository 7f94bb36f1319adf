"""Image folders and tars, through the whole stage."""

import io
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from support.prepared import as_arrays, run_script_stage, run_stage
from trainyard_api.errors import TrainyardError

ROWS = 60


def pixels(number: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def png(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def image_folder(root: Path, shape: tuple[int, ...] = (6, 5)) -> Path:
    for number in range(ROWS):
        place = root / ("cat" if number % 2 else "dog") / f"{number:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(pixels(number, shape)))
    return root


def test_images_keep_their_pixels(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "in")
    result = run_stage(tmp_path / "run", {"uri": str(folder)})
    assert result.plan.target.classes == ["cat", "dog"]
    assert (result.plan.inputs[0].dtype, result.plan.inputs[0].layout) == ("uint8", "HW")
    found = {
        image.tobytes(): label
        for s in result.manifest.splits
        for image, label in zip(result.features(s), result.labels(s), strict=True)
    }
    assert found == {pixels(number).tobytes(): 1 - number % 2 for number in range(ROWS)}
    assert not list(result.data.list("raw/"))  # they'd be the features once more


@pytest.mark.parametrize("scale", ["standard", "minmax", "symmetric", "robust"])
def test_channels_are_scaled_each_by_itself(tmp_path: Path, scale: str) -> None:
    result = run_stage(tmp_path / "run", {"uri": str(image_folder(tmp_path / "in", (4, 3, 3)))}, {"scale": scale})
    step = result.plan.steps[-1]
    assert result.plan.inputs[0].layout == "HWC"
    x = (result.features("train").astype(np.float64) - step.offset) / step.factor
    if scale == "standard":
        np.testing.assert_allclose([x.mean(axis=(0, 1, 2)), x.std(axis=(0, 1, 2))], [[0] * 3, [1] * 3], atol=1e-6)
    elif scale == "robust":
        np.testing.assert_allclose(np.quantile(x, [0.25, 0.5, 0.75], axis=(0, 1, 2))[1], 0, atol=1e-6)
    else:
        low = 0 if scale == "minmax" else -1
        assert x.min(axis=(0, 1, 2)) == pytest.approx([low] * 3)
        assert x.max(axis=(0, 1, 2)) == pytest.approx([1] * 3)


def test_images_are_brought_to_one_shape(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "in")
    (folder / "cat" / "big.png").write_bytes(png(pixels(99, (20, 30, 3))))
    result = run_stage(tmp_path / "run", {"uri": str(folder)}, {"image": {"height": 8, "channels": 3}})
    assert result.manifest.fields["features"].shape == [8, 5, 3]
    assert sum(result.manifest.rows(split) for split in result.manifest.splits) == ROWS + 1


def test_a_corrupt_image_is_left_out_and_named(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "in")
    broken = folder / "cat" / "001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(TrainyardError, match=r"1 of 60 samples can't be read.*\n.*cat/001.png") as caught:
        run_stage(tmp_path / "run", {"uri": str(folder)})
    assert caught.value.cause == "BadSamples"
    result = run_stage(tmp_path / "run", {"uri": str(folder), "maxBadShare": 0.02})
    assert result.card.bad_samples == 1
    assert result.card.bad_examples[0].startswith("cat/001.png: is no readable image")
    assert (result.card.steps[0].rows_in, result.card.steps[0].rows_out) == (60, 59)


def tar_members(numbers: range) -> list[tuple[str, bytes]]:
    pairs = [[(f"a/{n:03}.png", png(pixels(n))), (f"a/{n:03}.cls", str(n % 3).encode())] for n in numbers]
    return [member for pair in pairs for member in pair]


def test_tars_of_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", tar_members(range(30)))
    write_tar(tmp_path / "1.tar", tar_members(range(30, ROWS)))
    result = run_stage(tmp_path / "run", {"uri": f"{tmp_path}/*.tar"})
    assert result.plan.target.classes == ["0", "1", "2"]
    found = {
        image.tobytes(): label
        for s in result.manifest.splits
        for image, label in zip(result.features(s), result.labels(s), strict=True)
    }
    assert found == {pixels(number).tobytes(): number % 3 for number in range(ROWS)}


def test_names_in_tars_need_not_be_utf8(tmp_path: Path) -> None:
    """A name's bytes are told as Python writes them; two names never become one."""
    members = []
    for number in range(ROWS):
        name = f"caf{chr(0xE0 + number % 16)}{number // 16}"
        members += [(f"{name}.png", png(pixels(number))), (f"{name}.cls", b"ab"[number % 2 : number % 2 + 1])]
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    result = run_stage(tmp_path / "run", {"uri": str(tmp_path / "a.tar")})
    assert sum(result.card.splits.values()) == ROWS
    script = run_script_stage(tmp_path / "script", {"uri": str(tmp_path / "a.tar")})
    keys = [key for split in script.manifest.splits for key in script.frame(split)["__key__"]]
    assert len(set(keys)) == ROWS
    assert "caf\\xe90" in keys


def test_tars_of_arrays_with_classes_in_json(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, 2, 3)).astype(np.float32)
    members = [
        member
        for n in range(ROWS)
        for member in ((f"{n}.npy", npy(values[n])), (f"{n}.json", b'{"kind": "%s"}' % (b"ab"[n % 2 : n % 2 + 1])))
    ]
    members += [("bad.npy", npy(np.full((2, 3), np.nan, np.float32))), ("bad.json", b'{"kind": "a"}')]
    members += [("odd.npy", npy(values[0, 0])), ("odd.json", b'{"kind": "a"}'), ("no.npy", npy(values[0]))]
    write_tar(tmp_path / "x.tar", members)
    result = run_stage(tmp_path / "run", {"uri": f"{tmp_path}/x.tar", "target": "kind", "maxBadShare": 0.1})
    assert result.manifest.fields["features"].dtype == "float32"
    assert result.card.bad_samples == 3
    assert sorted(example.split(":")[1].strip() for example in result.card.bad_examples) == ["bad", "no", "odd"]
    assert sum(result.manifest.rows(split) for split in result.manifest.splits) == ROWS


@pytest.mark.parametrize("damage", ["cut", "zeroed", "noise", "none"])
def test_a_corrupt_tar_is_one_plain_error(tmp_path: Path, damage: str) -> None:
    write_tar(tmp_path / "0.tar", tar_members(range(10)))
    write_tar(tmp_path / "1.tar", tar_members(range(10, 20)))
    data = bytearray((tmp_path / "1.tar").read_bytes())
    if damage == "cut":
        data = data[: len(data) // 3]
    elif damage == "zeroed":
        data = bytearray(len(data))
        data[0] = 1
    elif damage == "noise":
        data[4096:4608] = bytes(range(256)) * 2
    (tmp_path / "1.tar").write_bytes(data)
    fields = {"uri": f"{tmp_path}/*.tar"}
    if damage == "none":
        assert run_stage(tmp_path / "run", fields).manifest.rows("train") == 14
        return
    with pytest.raises(TrainyardError, match=r"tar file is corrupt.*\n.*1\.tar") as caught:
        run_stage(tmp_path / "run", fields)
    assert caught.value.cause == "DataCorrupt"
    assert not (tmp_path / "run").exists()


def test_scripts_get_every_column_as_it_is(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "n": range(ROWS),
            "x": [None if n == 3 else n / 7 for n in range(ROWS)],
            "hole": [None if n == 5 else n for n in range(ROWS)],
            "text": [None if n == 4 else f"line {n}" for n in range(ROWS)],
            "flag": [n % 2 == 0 for n in range(ROWS)],
            "grid": pl.Series(
                values=np.arange(ROWS * 4, dtype=np.int16).reshape(ROWS, 2, 2), dtype=pl.Array(pl.Int16, (2, 2))
            ),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    result = run_script_stage(tmp_path / "run", {"uri": f"{tmp_path}/t.parquet", "split": {"test": 0.25}})
    kinds = {name: (field.dtype, field.shape) for name, field in result.manifest.fields.items()}
    assert kinds == {
        "n": ("int64", []),
        "x": ("float64", []),
        "hole": ("float64", []),
        "text": ("str", []),
        "flag": ("bool", []),
        "grid": ("int16", [2, 2]),
    }
    assert result.manifest.rows("test") == ROWS // 4
    back = pl.concat([result.frame(split) for split in result.manifest.splits]).sort("n")
    assert back["n"].to_list() == list(range(ROWS))
    assert back["text"].to_list() == frame["text"].fill_null("").to_list()
    assert back["x"].fill_nan(None).to_list() == frame["x"].to_list()
    np.testing.assert_array_equal(as_arrays(back["grid"], "int16", [2, 2]), frame["grid"].to_numpy())


def test_jpegs_of_any_mode(tmp_path: Path) -> None:
    """Grey, colour and CMYK, under all endings; JPEG loses a little of smooth pictures."""
    ramp = np.linspace(0, 250, 16 * 16).reshape(16, 16).astype(np.uint8)
    for number in range(ROWS):
        place = tmp_path / "in" / ("cat" if number % 2 else "dog") / f"{number}.{('jpg', 'jpeg', 'JPG')[number % 3]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = ("RGB", "L", "CMYK")[number % 3]
        Image.fromarray(ramp).convert("RGB").convert(mode).save(place, "JPEG", quality=95)
    result = run_stage(
        tmp_path / "run", {"uri": str(tmp_path / "in")}, {"duplicates": "keep", "image": {"channels": 3}}
    )
    assert result.plan.inputs[0].shape == [16, 16, 3]
    found = result.features("train").astype(int)
    assert np.abs(found - ramp[..., None].astype(int)).max() <= 8


def test_outliers_of_arrays_are_left_and_the_card_says_so(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "in")
    result = run_stage(tmp_path / "run", {"uri": str(folder)}, {"outliers": {"method": "iqr"}})
    (said,) = (step for step in result.card.steps if step.step == "skip outliers")
    assert said.rows_in == said.rows_out
    assert "image" in said.why


def test_images_are_stored_as_their_bytes_in_small_shards(tmp_path: Path) -> None:
    samples = [(f"{n:04}.npy", npy(pixels(n, (256, 256)))) for n in range(200)]
    labels = [(f"{n:04}.cls", str(n % 2).encode()) for n in range(200)]
    write_tar(tmp_path / "t.tar", [member for pair in zip(samples, labels, strict=True) for member in pair])
    result = run_stage(tmp_path / "run", {"uri": str(tmp_path / "t.tar"), "split": {"test": 0.0, "validation": 0.0}})
    assert result.frame("train").schema["features"] == pl.Binary
    shards = result.manifest.splits["train"]
    assert len(shards) >= 8
    assert all(shard.bytes <= 1.05 * max(8 * 2**20, shard.rows * 2**16) for shard in shards)
    assert sum(shard.bytes for shard in shards) < 1.05 * 200 * 2**16
