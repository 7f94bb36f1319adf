"""CSV, JSON Lines and list columns: types, and what can't be read."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data, ImageShape
from trainyard_trainer.sources import BadSamples, Source, list_source, open_source


def opened(folder: Path, files: Mapping[str, str | bytes], bad: BadSamples, **fields: Any) -> Source:
    """These files, written into `folder`."""
    (folder / "in").mkdir()
    for name, text in files.items():
        (folder / "in" / name).write_bytes(text.encode() if isinstance(text, str) else text)
    data = Data.model_validate({"uri": str(folder / "in"), **fields})
    return open_source(list_source(data, Storage()), data, Storage(), ImageShape(), folder / "scratch", bad)


def read(tmp_path: Path, files: Mapping[str, str | bytes], **fields: Any) -> tuple[pl.DataFrame, BadSamples]:
    """All rows of these files."""
    bad = BadSamples()
    source = opened(tmp_path, files, bad, **fields)
    return pl.concat([frame for _, frame in source.frames([pl.all()])]), bad


def test_types_hold_for_all_files(tmp_path: Path) -> None:
    frame, bad = read(tmp_path, {"a.csv": "x,y,z,b\n1,2,a,true\n2,?,b,False\n", "b.csv": "x,y,z,b\n0.5,7,1,\n"})
    assert frame.schema == {"x": pl.Float64, "y": pl.Int64, "z": pl.String, "b": pl.Boolean}
    assert sorted(frame["x"]) == [0.5, 1.0, 2.0]
    assert frame["y"].null_count() == 1
    assert bad.count == 0


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_separator_is_told(tmp_path: Path, mark: str) -> None:
    with pytest.raises(TrainyardError, match="not by commas") as caught:
        read(tmp_path, {"a.csv": f"a{mark}label\n1,5{mark}x\n"})
    assert caught.value.remedy == "Save it with commas."


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_names_that_look_like_patterns(tmp_path: Path, ending: str) -> None:
    table = pl.DataFrame({"x": [1, 2]})
    stream = io.BytesIO()
    {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[ending](stream)
    frame, _ = read(tmp_path, {f"[1] ?*.{ending}": stream.getvalue()})
    assert sorted(frame["x"]) == [1, 2]


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


def test_quoted_lines_of_wrong_width_are_left_out(tmp_path: Path) -> None:
    lines = ["x,y,z", *[f'"a, ""b""",{i},{i}' for i in range(300)]]
    lines[100] = '"a",1'
    lines[200] = '"a",1,2,3'
    frame, bad = read(tmp_path, {"a.csv": "\n".join(lines) + "\n"})
    assert (frame.height, frame["z"].null_count()) == (298, 0)
    assert bad.examples == ["a.csv, line 101: has 2 fields, not 3", "a.csv, line 201: has 4 fields, not 3"]


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    frame, bad = read(tmp_path, {"a.csv": "\n\r\n\nx,y\n1,2\n\n3,4\n", "b.csv": "x,y\n5,6\n"})
    assert sorted(frame["y"]) == [2, 4, 6]
    assert bad.count == 0


@pytest.mark.parametrize(
    ("header", "said"), [("x,y,x", "2 columns are called x"), (",,y", "2 columns have no name"), ("\n", "blank lines")]
)
def test_a_header_that_names_no_columns(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(TrainyardError, match=said) as caught:
        read(tmp_path, {"a.csv": f"{header}\n1,2,3\n" if "," in header else header})
    assert caught.value.where == f"file://{tmp_path}/in/a.csv"


@pytest.mark.parametrize(
    ("header", "said"), [("x,y,z", "has also z"), ("x", "lacks y"), ("x,z", "lacks y and has also z")]
)
def test_csv_files_of_other_columns(tmp_path: Path, header: str, said: str) -> None:
    line = ",".join("1" * len(header.split(",")))
    with pytest.raises(TrainyardError, match=said) as caught:
        read(tmp_path, {"a.csv": "x,y\n1,2\n", "b.csv": f"{header}\n{line}\n"})
    assert caught.value.where.startswith(f"file://{tmp_path}/in/b.csv")


def test_csv_columns_in_another_order_are_the_same(tmp_path: Path) -> None:
    frame, _ = read(tmp_path, {"a.csv": "x,y\n1,2\n", "b.csv": "y,x\n4,3\n"})
    assert sorted(frame.rows()) == [(1, 2), (3, 4)]


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


def test_nan_and_infinity_as_python_writes_them_are_missing(tmp_path: Path) -> None:
    rows = [{"x": 1.5, "v": [1.0, 2.0]}, {"x": float("nan"), "v": [3.0, 4.0]}, {"x": float("-inf"), "v": [5.0, 6.0]}]
    frame, bad = read(tmp_path, {"a.jsonl": "".join(json.dumps(row) + "\n" for row in rows) + '{"x": 1e999}\n'})
    assert frame["x"].to_list().count(None) == 2  # the line without a list is left out
    assert (frame.height, bad.count) == (3, 1)


def test_no_line_is_json(tmp_path: Path) -> None:
    with pytest.raises(TrainyardError, match="No line names a column"):
        read(tmp_path, {"a.jsonl": "[1]\nno\n"})


def test_json_types_that_disagree(tmp_path: Path) -> None:
    with pytest.raises(TrainyardError, match="no table") as caught:
        read(tmp_path, {"a.jsonl": '{"x": 1}\n{"x": {"a": 1}}\n{"x": [2]}\n'})
    assert caught.value.where.endswith("in/a.jsonl")


def test_json_types_that_disagree_between_files(tmp_path: Path) -> None:
    with pytest.raises(TrainyardError, match="Column x is"):
        read(tmp_path, {"a.jsonl": '{"x": 1}\n', "b.jsonl": '{"x": [1]}\n'})


def test_lists_of_one_length_become_arrays(tmp_path: Path) -> None:
    lines = [f'{{"v": [[1, {i}, 3], [4, 5, 6]], "label": {i % 2}}}' for i in range(200)]
    lines[7] = '{"v": [[1, 2, 3]], "label": 1}'
    lines[8] = '{"v": [[1, 2, 3], [4]], "label": 1}'
    frame, bad = read(tmp_path, {"a.jsonl": "\n".join(lines) + "\n"})
    assert frame.schema["v"] == pl.Array(pl.Int64, (2, 3))
    assert (frame.height, bad.count) == (198, 2)


CSV = st.text('ab1,"\n\r é\x00\ufeff-.', max_size=60).map(str.encode)
JSON = st.lists(
    st.sampled_from(
        [*"[]{}:,1\n", "\n", '{"x": 1}', '{"x": "a"}', '{"x": NaN}', '{"x": [1, 2]}', '{"y": {"a": 1}}', "{}"]
    ),
    max_size=20,
).map(lambda parts: "".join(parts).encode())


@given(st.one_of(st.tuples(st.just("a.csv"), CSV | st.binary()), st.tuples(st.just("a.jsonl"), JSON | st.binary())))
def test_whatever_is_in_a_file_it_is_read_or_refused_in_plain_words(file: tuple[str, bytes]) -> None:
    name, content = file
    with TemporaryDirectory() as folder:
        where = folder
        try:
            source = opened(Path(folder), {name: content}, BadSamples())
            assert all(frame.columns for _, frame in source.frames([pl.all()]))
        except TrainyardError as error:
            where = error.where
        assert folder in where
