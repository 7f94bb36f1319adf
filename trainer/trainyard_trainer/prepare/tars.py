"""Script mode: tars that needn't be divided are read where they lie. Nothing is copied."""

import numpy as np

from trainyard_api.documents import ColumnCard, DataCard, FieldSpec, Shard
from trainyard_api.job import Storage
from trainyard_storage import open_store
from trainyard_trainer.data.index import index_webdataset, webdataset_fields
from trainyard_trainer.prepare.card import Card
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.prepare.work import Prepared, Work

LARGEST = 256 * 1024 * 1024  # readers hold whole shards; larger ones are cut into small ones


def stay(work: Work) -> bool:
    """Whether the data is tars of a good size whose splits are given, or that are all for training."""
    data = work.data
    undivided = data.splits is not None or not (data.split.validation or data.split.test)
    good = all(file.size <= LARGEST for file in work.listing.files)
    return work.listing.format == "webdataset" and undivided and good


def index_tars(work: Work, storage: Storage) -> Prepared:
    """Read every tar once: count its samples, take its digest, find what is bad."""
    files = work.listing.files
    work.say(f"reading {len(files)} tars, {work.listing.bytes / 1e6:.1f} MB, which stay where they are")
    stores = {base: open_store(base, storage) for base in {file.base for file in files}}
    first = next(file for file in files if file.size)
    fields = webdataset_fields(stores[first.base], first.key)
    splits: dict[str, list[Shard]] = {name: [] for name in NAMES}
    good = dict.fromkeys(NAMES, 0)
    for base, store in stores.items():
        own = [file for file in files if file.base == base]
        shards, bad = index_webdataset(store, [file.key for file in own], fields)
        for file, shard in zip(own, shards, strict=True):
            split = file.split or NAMES[TRAIN]
            splits[split].append(shard.model_copy(update={"key": file.uri}))
            spoiled = bad.get(shard.key, {})
            good[split] += shard.rows - len(spoiled)
            for name, reason in spoiled.values():
                work.bad.add(f"{file.key}: {name}", reason)
    work.check_read(sum(good.values()))
    work.check_size(good[NAMES[TRAIN]])
    return Prepared(fields, splits, _card(work, fields, good), format="webdataset")


def _card(work: Work, fields: dict[str, FieldSpec], good: dict[str, int]) -> DataCard:
    card = Card()
    rows = sum(good.values())
    total = rows + work.bad.count
    card.step("read", "all", total, rows, f"{work.bad.count} can't be read")
    for name, count in good.items():
        card.step("split", name, rows, count, "as given" if work.data.splits else "all for training")
    card.columns = [ColumnCard(name=name, kind=spec.dtype, missing=0) for name, spec in fields.items()]
    split = np.repeat(np.arange(len(NAMES), dtype=np.uint8), list(good.values()))
    return card.finish(work.where, work.listing, total, work.bad, split, [], None)
