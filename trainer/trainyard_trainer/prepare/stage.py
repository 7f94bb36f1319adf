"""The preparation stage: from a job's source to a committed data set in its run."""

import errno
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polars.exceptions import PolarsError

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import DatasetManifest, ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.recipe import ImageShape
from trainyard_launcher.attempts import still_ours
from trainyard_launcher.runtime import SCRATCH
from trainyard_storage import NotFound, Store, digest, open_store
from trainyard_storage.source import list_source
from trainyard_trainer.data.committed import MARKER, read_committed
from trainyard_trainer.data.index import sealed
from trainyard_trainer.prepare.recipe import prepare_recipe
from trainyard_trainer.prepare.script import prepare_script
from trainyard_trainer.prepare.tars import index_tars, stay
from trainyard_trainer.prepare.work import Prepared, Work
from trainyard_trainer.sources import BadSamples, open_raw, open_source

_UPLOADS_AT_ONCE = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_prepare() -> None:
    """Entry of the stage's process: the job in TRAINYARD_JOB is prepared into the run TRAINYARD_RUN."""
    job = ResolvedJob.model_validate_json(Path(os.environ["TRAINYARD_JOB"]).read_bytes())
    run = open_store(os.environ["TRAINYARD_RUN"], job.spec.storage)
    prepare(job, run, lambda line: print(line, flush=True))  # noqa: T201 - the launcher shows the stage's output


def prepare(job: ResolvedJob, run: Store, say: Callable[[str], None]) -> DatasetManifest:
    """Prepare the job's data into `run` under data/, the marker data/COMMITTED last.

    Does nothing if that was done before and is whole. Nothing is uploaded before every step has succeeded.
    """
    done = committed(run)
    if done:
        say("the data is prepared already")
        return done
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=os.environ.get("TRAINYARD_RUNTIME")) as scratch:
        try:
            return _prepare(job, run, Path(scratch), say)
        except (OSError, PolarsError) as error:
            if not _is_full(error):
                raise
            raise TrainyardError(
                "The local disk is full.",
                scratch,
                "Free some space, or set TMPDIR to a larger disk: about three times the data's size is needed.",
                ExitCode.INFRASTRUCTURE,
                "DiskFull",
            ) from error


def _is_full(error: Exception) -> bool:
    """Whether the disk has no room; Polars and Arrow say so in words alone."""
    text = str(error)
    return getattr(error, "errno", None) in _FULL or any(f"os error {number})" in text for number in _FULL)


def committed(run: Store) -> DatasetManifest | None:
    """The data set that was committed to `run`, if it is whole."""
    try:
        found = read_committed(run)
    except (NotFound, TrainyardError) as error:
        if isinstance(error, NotFound) or error.cause == "DataCorrupt":
            return None
        raise
    if found is None:
        return None
    sizes = {info.key: info.size for info in found.data.list()}
    shards = [shard for split in (*found.manifest.splits.values(), *found.manifest.raw.values()) for shard in split]
    own = [shard for shard in shards if "://" not in shard.key]
    whole = all(sizes.get(shard.key) == shard.bytes for shard in own) and found.digests.keys() <= sizes.keys()
    return found.manifest if whole else None


def _prepare(job: ResolvedJob, run: Store, scratch: Path, say: Callable[[str], None]) -> DatasetManifest:
    recipe, script = job.spec.recipe, job.spec.script
    data = recipe.data if recipe else script.data if script else None
    if data is None:
        raise TrainyardError("The job names no data to prepare.", "script.data", "Name it, or leave this stage out.")
    listing = list_source(data, job.spec.storage)
    bad = BadSamples()
    image = recipe.prepare.image if recipe else ImageShape()
    opener = open_source if recipe else open_raw
    source = opener(listing, data, job.spec.storage, image, scratch, bad)
    output = scratch / "output"
    work = Work(data, listing, source, bad, scratch, output, job.nodes * job.processes_per_node, say)
    if recipe:
        prepared = prepare_recipe(work, recipe.prepare)
    elif stay(work):
        prepared = index_tars(work, job.spec.storage)
    else:
        prepared = prepare_script(work)
    return _commit(prepared, output, run, say)


def _commit(prepared: Prepared, output: Path, run: Store, say: Callable[[str], None]) -> DatasetManifest:
    """Upload shards, then the documents, then the marker."""
    manifest = sealed(
        DatasetManifest(
            format=prepared.format, fields=prepared.fields, splits=prepared.splits, raw=prepared.raw, hash=""
        )
    )
    written = {"card.json": prepared.card} | ({"preparation.json": prepared.plan} if prepared.plan else {})
    documents = {name: canonical_json(document.model_dump(mode="json")) for name, document in written.items()}
    target = run.child(f"data/{manifest.hash}")
    files = sorted(path for path in output.rglob("*") if path.is_file())
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        for job in [pool.submit(target.upload, path, path.relative_to(output).as_posix()) for path in files]:
            job.result()
    for name, data in documents.items():
        target.put(name, data)
    target.put_json("manifest.json", manifest.model_dump(mode="json"))
    still_ours(run)
    run.put_json(MARKER, {"hash": manifest.hash, "documents": {name: digest(data) for name, data in documents.items()}})
    rows = ", ".join(f"{sum(shard.rows for shard in shards)} {name}" for name, shards in manifest.splits.items())
    say(f"prepared: {rows}")
    return manifest
