"""What must hold for the repository as a whole."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.splitlines() if (ROOT / name).is_file()]


def test_nothing_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_no_file_names_a_package_index() -> None:
    hosts = re.compile(rb"(pypi|pythonhosted|npmjs|crates|goproxy|proxy\.golang)\.(org|com|io)")
    assert [str(path) for path in tracked() if hosts.search(path.read_bytes())] == []


def test_nothing_is_left_of_tools() -> None:
    assert [str(path) for path in tracked() if path.suffix in (".orig", ".rej", ".bak", ".pyc")] == []


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"^[a-z0-9._-]+(\[[a-z,]+\])?==\S+ ", line), line
        assert "--hash=sha256:" in line, line


def test_torch_is_the_version_the_project_supports() -> None:
    assert "\ntorch==2.13.0 " in (ROOT / "requirements" / "run.txt").read_text()


def test_the_images_install_what_a_run_does() -> None:
    layers = [_pins("torch.txt"), _pins("trainer.txt")]
    assert layers[0] & layers[1] == set()
    assert (layers[0] | layers[1]) - _pins("run.txt") == set()
    assert _pins("operator.txt") - _pins("dev.txt") == set()


def _pins(name: str) -> set[str]:
    return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_every_dependency_has_its_reason_in_the_architecture() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    shipped = [*project["dependencies"], *extras["trainer"], *extras["serve"], *extras["operator"]]
    names = [re.split(r"[\[=<>~]", line)[0] for line in shipped]
    reasons = (ROOT / "ARCHITECTURE.md").read_text()
    assert [name for name in names if name not in reasons and name != "numpy"] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []
