"""A manifest as it was written: its values, and where each of them stands.

Scalars are read as kubectl reads them, so that a file means the same on one machine and on a cluster: 1e-3 is a
number, 2026-01-01 is text (plain YAML 1.1 says the opposite).
"""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trainyard_api.errors import TrainyardError

Location = tuple[str | int, ...]

MAX_BYTES = 1 << 20  # etcd takes no more either
MAX_DEPTH = 64
DATA = (".csv", ".parquet", ".jsonl", ".ndjson", ".tar")
MAX_VALUES = 100_000  # what aliases may unfold to


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - how PyYAML's own loaders begin anew


_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", "tTfFyYnNoO"),
    ("int", r"[-+]?(0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+|[0-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass
class Source:
    """The values of one manifest. `places` tells for every location in them where it was written: job.yaml:12."""

    value: Any
    places: dict[Location, str] = field(default_factory=dict)
    repeated: list[tuple[Location, str, str]] = field(default_factory=list)  # keys given twice, with both places

    def place(self, location: Location) -> str:
        """Where `location` was written, or where the nearest mapping above it was."""
        while location not in self.places:
            location = location[:-1]
        return self.places[location]


def read_source(path: Path) -> Source:
    """Read one YAML or JSON manifest.

    :raises TrainyardError: not there, not readable, not YAML, not exactly one document.
    """
    text = _read_text(path)
    try:
        _check_depth(text, path)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        said = " ".join(part for part in (error.problem, error.context) if part)
        raise TrainyardError(f"not valid YAML: {said}", where, _syntax_remedy(text, mark)) from error
    except yaml.YAMLError as error:
        raise TrainyardError(
            f"not valid YAML: {error}", str(path), "write plain text without control characters"
        ) from error
    nodes = [node for node in nodes if node is not None and node.value != ""]
    if not nodes:
        raise TrainyardError("the manifest is empty", str(path), "`trainyard init DATA --target COLUMN` writes one")
    if len(nodes) > 1:
        raise TrainyardError(
            f"the file holds {len(nodes)} documents, one TrainingJob is wanted",
            f"{path}:{nodes[1].start_mark.line + 1}",
            "put each document after a line `---` into a file of its own",
        )
    return _Reader(str(path)).read(nodes[0])


def parse_value(text: str) -> Any:
    """One value as YAML types it; `--set` takes them. :raises yaml.YAMLError: if it isn't YAML."""
    node = yaml.compose(text, Loader=_Loader)
    return None if node is None else _Reader("").read(node).value


def parse_documents(text: str) -> list[Any]:
    """The values of several documents, typed as kubectl types them. :raises yaml.YAMLError, TrainyardError: not YAML"""
    return [_Reader("").read(node).value for node in yaml.compose_all(text, Loader=_Loader) if node is not None]


def _read_text(path: Path) -> str:
    if path.suffix.lower() in DATA:
        remedy = f"`trainyard init {shlex.quote(str(path))} --target COLUMN` writes a manifest for it"
        raise TrainyardError("this is data by its name, a manifest is wanted", str(path), remedy)
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise TrainyardError(
            "this is a folder, a manifest is wanted", str(path), f"name the file: {path}/job.yaml"
        ) from error
    except OSError as error:
        raise TrainyardError(
            f"the manifest can't be read: {(error.strerror or str(error)).lower()}", str(path), "check the path"
        ) from error
    if len(data) > MAX_BYTES:
        raise TrainyardError("the manifest is larger than 1 MiB", str(path), "give a manifest, not the data")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remedy = "give a YAML or JSON file, saved as UTF-8"
        raise TrainyardError("the manifest isn't UTF-8 text", f"{path}:{line}", remedy) from error
    # JSON may be indented by tabs, YAML may not; inside JSON's strings they're forbidden.
    return text.replace("\t", " ") if path.suffix == ".json" else text


def _check_depth(text: str, path: Path) -> None:
    """The composer recurses: refuse what would exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            where = f"{path}:{event.start_mark.line + 1}" if event.start_mark else str(path)
            raise TrainyardError(f"values are nested deeper than {MAX_DEPTH}", where, "no field needs that")


def _syntax_remedy(text: str, mark: Any) -> str:
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "\t" in lines[mark.line]:
        return "indent with spaces: YAML allows no tabs"
    return "check the indentation, and that brackets and quotes are closed"


class _Reader:
    """Turns composed nodes into values, and notes where each stands."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[yaml.Node] = []
        self._count = 0
        self._source = Source(None)

    def read(self, node: yaml.Node) -> Source:
        self._source.places[()] = self._at(node)
        self._source.value = self._value(node, ())
        return self._source

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1 if node.start_mark else 1}"

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._count += 1
        if node in self._open or self._count > MAX_VALUES:
            raise TrainyardError("aliases unfold without end", self._at(node), "write the values out")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self._open.append(node)
        value = self._mapping(node, location) if isinstance(node, yaml.MappingNode) else self._list(node, location)
        self._open.pop()
        return value

    def _list(self, node: yaml.Node, location: Location) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self._source.places[(*location, index)] = self._at(item)
            values.append(self._value(item, (*location, index)))
        return values

    def _mapping(self, node: yaml.Node, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key, item in node.value:
            if key.tag.endswith(":merge"):
                several = isinstance(item, yaml.SequenceNode)
                merged += [self._value(part, location) for part in (item.value if several else [item])]
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise TrainyardError("a key is not text", self._at(key), "quote it if it holds {} or []")
            inner = (*location, key.value)
            if key.value in values:
                self._source.repeated.append((inner, self._source.places[inner], self._at(key)))
            self._source.places[inner] = self._at(key)
            values[key.value] = self._value(item, inner)
        for part in merged:  # what stands in the mapping itself comes first (YAML's merge key)
            values = {**part, **values} if isinstance(part, dict) else values
        return values


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int":
            return _integer(text)
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            return text


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    if len(digits) > 64:  # no field holds it, and Python refuses to convert very long ones
        return text
    return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)
