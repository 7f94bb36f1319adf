"""Reading shards from a local S3 server: ours against WebDataset, in the same DataLoader setting.

Samples are random arrays of 100 KB, in tar and in Parquet shards of 8 MB, the size that the prepare stage gives
them. Both readers shuffle over 64 MB, give batches of 64 to a DataLoader without workers, and are timed over whole
epochs, turn about. WebDataset gets its bytes
by the fastest of the ways that are open to it, measured first: `pipe:curl` on a presigned URL (its own way to read
HTTP; a process of its own), or obstore, a whole shard at a time.
"""

import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
os.environ.setdefault("GOPEN_BUFFER", str(1 << 20))

import boto3
import numpy as np
import polars as pl
import torch
import webdataset
from botocore.config import Config
from torch.utils.data import DataLoader, IterableDataset

from support.s3_server import serve
from support.shards import index_parquet, npy, tar_bytes
from trainyard_api.documents import DatasetManifest, FieldSpec
from trainyard_storage import Store, open_store
from trainyard_trainer.data import SplitReader
from trainyard_trainer.data.index import index_webdataset, sealed

SHARDS, ROWS, SAMPLE, BATCH = 48, 80, 102_400, 64
MEGABYTES = SHARDS * ROWS * SAMPLE / 1e6
EPOCHS, ROUNDS, FRESH = 10, 5, 5
SHUFFLE = 64_000_000 // SAMPLE
SPEED_TARGET, FIRST_TARGET = 1.3, 150


class Ours(IterableDataset[dict[str, torch.Tensor]]):
    """A SplitReader as a torch data set; each iteration is the next epoch."""

    def __init__(self, reader: SplitReader) -> None:
        self.reader = reader
        self.passes = 0

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        self.passes += 1
        for batch in self.reader.epoch(self.passes - 1):
            yield {name: torch.from_numpy(values) for name, values in batch.fields.items()}


def build(store: Store) -> None:
    """The same samples as tar and as Parquet."""
    random = np.random.default_rng(0)
    for number in range(SHARDS):
        samples = random.integers(0, 256, (ROWS, SAMPLE), dtype=np.uint8)
        names = [f"{number * ROWS + row:06d}" for row in range(ROWS)]
        members = [[(f"{name}.npy", npy(row)), (f"{name}.cls", b"1")] for name, row in zip(names, samples, strict=True)]
        store.put(f"tar/{number:05d}.tar", tar_bytes([member for pair in members for member in pair]))
        frame = pl.DataFrame({"features": [row.tobytes() for row in samples], "label": np.ones(ROWS, np.int64)})
        stream = io.BytesIO()
        frame.write_parquet(stream, compression="lz4")
        store.put(f"parquet/{number:05d}.parquet", stream.getvalue())
    tensor, label = FieldSpec(dtype="uint8", shape=[SAMPLE]), FieldSpec(dtype="int64")
    fields = {"npy": tensor, "cls": label}
    tars, _ = index_webdataset(store, [f"tar/{number:05d}.tar" for number in range(SHARDS)], fields)
    tables = index_parquet(store, [f"parquet/{number:05d}.parquet" for number in range(SHARDS)])
    for manifest in (
        DatasetManifest(format="webdataset", fields=fields, splits={"train": tars}, hash=""),
        DatasetManifest(
            format="parquet", fields={"features": tensor, "label": label}, splits={"train": tables}, hash=""
        ),
    ):
        store.put_json(f"{manifest.format}.json", sealed(manifest).model_dump(mode="json"))


def ours(store: Store, kind: str) -> DataLoader[Any]:
    """Our reader."""
    manifest = DatasetManifest.model_validate(store.get_json(f"{kind}.json"))
    return DataLoader(Ours(SplitReader(store, manifest, "train", batch_size=BATCH, seed=0)), batch_size=None)


