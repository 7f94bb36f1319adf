"""What data that is already in shards holds: each tar is read once, its samples are tried, its digest taken."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import DatasetManifest, FieldSpec, Shard
from trainyard_storage import Store, digest, digest128
from trainyard_storage.digests import Bytes
from trainyard_trainer.data import tar
from trainyard_trainer.data.shards import KEY, corrupt, decode_tar, field_spec

_AT_ONCE = 2

BadTars = dict[str, dict[int, tuple[str, str]]]
"""Bad samples by shard: row -> name, reason."""


def index_webdataset(store: Store, keys: Sequence[str], fields: Mapping[str, FieldSpec]) -> tuple[list[Shard], BadTars]:
    """The shards `keys` of `store`, WebDataset tars, and their samples that aren't as `fields` say.

    Raises NotFound, or TrainyardError for one that is no tar.
    """

    def one(key: str) -> tuple[Shard, dict[int, tuple[str, str]]]:
        data = store.view(key)
        decoded = decode_tar(data, fields, store.url(key))
        return Shard(key=key, rows=decoded.rows, bytes=len(data), xxh3=digest(data)), decoded.bad

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="index") as executor:
        found = list(executor.map(one, keys))
    return [shard for shard, _ in found], {shard.key: bad for shard, bad in found if bad}


def webdataset_fields(store: Store, key: str) -> dict[str, FieldSpec]:
    """The fields of the first sample in the tar `key`. Raises NotFound, or TrainyardError if there is none."""
    url = store.url(key)
    try:
        for _, sample in tar.samples(store.view(key)):
            return sample_fields(sample)
    except tar.CorruptTarError as error:
        raise corrupt(f"The shard can't be read as tar: {error}", url) from error
    except (ValueError, TypeError, SyntaxError) as error:
        raise corrupt(f"The first sample can't be decoded: {error}", url) from error
    raise corrupt("The shard has no samples.", url)


def sample_fields(sample: Mapping[str, Bytes]) -> dict[str, FieldSpec]:
    """The fields of a tar's sample, which is given by ending. Raises what a decoder does."""
    return {KEY: FieldSpec(dtype="str")} | {name: field_spec(name, data) for name, data in sorted(sample.items())}


def sealed(manifest: DatasetManifest) -> DatasetManifest:
    """`manifest` with its hash: xxh3_128 of its canonical JSON with an empty hash, 32 hex digits."""
    document = manifest.model_copy(update={"hash": ""}).model_dump(mode="json")
    return manifest.model_copy(update={"hash": digest128(canonical_json(document))})
