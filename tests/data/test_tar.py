"""Our tar reader against Python's own, and what it says of damage."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.shards import npy, tar_bytes
from trainyard_trainer.data.shards import decode_npy
from trainyard_trainer.data.tar import CorruptTarError, members, samples

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=200
)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=8), FORMATS)
def test_members_are_those_of_pythons_tarfile(files: list[tuple[str, bytes]], format: int) -> None:
    try:
        data = tar_bytes(files, format)
    except ValueError:  # ustar has no room for long names
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(info.name, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
    assert [(name, bytes(body)) for name, body in members(memoryview(data))] == expected


def test_long_paths_and_other_kinds_of_members() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind in (("folder", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE), ("d" * 90 + "/" + "f" * 90, b"0")):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    assert [name for name, _ in members(memoryview(stream.getvalue()))] == ["d" * 90 + "/" + "f" * 90]


def test_samples_are_groups_by_name() -> None:
    names = ["a/1.npy", "a/1.seg.PNG", "b/1.npy", "__meta__.json", "2", ".hidden", "a/1.npy", "a/1.npy"]
    found = [(key, sorted(fields)) for key, fields in samples(memoryview(tar_bytes([(name, b"") for name in names])))]
    assert found == [("a/1", ["npy", "seg.png"]), ("b/1", ["npy"]), ("a/1", ["npy"]), ("a/1", ["npy"])]


@pytest.mark.parametrize("cut", [0, 1, 511, 600, 1400, 1536 + 100])
def test_a_tar_cut_short(cut: int) -> None:
    data = tar_bytes([("a.npy", b"x" * 1000), ("b.npy", b"y" * 1000)])
    with pytest.raises(CorruptTarError, match="cut short"):
        list(members(memoryview(data[:cut])))


@pytest.mark.parametrize("place", [0, 130, 150])
def test_a_damaged_header(place: int) -> None:
    data = bytearray(tar_bytes([("a.npy", b"x" * 10), ("b.npy", b"y" * 10)]))
    data[1024 + place] ^= 0x11
    with pytest.raises(CorruptTarError, match="damaged header at byte 1024"):
        list(members(memoryview(data)))


@pytest.mark.parametrize("dtype", ["uint8", "<f4", ">i2", "bool", "<c8", "U3", "datetime64[s]"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(dtype: str, shape: tuple[int, ...], order: str) -> None:
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    array = np.asarray(numbers.astype(dtype), order=order)  # type: ignore[call-overload]
    read = decode_npy(memoryview(npy(array)))
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"not npy at all", npy(np.arange(9))[:-1], npy(np.arange(9))[:20]])
def test_what_is_no_npy(data: bytes) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        decode_npy(memoryview(data))


def test_objects_are_refused() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        decode_npy(memoryview(stream.getvalue()))
