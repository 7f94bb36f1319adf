"""CSV, JSON Lines and list columns: types, and what can't be read."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data, ImageShape
from trainyard_trainer.sources import BadSamples, list_source, open_source


def read(tmp_path: Path, files: dict[str, str | bytes], **fields: Any) -> tuple[pl.DataFrame, BadSamples]:
    """All rows of these files."""
    (tmp_path / "in").mkdir()
    for name, text in files.items():
        (tmp_path / "in" / name).write_bytes(text.encode() if isinstance(text, str) else text)
    data, bad = Data.model_validate({"uri": str(tmp_path / "in"), **fields}), BadSamples()
    source = open_source(list_source(data, Storage()), data, Storage(), ImageShape(), tmp_path / "scratch", bad)
    return pl.concat([frame for _, frame in source.frames([pl.all()])]), bad


def test_types_hold_for_all_files(tmp_path: Path) -> None:
    frame, bad = read(tmp_path, {"a.csv": "x,y,z,b\n1,2,a,true\n2,?,b,False\n", "b.csv": "x,y,z,b\n0.5,7,1,\n"})
    assert frame.schema == {"x": pl.Float64, "y": pl.Int64, "z": pl.String, "b": pl.Boolean}
    assert sorted(frame["x"]) == [0.5, 1.0, 2.0]
    assert frame["y"].null_count() == 1
    assert bad.count == 0


def test_columns_named_categorical_stay_text(tmp_path: Path) -> None:
    frame, _ = read(tmp_path, {"a.csv": "zip,x\n01234,1\n99999,2\n"}, categorical=["zip"])
    assert frame["zip"].to_list() == ["01234", "99999"]


def test_lines_of_wrong_width_are_left_out(tmp_path: Path) -> None:
    lines = ["x,y", *[f"{i},{i}" for i in range(300)]]
    lines[100] = "100"
    lines[200] = "1,2,3"
    frame, bad = read(tmp_path, {"a.csv": "\n".join(lines) + "\n"})
    assert frame.height == 298
    assert bad.examples == ["a.csv, line 101: has 1 fields, not 2", "a.csv, line 201: has 3 fields, not 2"]


def test_lines_that_are_not_utf8_are_left_out(tmp_path: Path) -> None:
    lines = [b"x,y", *[b"%d,caf\xc3\xa9" % i for i in range(200)]]
    lines[50] = b"50,caf\xe9"
    frame, bad = read(tmp_path, {"a.csv": b"\n".join(lines)})
    assert (frame.height, bad.count) == (199, 1)
    assert "line 51: is not UTF-8" in bad.examples[0]


def test_an_unclosed_quote_counts_all_it_swallows(tmp_path: Path) -> None:
    lines = ["x,y", *[f"{i},a" for i in range(20)]]
    lines[15] = '15,"a'
    frame, bad = read(tmp_path, {"a.csv": "\n".join(lines) + "\n"})
    assert (frame.height, bad.count) == (14, 6)


def test_a_few_texts_among_numbers_are_bad_samples(tmp_path: Path) -> None:
    lines = ["x,y", *[f"{i},{i / 2}" for i in range(300)]]
    lines[10] = "9,oops"
    frame, bad = read(tmp_path, {"a.csv": "\n".join(lines)})
    assert frame.schema["y"] == pl.Float64
    assert frame.height == 299
    assert bad.examples == ["a.csv, row 10: y is 'oops', no number"]


def test_quoted_fields_may_hold_commas_and_lines(tmp_path: Path) -> None:
    frame, bad = read(tmp_path, {"a.csv": 'x,y\n1,"a, b"\n2,"c\nd"\n3,"say ""hi"""\n'})
    assert sorted(frame["y"]) == ["a, b", "c\nd", 'say "hi"']
    assert bad.count == 0


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    frame, bad = read(tmp_path, {"a.csv": b"\xef\xbb\xbfx,y\r\n1,2\r\n3,4\r\n"})
    assert frame.columns == ["x", "y"]
    assert sorted(frame["y"]) == [2, 4]
    assert bad.count == 0


def test_json_lines(tmp_path: Path) -> None:
    files = {"a.jsonl": '{"x": 1, "y": "a"}\nnot json\n[1]\n{"y": "b", "x": 2}\n', "b.jsonl": '{"x": 0.5}\n'}
    frame, bad = read(tmp_path, files)
    assert sorted(frame["x"]) == [0.5, 1.0, 2.0]
    assert bad.count == 2
    assert bad.examples[1] == "a.jsonl, line 3: is no JSON object"


def test_json_types_that_disagree(tmp_path: Path) -> None:
    with pytest.raises(TrainyardError, match="Column x is"):
        read(tmp_path, {"a.jsonl": '{"x": 1}\n', "b.jsonl": '{"x": [1]}\n'})


def test_lists_of_one_length_become_arrays(tmp_path: Path) -> None:
    lines = [f'{{"v": [[1, {i}, 3], [4, 5, 6]], "label": {i % 2}}}' for i in range(200)]
    lines[7] = '{"v": [[1, 2, 3]], "label": 1}'
    lines[8] = '{"v": [[1, 2, 3], [4]], "label": 1}'
    frame, bad = read(tmp_path, {"a.jsonl": "\n".join(lines) + "\n"})
    assert frame.schema["v"] == pl.Array(pl.Int64, (2, 3))
    assert (frame.height, bad.count) == (198, 2)
