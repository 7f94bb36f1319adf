"""Writes stand-ins for NVIDIA's libraries, so that torch loads on a node without GPUs and without their 3 GB.

Usage: stand_ins.py TORCH_LIB OUT. TORCH_LIB is torch's folder of libraries. For each library of NVIDIA's that they ask
for and don't find, OUT gets one of that name in which every function that they ask for returns 1, an error in all of
NVIDIA's interfaces. Wants gcc, readelf and nm.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Libraries whose symbols carry no version: their functions are known by how they begin. None asks for the driver.
PREFIXES = {"libcufile": "cuFile", "libcurand": "curand", "libcusparseLt": "cusparseLt", "libnccl": "nccl"}
DRIVER, REAL = "libcuda.so.1", "libcudart"  # the real runtime is small, and says that there is no GPU


def main(torch_lib: Path, out: Path) -> None:
    """Write one stand-in per library into `out`."""
    libraries = sorted(torch_lib.glob("*.so*"))
    needed = set(re.findall(r"\[(lib(?:cu|nv|nccl)[^]]*)]", _output("readelf", "--dynamic", *libraries)))
    wanted: dict[str, str] = {}
    for line in _output("nm", "--dynamic", "--undefined-only", "--with-symbol-versions", *libraries).splitlines():
        if line.endswith(":") or not line:
            continue
        name, _, version = line.split()[-1].partition("@")
        wanted[name] = version.lstrip("@")
    for library in sorted(name for name in needed if name != DRIVER and not name.startswith(REAL)):
        _write(out / library, _functions(library, wanted))


def _functions(library: str, wanted: dict[str, str]) -> dict[str, str]:
    """What is asked of `library`: names of functions, each with its version ("" for none)."""
    stem = library.partition(".")[0]
    if prefix := PREFIXES.get(stem):
        return {name: version for name, version in wanted.items() if name.startswith(prefix) and not version}
    own = "NVSHMEM" if stem.startswith("libnvshmem") else library
    return {name: version for name, version in wanted.items() if version == own} or {"unused": own}


def _write(path: Path, functions: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as work:
        source, versions = Path(work, "source.c"), Path(work, "versions")
        body = "\n".join(f"int {name}(void) {{ return 1; }}" for name in sorted(functions))
        source.write_text(body + "\n")
        options = []
        if version := next(iter(functions.values()), ""):
            versions.write_text(f"{version} {{ *; }};\n")
            options = [f"-Wl,--version-script={versions}"]
        command = ["gcc", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", f"-Wl,-soname,{path.name}", *options]
        subprocess.run([*command, "-o", str(path), str(source)], check=True)


def _output(*words: str | Path) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