def theirs(store: Store, way: str) -> DataLoader[Any]:
    """WebDataset as its documentation has it: shards shuffled, a shuffle buffer, decoded, batched by itself."""
    urls = [f"{way}:{number}" for number in range(SHARDS)]
    if way == "curl":
        client = boto3.client("s3", config=Config(signature_version="s3v4"))
        bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
        keys = [f"{prefix}/tar/{number:05d}.tar".lstrip("/") for number in range(SHARDS)]
        signed = [client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}) for key in keys]
        urls = [f"pipe:curl -s -f '{url}'" for url in signed]

    def whole(url: str, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(store.view(f"tar/{int(url.partition(':')[2]):05d}.tar"))

    webdataset.gopen_schemes["obstore"] = whole
    data = webdataset.WebDataset(urls, shardshuffle=SHARDS, seed=0, empty_check=False)
    data = data.shuffle(SHUFFLE).decode().to_tuple("npy", "cls").batched(BATCH)
    return DataLoader(data, batch_size=None)


def epoch_seconds(loader: Iterable[Any]) -> float:
    """Seconds for one epoch, every batch taken."""
    begun = time.perf_counter()
    samples = sum(len(next(iter(batch.values())) if isinstance(batch, dict) else batch[0]) for batch in loader)
    seconds = time.perf_counter() - begun
    if samples < SHARDS * ROWS:
        raise SystemExit(f"only {samples} of {SHARDS * ROWS} samples came")
    return seconds


def first_ms(make: Callable[[], Iterable[Any]]) -> float:
    """Milliseconds from making the reader to its first batch."""
    begun = time.perf_counter()
    next(iter(make()))
    return (time.perf_counter() - begun) * 1000


def makers(store: Store) -> dict[str, Callable[[], DataLoader[Any]]]:
    """How each reader is made."""
    return {
        "tar": lambda: ours(store, "webdataset"),
        "parquet": lambda: ours(store, "parquet"),
        "webdataset, curl": lambda: theirs(store, "curl"),
        "webdataset, obstore": lambda: theirs(store, "obstore"),
    }


def child(uri: str, name: str) -> None:
    """In a process of its own: ten epochs and the memory after each."""
    loader, memory = makers(open_store(uri))[name](), []
    for _ in range(EPOCHS):
        epoch_seconds(loader)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory.append(pages * resource.getpagesize() / 1e6)
    slope = float(np.polyfit(range(2, EPOCHS), memory[2:], 1)[0])
    print(f"{name}: RSS MB after each epoch: {' '.join(f'{value:.0f}' for value in memory)}; {slope:+.2f} MB/epoch")
    sys.stdout.flush()
    os._exit(0)  # as a job that ends: nothing waits for reads that nobody wants any more


def fresh(uri: str, name: str) -> None:
    """In a process of its own: milliseconds to the first batch."""
    print(first_ms(makers(open_store(uri))[name]))
    sys.stdout.flush()
    os._exit(0)


def in_fresh_processes(uri: str, names: Iterable[str]) -> dict[str, list[float]]:
    """First batches, each in a process that has read nothing before, turn about."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(FRESH):
        for name, values in found.items():
            command = [sys.executable, __file__, uri, name, "first"]
            values.append(float(subprocess.run(command, check=True, capture_output=True).stdout))
    return found


def main(uri: str) -> None:
    """Build, time, print."""
    store = open_store(uri)
    build(store)
    made = makers(store)
    loaders = {name: make() for name, make in made.items()}
    for loader in loaders.values():
        epoch_seconds(loader)  # warm: imports, connections, the server's page cache
    times: dict[str, list[float]] = {name: [] for name in made}
    firsts: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, loader in loaders.items():
            times[name].append(epoch_seconds(loader))
            firsts[name].append(first_ms(made[name]))
    speed = {name: MEGABYTES / statistics.median(values) for name, values in times.items()}
    for name in made:
        print(f"{name}: {speed[name]:.0f} MB/s, first batch {statistics.median(firsts[name]):.0f} ms")
    for name in made:
        subprocess.run([sys.executable, __file__, uri, name], check=True)
    for name, values in in_fresh_processes(uri, made).items():
        target = f"; target <= {FIRST_TARGET}" if name in ("tar", "parquet") else ""
        print(f"{name}: first batch in a fresh process {statistics.median(values):.0f} ms (median of {FRESH}{target})")
    rival = max(speed["webdataset, curl"], speed["webdataset, obstore"])
    for name in ("tar", "parquet"):
        print(f"first batch {name}: {statistics.median(firsts[name]):.0f} ms (target <= {FIRST_TARGET})")
    for name in ("parquet", "tar"):
        print(f"ratio readers {name}: {speed[name] / rival:.2f} (target >= {SPEED_TARGET})")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 3:
        child(sys.argv[1], sys.argv[2])
    if len(sys.argv) == 4:
        fresh(sys.argv[1], sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        os.environ.update(server.environment())
        main(f"{server.bucket()}/bench")
