"""YAML as kubectl reads it, and files that are no manifest."""

import re
from pathlib import Path
from typing import Any

import pytest

from support.manifests import RECIPE, problems
from trainyard_api.manifest import load_job
from trainyard_api.source import parse_value, read_source


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),  # text for YAML 1.1
        ("1E5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("1:30", "1:30"),  # 90 for YAML 1.1
        ("2026-01-01", "2026-01-01"),  # a date for YAML 1.1
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("[64, 32]", [64, 32]),
        ("{a: 1}", {"a": 1}),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_what_kubectl_makes_of_them(text: str, value: Any) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_anchors_and_merges(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("base: &base\n  a: 1\n  b: 2\nmore:\n  <<: *base\n  b: 3\n")
    source = read_source(path)
    assert source.value["more"] == {"a": 1, "b": 3}
    assert source.place(("more", "b")) == f"{path}:6"
    assert source.place(("more", "a")) == f"{path}:2"


def test_json_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(
        '{\n\t"apiVersion": "trainyard.dev/v1alpha1", "kind": "TrainingJob",\n\t"metadata": {"name": "digits"},\n'
        '\t"spec": {"script": {"command": ["train.py"]}}\n}\n'
    )
    assert load_job(path).metadata.name == "digits"


WRONG = {
    "brackets": (
        RECIPE + "    model: {hidden: [1, 2}\n",
        "not valid YAML: did not find expected ',' or ']' while parsing a flow sequence\n  where: job.yaml:8\n"
        "  remedy: check the indentation, and that brackets and quotes are closed",
    ),
    "a tab": (
        RECIPE + "\tmodel: {}\n",
        "not valid YAML: found character that cannot start any token while scanning for the next token\n"
        "  where: job.yaml:8\n  remedy: indent with spaces: YAML allows no tabs",
    ),
    "nothing": (
        "# only words\n",
        "the manifest is empty\n  where: job.yaml\n  remedy: `trainyard init DATA --target COLUMN` writes one",
    ),
    "two documents": (
        RECIPE + "---\n" + RECIPE,
        "the file holds 2 documents, one TrainingJob is wanted\n  where: job.yaml:9\n"
        "  remedy: put each document after a line `---` into a file of its own",
    ),
    "an alias in itself": (
        "a: &a [*a]\n",
        "aliases unfold without end\n  where: job.yaml:1\n  remedy: write the values out",
    ),
    "aliases that unfold to a billion values": (
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{y}: &{y} [{','.join(['*' + x] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)),
        "aliases unfold without end\n  where: job.yaml:1\n  remedy: write the values out",
    ),
    "depth": (
        "a: " + "[" * 100_000,
        "values are nested deeper than 64\n  where: job.yaml:1\n  remedy: no field needs that",
    ),
    "a list as a key": (
        "? [a]\n: 1\n",
        "a key is not text\n  where: job.yaml:1\n  remedy: quote it if it holds {} or []",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_manifest(name: str, tmp_path: Path) -> None:
    text, message = WRONG[name]
    assert problems(tmp_path, text) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"metadata:\n  name: caf\xe9\n",
            "the manifest isn't UTF-8 text\n  where: {path}:2\n  remedy: give a YAML or JSON file, saved as UTF-8",
        ),
        (
            b"a" * (2 << 20),
            "the manifest is larger than 1 MiB\n  where: {path}\n  remedy: give a manifest, not the data",
        ),
        (b"a: \x00\n", "not valid YAML: "),
    ],
)
def test_bytes_that_are_no_manifest(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(data)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - its text is what counts
        read_source(path)
    assert str(raised.value).startswith(message.format(path=path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "my data.csv").write_text("a,b\n1,2\n")
    for name, said in (
        ("no.yaml", "the manifest can't be read: no such file or directory"),
        (".", "this is a folder, a manifest is wanted"),
        ("my data.csv", f"trainyard init '{tmp_path}/my data.csv' --target COLUMN` writes a manifest for it"),
    ):
        with pytest.raises(Exception, match=re.escape(said)):
            read_source(tmp_path / name)


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(RECIPE, encoding="utf-8-sig")
    assert load_job(path).metadata.name == "digits"
