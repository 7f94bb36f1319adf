"""Manifests for data that is already in shards: each shard is read once, its samples are counted, its digest taken."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import DatasetManifest, FieldSpec, Shard
from trainyard_storage import Store, digest, digest128
from trainyard_trainer.data import tar
from trainyard_trainer.data.shards import corrupt, field_spec

_AT_ONCE = 2


def index_webdataset(store: Store, keys: Sequence[str]) -> list[Shard]:
    """The shards `keys` of `store`, WebDataset tars. Raises NotFound, or TrainyardError for one that is no tar."""
    return _index(store, keys, lambda data, url: sum(1 for _ in _samples(data, url)))


def index_parquet(store: Store, keys: Sequence[str]) -> list[Shard]:
    """The shards `keys` of `store`, Parquet. Raises NotFound, or TrainyardError for one that is no Parquet."""
    return _index(store, keys, _parquet_rows)


def webdataset_fields(store: Store, key: str) -> dict[str, FieldSpec]:
    """The fields of the first sample in the tar `key`. Raises NotFound, or TrainyardError if there is none."""
    url = store.url(key)
    for name, fields in _samples(store.view(key), url):
        try:
            return {field: field_spec(field, data) for field, data in sorted(fields.items())}
        except (ValueError, TypeError) as error:
            raise corrupt(f"The first sample, {name}, can't be decoded: {error}", url) from error
    raise corrupt("The shard has no samples.", url)


def sealed(manifest: DatasetManifest) -> DatasetManifest:
    """`manifest` with its hash: xxh3_128 of its canonical JSON with the hash empty."""
    document = manifest.model_copy(update={"hash": ""}).model_dump(mode="json")
    return manifest.model_copy(update={"hash": digest128(canonical_json(document))})


def _index(store: Store, keys: Sequence[str], count: Callable[[memoryview, str], int]) -> list[Shard]:
    def one(key: str) -> Shard:
        data = store.view(key)
        return Shard(key=key, rows=count(data, store.url(key)), bytes=len(data), xxh3=digest(data))

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="index") as executor:
        return list(executor.map(one, keys))


def _samples(data: memoryview, url: str) -> list[tuple[str, dict[str, memoryview]]]:
    try:
        return list(tar.samples(data))
    except tar.CorruptTarError as error:
        raise corrupt(f"The shard can't be read as tar: {error}", url) from error


def _parquet_rows(data: memoryview, url: str) -> int:
    try:
        return int(pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise corrupt(f"The shard can't be read as Parquet: {str(error).splitlines()[0]}", url) from error
