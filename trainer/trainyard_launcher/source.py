"""The user's program as an archive: `script.source`."""

import shutil
import tarfile
import zipfile
from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_storage import NotFound, open_store


def program_folder(job: ResolvedJob, runtime: Path) -> Path:
    """The folder in which the job's program runs: the manifest's, or `script.source` unpacked.

    Raises TrainyardError if the archive is missing or can't be unpacked.
    """
    source = job.spec.script.source if job.spec.script else None
    if not source:
        return Path(job.folder or ".").absolute()
    parent, _, name = source.rpartition("/")
    archive, folder = runtime / name, runtime / "source"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        open_store(parent, job.spec.storage).download(name, archive)
        _unpack(archive, folder)
    except NotFound as error:
        raise TrainyardError("There is no such archive.", source, "Correct spec.script.source.") from error
    except (tarfile.TarError, zipfile.BadZipFile, shutil.ReadError, EOFError, OSError) as error:
        raise TrainyardError(
            f"The archive can't be unpacked: {error}", source, "Make it anew: tar czf code.tar.gz -C FOLDER ."
        ) from error
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        shutil.unpack_archive(archive, folder)
        return
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")  # nothing outside the folder, no devices, no odd modes
        else:
            _extract_files(tar, folder)


def _extract_files(tar: tarfile.TarFile, folder: Path) -> None:
    """What the filter does that Python 3.11.4 brought, for those before it; links are left out."""
    root = folder.resolve()
    for member in tar:
        place = (root / member.name.lstrip("/")).resolve()
        if not place.is_relative_to(root):
            raise tarfile.ReadError(f"{member.name} lies outside the archive's folder")
        content = tar.extractfile(member) if member.isfile() else None
        if member.isdir():
            place.mkdir(parents=True, exist_ok=True)
        elif content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.read())
            place.chmod(0o644 | member.mode & 0o111)
