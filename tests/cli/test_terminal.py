"""What a person sees of `trainyard run` in a terminal."""

import os
import re
from pathlib import Path

from support.commands import TRAINYARD, write_job
from support.terminal import in_terminal


def test_a_bar_with_loss_speed_and_time_left_fits_into_80_columns(tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 5},{'[a]' if i % 7 < 3 else '[/b]'}" for i in range(400)]
    (tmp_path / "data.csv").write_text("\n".join(["[/x],:smile:,[old]", *rows, ""]))
    recipe = {
        "data": {"uri": "data.csv", "target": "[old]"},
        "model": {"hidden": [4]},
        "prepare": {"duplicates": "keep"},
        "train": {"epochs": 120, "batchSize": 8},
    }
    job = write_job(tmp_path, recipe=recipe)
    environ = {
        **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")},
        "TERM": "xterm-256color",
        "OMP_NUM_THREADS": "1",
        "TRAINYARD_METRICS_PORT": "0",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    code, drawn = in_terminal([TRAINYARD, "run", str(job), "--storage", "my [old] runs"], tmp_path, environ)
    assert code == 0, drawn
    lines = re.split(r"[\r\n]+", drawn)
    bars = [line for line in lines if "━" in line and "samples/s" in line]
    assert bars, drawn
    for bar in bars:
        assert len(bar) <= 80
        assert re.search(r"Training [━╸╺]{10,} epoch \d+/120 +loss \d\.\d{4} +[\d,]+ samples/s +\d+:\d\d left", bar), (
            bar
        )
    assert any(re.match("Preparing data +━", line) for line in lines), "a stage whose length isn't known has a bar too"
    (report,) = [line for line in lines if line.startswith("Report")]
    assert report.endswith("/report.html")
    assert "/my [old] runs/default/bad/" in report
    (sample,) = [line for line in lines if line.startswith("Sample")]
    assert re.fullmatch(r'Sample  \{":smile:": \d.*, "\[/x\]": \d.*\} -> \[/?[ab]\] \(\d+\.\d%\)', sample)
