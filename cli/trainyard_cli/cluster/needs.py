"""What a manifest names on this machine, and a cluster must get: relative data, and the program's files."""

import os
from dataclasses import dataclass
from pathlib import Path

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Script, TrainingJob
from trainyard_api.recipe import Data

_SKIPPED = frozenset({"__pycache__", "node_modules", "trainyard-runs"})
MAX_BYTES = 256 << 20  # of a program; data has a way of its own
_WILD = "*?["


@dataclass(frozen=True)
class Needs:
    """What must be uploaded. Keys of both are paths relative to `folder`, with / between their parts."""

    folder: Path
    data: tuple[str, ...] = ()
    program: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is something to upload."""
        return bool(self.data or self.program)


def needs(job: TrainingJob, path: Path) -> Needs:
    """What `job`, whose manifest is `path`, takes from this machine. The manifest itself is no part of its program.

    :raises TrainyardError: something it names isn't there, lies outside the folder, or is no program but data
    """
    path = path.resolve()
    folder = path.parent
    script, recipe = job.spec.script, job.spec.recipe
    data = recipe.data if recipe else script.data if script else None
    named = _data_files(data, folder) if data else ()
    program: tuple[str, ...] = ()
    if script and not script.source:
        program = _program(script, folder, {*named, path.name}, in_image=job.spec.template.image is not None)
    if recipe and ":" in recipe.model.type and not job.spec.template.image:
        raise TrainyardError(
            "a class of your own must be in the image: a recipe's code isn't uploaded",
            f"spec.recipe.model.type: {recipe.model.type}",
            "put its module into an image made from ours, and name that in spec.template.image",
        )
    return Needs(folder, named, program)


def _data_files(data: Data, folder: Path) -> tuple[str, ...]:
    uris = [data.uri] if data.uri else list(data.splits.model_dump(exclude_none=True).values()) if data.splits else []
    found: list[str] = []
    for uri in uris:
        if "://" not in uri:
            found += _matching(uri, folder)
    return tuple(dict.fromkeys(found))


def _matching(uri: str, folder: Path) -> list[str]:
    """Files of one relative URI: a file, a folder's, or a pattern's."""
    place = Path(os.path.normpath(folder / uri))
    if not place.is_relative_to(folder):
        raise TrainyardError(
            "data outside the manifest's folder has no place on a cluster",
            f"data.uri: {uri}",
            "move it below the manifest's folder, or upload it and give its s3:// address",
            cause="NoData",
        )
    if place.is_dir():
        files = [path for path in place.rglob("*") if path.is_file()]
    elif place.is_file():
        files = [place]
    else:
        wild = any(sign in uri for sign in _WILD)
        files = [path for path in folder.glob(os.path.normpath(uri)) if path.is_file()] if wild else []
    found = [str(path.relative_to(folder)) for path in sorted(files)]
    shown = [name for name in found if not any(part.startswith((".", "_")) for part in Path(name).parts)]
    if not shown:
        raise TrainyardError("there is no data here", str(place), "check data.uri", cause="NoData")
    return shown


def _program(script: Script, folder: Path, left_out: set[str], *, in_image: bool) -> tuple[str, ...]:
    """The files beside the program, and what its command names; () if it's in the image."""
    module = script.command[1] if script.command[0] == "-m" and len(script.command) > 1 else None
    if module:
        top = folder / module.split(".", maxsplit=1)[0]
        there, root = top.is_dir() or top.with_suffix(".py").is_file(), folder
    else:
        there, root = (folder / script.command[0]).is_file(), (folder / script.command[0]).parent
    if not there:
        if in_image:
            return ()
        raise TrainyardError(
            f"the program isn't beside the manifest, and there is no image that could hold it: {script.command[0]}",
            str(folder),
            "correct spec.script.command, or name the image in spec.template.image",
            cause="ProgramMissing",
        )
    named = [folder / word for word in script.command if (folder / word).is_file()]
    paths = {path for path in [*_below(root), *named] if path.is_relative_to(folder)}
    names = sorted(str(path.relative_to(folder)) for path in paths)
    chosen = tuple(name for name in names if name not in left_out)
    _check_size(folder, chosen)
    return chosen


def _below(root: Path) -> list[Path]:
    """Files of a folder, without hidden ones, caches, results and virtual environments."""
    found = []
    for here, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED and not name.startswith(".") and not Path(here, name, "pyvenv.cfg").exists()
        )
        found += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
    return found


def _check_size(folder: Path, names: tuple[str, ...]) -> None:
    sizes = {name: (folder / name).stat().st_size for name in names}
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise TrainyardError(
            f"the program's folder holds {sum(sizes.values()) >> 20} MiB, at most {MAX_BYTES >> 20} are uploaded; "
            f"the largest file is {largest} ({sizes[largest] >> 20} MiB)",
            str(folder),
            "name data in spec.script.data, move other large files elsewhere, or give the code in spec.script.source",
            cause="ProgramTooLarge",
        )
