"""SplitReader: the batches of one split, for one rank, from object storage."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from trainyard_api.documents import DatasetManifest, Shard
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_storage import NotFound, Store, open_store
from trainyard_trainer.data.arenas import limit_arenas
from trainyard_trainer.data.batch import Batch, copy_rows, decode_values, empty_columns, gather
from trainyard_trainer.data.order import EpochOrder, Rows, SampleOrder
from trainyard_trainer.data.prefetch import Prefetcher
from trainyard_trainer.data.quarantine import BadSample, Quarantine
from trainyard_trainer.data.shards import Array, Decoded, corrupt, decode_parquet, decode_tar, memory_bytes

MIB = 1024 * 1024
MIXED_BYTES = 64 * MIB  # what is read before the first batch, and kept at a time
RESIDENT_BYTES = 256 * MIB  # a split up to this size stays in memory
THREADS = 4
SHARDS_AHEAD = 3
BATCHES_AHEAD = 2

Decode = Callable[[str, bytes], Any]


class SplitReader:
    """Reads one split in batches, in an order that depends on data set, seed, epoch and batch size alone.

    Shards are read ahead by threads and checked against their digests. A small split stays in memory, decoded; of a
    large one about twice MIXED_BYTES are held. Every rank of a job makes one with the same arguments but `rank`.
    """

    def __init__(
        self,
        store: Store,
        manifest: DatasetManifest,
        split: str,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        decode: Decode | None = None,
        max_bad_share: float = 0.01,
        storage: Storage | None = None,
    ) -> None:
        """`batch_size` is global. `decode(field, bytes)` turns values of dtype "bytes" into arrays, batch by batch.

        `storage`: how shards that lie elsewhere than beside the manifest are reached.

        Reading raises TrainyardError: DataCorrupt, DataMissing, BadSamples, or what storage says.
        """
        self._fields = manifest.fields
        self._format = manifest.format
        self._shards = manifest.splits.get(split, [])
        self._places = _places(store, self._shards, storage)
        self._shuffle = shuffle
        self._decode = decode
        rows = [shard.rows for shard in self._shards]
        sizes = [memory_bytes(shard, manifest.fields) for shard in self._shards]
        self._order = SampleOrder(
            rows,
            dataset_hash=manifest.hash,
            seed=seed,
            batch_size=batch_size,
            mixed_shards=max(1, MIXED_BYTES // max([1, *sizes])),
            shuffle=shuffle,
        )
        self._begin, self._end = rank * batch_size // world, (rank + 1) * batch_size // world
        self._quarantine = Quarantine(self._order.samples, max_bad_share)
        self._resident = sum(sizes) <= RESIDENT_BYTES
        self._columns: dict[str, Array] = empty_columns(self._fields, self._order.samples if self._resident else 0)
        self._held: set[int] = set()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix=f"read-{split}")
        self._next: tuple[int, Prefetcher[Decoded]] | None = None
        limit_arenas()

    @property
    def batches_per_epoch(self) -> int:
        """Global batches in one epoch; the last may be padded."""
        return self._order.batches

    @property
    def bad_samples(self) -> list[BadSample]:
        """The samples that this rank met and couldn't decode."""
        return self._quarantine.samples

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of epoch `epoch` (from 0), from batch `start_batch` on: the same as if all had been read."""
        order = self._order.epoch(epoch)
        batches = range(start_batch, self._order.batches)
        return self._from_memory(order, batches) if self._resident else self._stream(order, epoch, batches)

    def close(self) -> None:
        """Stop reading ahead. Needed only when the reader goes but the process stays."""
        if self._next:
            self._next[1].close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _from_memory(self, order: EpochOrder, batches: range) -> Iterator[Batch]:
        loads = order.loads(self._begin, self._end, batches.start)
        missing = [load for load in loads if load.shard not in self._held]
        reading = Prefetcher(missing, self._keep, self._executor)
        for index in batches:
            if missing:
                reading.shards(index)
            rows, weights = order.batch(index, self._begin, self._end)
            fields = {name: column.take(rows, axis=0) for name, column in self._columns.items()}
            yield self._batch(order, index, rows, weights, fields)
            reading.ahead(index, len(missing))

    def _stream(self, order: EpochOrder, epoch: int, batches: range) -> Iterator[Batch]:
        reading = self._prefetcher(order, epoch, batches.start)

        def assemble(index: int) -> Batch:
            shards = reading.shards(index)
            rows, weights = order.batch(index, self._begin, self._end)
            fields = gather(rows, self._order.offsets, shards, self._fields)
            batch = self._batch(order, index, rows, weights, fields)
            # Only now: reads ahead would hold up the first batch.
            reading.ahead(index, max(SHARDS_AHEAD, len(shards)))
            if reading.exhausted and self._shuffle and not self._next:
                self._next = (epoch + 1, self._prefetcher(self._order.epoch(epoch + 1), epoch + 1, 0))
            return batch

        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            waiting: deque[Future[Batch]] = deque()
            for index in batches:
                waiting.append(worker.submit(assemble, index))
                # The first batch is given before others are begun: it is what everybody waits for.
                if index == batches.start or len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _prefetcher(self, order: EpochOrder, epoch: int, start: int) -> Prefetcher[Decoded]:
        """Reads for an epoch: those begun while the last one ended, if they're for this."""
        begun, self._next = self._next, None
        if begun and begun[0] == epoch and start == 0:
            return begun[1]
        if begun:
            begun[1].close()
        return Prefetcher(order.loads(self._begin, self._end, start), self._read, self._executor)

    def _batch(self, order: EpochOrder, index: int, rows: Rows, weights: Array, fields: dict[str, Array]) -> Batch:
        if self._decode:
            self._decode_bytes(self._decode, rows, fields)
        self._quarantine.silence(rows, weights)
        return Batch(fields, weights, float(order.real_samples(index)), index)

    def _decode_bytes(self, decode: Decode, rows: Rows, fields: dict[str, Array]) -> None:
        """Decode the fields that are bytes. A value that can't be is bad, and gets a good one's."""
        for name, spec in self._fields.items():
            if spec.dtype == "bytes":
                fields[name], failures = decode_values(fields[name], partial(decode, name))
                for place, reason in failures.items():
                    number = int(np.searchsorted(self._order.offsets, rows[place], side="right")) - 1
                    row = int(rows[place] - self._order.offsets[number])
                    store, key = self._places[number]
                    self._quarantine.add(
                        int(rows[place]), BadSample(store.url(key), f"sample {row}", f".{name}: {reason}")
                    )

    def _keep(self, number: int) -> None:
        """Read a shard into its place in memory."""
        decoded = self._read(number)
        start = int(self._order.offsets[number])
        rows = np.arange(decoded.rows)
        for name, column in decoded.columns.items():
            copy_rows(column, rows, self._columns[name], start + rows)
        self._held.add(number)

    def _read(self, number: int) -> Decoded:
        """Read, check and decode a shard."""
        shard, (store, key) = self._shards[number], self._places[number]
        url = store.url(key)
        try:
            data = store.view(key, xxh3=shard.xxh3)
        except NotFound as error:
            raise TrainyardError(
                "A shard of the data set is missing.", url, "Prepare the data again.", cause="DataMissing"
            ) from error
        decode = decode_parquet if self._format == "parquet" else decode_tar
        decoded = decode(data, self._fields, url)
        if decoded.rows != shard.rows:
            raise corrupt(f"The shard has {decoded.rows} samples, the manifest says {shard.rows}.", url)
        for row, (key, reason) in decoded.bad.items():
            self._quarantine.add(int(self._order.offsets[number]) + row, BadSample(url, key, reason))
        return decoded


def _places(store: Store, shards: Sequence[Shard], storage: Storage | None) -> list[tuple[Store, str]]:
    """Store and key of every shard: beside the manifest, or wherever its URI says."""
    folders = {shard.key.rpartition("/")[0] for shard in shards if "://" in shard.key}
    elsewhere = {folder: open_store(folder, storage) for folder in folders}
    return [
        (elsewhere[folder], name) if folder in elsewhere else (store, shard.key)
        for shard in shards
        for folder, _, name in [shard.key.rpartition("/")]
    ]
