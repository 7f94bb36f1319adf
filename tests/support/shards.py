"""Small data sets in shards, for tests of reading."""

import io
import tarfile
from collections.abc import Sequence

import numpy as np
import polars as pl

from trainyard_api.documents import DatasetManifest, FieldSpec, Shard
from trainyard_storage import Store, digest
from trainyard_trainer.data.index import index_webdataset, sealed, webdataset_fields


def parquet_dataset(store: Store, rows: Sequence[int], width: int = 3, split: str = "train") -> DatasetManifest:
    """Shards of `rows` samples: features[0] and label are the sample's number."""
    first, keys = 0, []
    for number, count in enumerate(rows):
        labels = np.arange(first, first + count)
        features = np.repeat(labels[:, None].astype(np.float32), width, axis=1)
        column = pl.Series("features", features, dtype=pl.Array(pl.Float32, width))
        stream = io.BytesIO()
        pl.DataFrame([column, pl.Series("label", labels, dtype=pl.Int64)]).write_parquet(stream)
        keys.append(f"{split}/part-{number:05d}.parquet")
        store.put(keys[-1], stream.getvalue())
        first += count
    fields = {"features": FieldSpec(dtype="float32", shape=[width]), "label": FieldSpec(dtype="int64")}
    shards = index_parquet(store, keys)
    return sealed(DatasetManifest(format="parquet", fields=fields, splits={split: shards}, hash=""))


def index_parquet(store: Store, keys: Sequence[str]) -> list[Shard]:
    """The shards `keys` of `store`, as a manifest lists them."""
    bodies = {key: store.get(key) for key in keys}
    return [
        Shard(key=key, rows=pl.read_parquet(io.BytesIO(body)).height, bytes=len(body), xxh3=digest(body))
        for key, body in bodies.items()
    ]


def tar_bytes(members: Sequence[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar of `members`, by Python's own tarfile."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    """`array` as a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def tar_dataset(store: Store, rows: Sequence[int], width: int = 3, split: str = "train") -> DatasetManifest:
    """WebDataset shards of `rows` samples: npy[0] and cls are the sample's number; npy is int32 [width]."""
    first, keys = 0, []
    for number, count in enumerate(rows):
        members: list[tuple[str, bytes]] = []
        for sample in range(first, first + count):
            name = f"{split}/{sample:06d}"
            members += [(f"{name}.npy", npy(np.full(width, sample, np.int32))), (f"{name}.cls", str(sample).encode())]
        keys.append(f"shard-{number:05d}.tar")
        store.put(keys[-1], tar_bytes(members))
        first += count
    fields = webdataset_fields(store, keys[0])
    shards, _ = index_webdataset(store, keys, fields)
    return sealed(DatasetManifest(format="webdataset", fields=fields, splits={split: shards}, hash=""))
