"""Single files out of Go modules, whose checksums Go checks: OpenAPI documents and resource definitions."""

import gzip
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support import go

CACHE = Path.home() / ".cache" / "trainyard" / "schemas"


@dataclass(frozen=True)
class ModuleFile:
    """The file `path` of `module` at `version`."""

    module: str
    version: str
    path: str

    def read(self) -> bytes:
        """What is in it, from the cache, downloaded first if need be. Raises RuntimeError if it can't be."""
        name = f"{self.module}-{self.version}-{self.path}".replace("/", "-")
        return gzip.decompress(_cached(CACHE / f"{name}.gz", lambda: gzip.compress(self._download())))

    def _download(self) -> bytes:
        """Nothing else of the module is kept: some weigh hundreds of megabytes."""
        folder = tempfile.mkdtemp()
        try:
            done = subprocess.run(
                [go.command(), "mod", "download", "-json", f"{self.module}@{self.version}"],
                cwd="/",
                env={**os.environ, "GOMODCACHE": folder, "GOFLAGS": "-modcacherw"},
                capture_output=True,
                text=True,
            )
            # A module that wants a newer Go than this one is refused only after its archive has come and was checked.
            archive = json.loads(done.stdout or "{}").get("Zip")
            if not archive:
                raise RuntimeError(f"{self.module}@{self.version} can't be downloaded: {done.stdout}{done.stderr}")
            with zipfile.ZipFile(archive) as opened:
                return opened.read(f"{self.module}@{self.version}/{self.path}")
        finally:
            shutil.rmtree(folder)


def _cached(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = make()
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
            scratch.write(content)
        Path(scratch.name).replace(path)  # by one rename: other test processes may be at it too
    return path.read_bytes()
