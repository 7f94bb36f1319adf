"""train.compile: a compiled network trains, and where there is no compiler the job ends in one plain message."""

import shutil
from pathlib import Path

import pytest

from support.launched import recipe_job


@pytest.mark.parametrize("compiler", ["g++", "/nowhere/g++"])
def test_with_and_without_a_compiler(compiler: str, tmp_path: Path) -> None:
    job = recipe_job(tmp_path, train={"epochs": 1, "batchSize": 16, "compile": True})
    kernels = tmp_path / "kernels"
    done = job.run(CXX=compiler, TORCHINDUCTOR_CACHE_DIR=str(kernels), TORCHINDUCTOR_COMPILE_THREADS="1")
    if shutil.which(compiler):
        assert done.code == 0, done.err
        assert list(kernels.rglob("*.so")), "something was compiled"
    else:
        assert done.code == 2, done.err
        assert "The network can't be compiled: InvalidCxxCompiler" in done.err
        assert "remedy: install a C++ compiler (apt-get install g++), or set compile: false" in done.err
        assert len(done.err.splitlines()) == 4
