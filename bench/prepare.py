"""Preparing a table of 5 million rows and 12 columns from a local S3 server: our stage against Polars by hand.

Both read the same Parquet files and write shards back to the server: duplicates dropped, rows ordered by a hash of
their content and divided, medians, bounds, means and categories fitted on the training split, missing values filled,
outliers clipped, numbers standardised, texts one-hot. Each runs in a process of its own, turn about; its wall time
has the imports in it. Ours also checks, digests, writes the raw test rows, the plan and the data card.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

ROWS, FILES, ROUNDS = int(os.environ.get("BENCH_ROWS", "5000000")), 8, 3
FLOATS = [f"x{i}" for i in range(8)]
TEXTS = {"city": ["oslo", "lima", "pune", "kyiv", "bonn"], "plan": ["free", "pro", "team"]}
SPEED_TARGET, MEMORY_TARGET = 1.5, 2000


def build(uri: str) -> None:
    """8 floats (4 of them with 5% missing, one with outliers), 2 texts, an int and a class; 1% of rows twice."""
    import numpy as np
    import polars as pl

    from trainyard_storage import open_store

    store = open_store(uri)
    rng = np.random.default_rng(0)
    for number in range(FILES):
        rows = ROWS // FILES
        values = {name: rng.normal(i, i + 1, rows) for i, name in enumerate(FLOATS)}
        values["x0"] = np.where(rng.random(rows) < 0.001, 1e6, values["x0"])
        for name in FLOATS[:4]:
            values[name] = np.where(rng.random(rows) < 0.05, np.nan, values[name])
        texts = {name: rng.choice(choices, rows) for name, choices in TEXTS.items()}
        frame = pl.DataFrame(
            {**values, **texts, "visits": rng.integers(0, 1000, rows), "label": rng.integers(0, 3, rows)}
        ).fill_nan(None)
        doubled = rows // 100
        frame = pl.concat([frame[: rows - doubled], frame[:doubled]])
        with tempfile.TemporaryDirectory() as folder:
            frame.write_parquet(Path(folder) / "part.parquet")
            store.upload(Path(folder) / "part.parquet", f"part-{number}.parquet")


def ours(source: str, run: str) -> None:
    """The stage, as the launcher runs it."""
    from trainyard_api.documents import ResolvedJob
    from trainyard_storage import open_store
    from trainyard_trainer.prepare import prepare

    recipe = {
        "data": {"uri": f"{source}/*.parquet", "target": "label", "split": {"validation": 0.1, "test": 0.2}},
        "prepare": {"outliers": {"method": "iqr", "action": "clip"}},
    }
    document = {"name": "bench", "namespace": "bench", "uid": "bench", "spec": {"recipe": recipe}}
    prepare(ResolvedJob.model_validate(document), open_store(run), lambda line: None)


def by_hand(source: str, run: str) -> None:
    """The same steps, written for this table alone."""
    import polars as pl

    from trainyard_storage import open_store

    options = open_store(source).polars_options()
    numbers = [*FLOATS, "visits"]
    table = pl.scan_parquet(f"{source}/*.parquet", storage_options=options, credential_provider=None)
    table = table.with_columns(pl.col(FLOATS).fill_nan(None) + 0.0, pl.col("visits").cast(pl.Float64))
    rows = table.collect(engine="streaming")
    rows = rows.with_columns(rows.hash_rows(0).alias("key")).unique("key", keep="any").sort("key")
    tested, validated = round(rows.height * 0.2), round(rows.height * 0.1)
    splits = {
        "test": rows[:tested],
        "validation": rows[tested : tested + validated],
        "train": rows[tested + validated :],
    }
    train = splits["train"].lazy()
    quartiles = train.select(
        pl.col(numbers).quantile(0.25, "linear").name.suffix(":low"),
        pl.col(numbers).quantile(0.75, "linear").name.suffix(":high"),
        pl.col(numbers).median().name.suffix(":median"),
    ).collect(engine="streaming")
    bounds = {}
    for name in numbers:
        low, high = quartiles[f"{name}:low"][0], quartiles[f"{name}:high"][0]
        bounds[name] = (low - 1.5 * (high - low), high + 1.5 * (high - low))
    filled = [pl.col(n).fill_null(quartiles[f"{n}:median"][0]).clip(*bounds[n]) for n in numbers]
    moments = train.select(
        *[column.mean().name.suffix(":mean") for column in filled], *[column.std(ddof=0) for column in filled]
    ).collect(engine="streaming")
    features = [
        ((column - moments[f"{name}:mean"][0]) / moments[name][0]).cast(pl.Float32)
        for name, column in zip(numbers, filled, strict=True)
    ]
    for name in TEXTS:
        counts = splits["train"][name].value_counts(sort=True)[name].to_list()
        features += [(pl.col(name) == value).cast(pl.Float32).alias(f"{name}={value}") for value in counts]
        features.append((~pl.col(name).is_in(counts)).cast(pl.Float32).alias(f"{name} unknown"))
    for split, part in splits.items():
        size = -(-part.height // (8 if split == "train" else 1))
        for number, start in enumerate(range(0, part.height, size)):
            shard = part[start : start + size].lazy().select(pl.concat_arr(features).alias("features"), "label")
            shard.sink_parquet(
                f"{run}/{split}/part-{number:05}.parquet",
                compression="lz4",
                statistics=False,
                storage_options=options,
                credential_provider=None,
            )


def child(kind: str, source: str, run: str) -> tuple[float, float, float]:
    """Wall seconds, peak megabytes and CPU seconds of one process."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, kind, source, run])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{kind} failed")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print seconds and memory of both, and their ratio."""
    from support.s3_server import serve

    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        os.environ.update(server.environment())
        source = server.bucket()
        subprocess.run([sys.executable, __file__, "build", source, ""], check=True)
        figures: dict[str, list[tuple[float, float, float]]] = {"ours": [], "by_hand": []}
        for turn in range(ROUNDS):
            for kind in ("ours", "by_hand") if turn % 2 == 0 else ("by_hand", "ours"):
                figures[kind].append(child(kind, source, f"{server.bucket()}/run"))
                print("{}: {:.2f} s, peak {:.0f} MB, CPU {:.2f} s".format(kind, *figures[kind][-1]), flush=True)
    memory = max(megabytes for _, megabytes, _ in figures["ours"])
    ratio = statistics.median(
        mine[0] / theirs[0] for mine, theirs in zip(figures["ours"], figures["by_hand"], strict=True)
    )
    print(f"peak memory of ours: {memory:.0f} MB (target < {MEMORY_TARGET})")
    print(f"ratio prepare: {ratio:.2f} (target <= {SPEED_TARGET})")


if __name__ == "__main__":
    kinds = {"ours": ours, "by_hand": by_hand, "build": lambda source, _: build(source)}
    if len(sys.argv) > 1:
        kinds[sys.argv[1]](*sys.argv[2:])
    else:
        main()
