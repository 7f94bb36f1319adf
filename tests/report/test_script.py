"""The report of a program of one's own: what it has logged, on what, and how long it took."""

import json
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from support.browser import chromium
from support.launched import ScriptJob
from trainyard_launcher.machine import this_machine
from trainyard_storage import open_store
from trainyard_trainer.report import gather
from trainyard_trainer.report.gather import ROWS_SHOWN

PROGRAM = """
    from trainyard_trainer import current_job
    job = current_job()
    for step in range(1, 41):
        job.log(step, steps=40, loss=2.0 / step, bleu=step / 4)
        if step % 10 == 0:
            job.log(step, **{"train/loss": 1.9 / step, "validation/loss": 2.5 / step})
"""


def test_a_finished_program_has_a_report_with_every_metric(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, PROGRAM)
    done = job.run()
    assert done.code == 0, done.err
    report = job.run_folder / "report.html"
    assert f"Report  file://{report}" in done.out
    text = {}
    for dark in (False, True):
        with chromium(tmp_path / f"profile-{dark}", dark=dark) as page:
            page.get(report.as_uri())
            WebDriverWait(page, 60).until(lambda p: p.execute_script("return document.body.dataset.drawn"))
            assert [entry["message"] for entry in page.get_log("browser")] == []  # type: ignore[no-untyped-call]
            drawn = page.execute_script(
                "return [...document.querySelectorAll('.plot')].map(p => p.data.map(d => [d.name, d.x, d.y]))"
            )
            text[dark] = page.find_element(By.TAG_NAME, "body").text
    steps = list(range(1, 41))
    assert drawn == [
        [
            ["loss", steps, [2.0 / step for step in steps]],
            ["training", steps[9::10], [1.9 / step for step in steps[9::10]]],
            ["validation", steps[9::10], [2.5 / step for step in steps[9::10]]],
        ],
        [["bleu", steps, [step / 4 for step in steps]]],
    ]
    assert text[False] == text[True]
    for said in ("jobdone", "running", "in all", 'command: ["train.py"]', this_machine().processor, "torch 2."):
        assert said in text[False]
    for said in ("preparing data", "epoch", "Evaluation", "Not prepared"):
        assert said not in text[False]


def test_a_report_that_cannot_be_written_is_a_notice(tmp_path: Path) -> None:
    damage = """
        import os
        from pathlib import Path
        Path(os.environ["TRAINYARD_RUN"].removeprefix("file://"), "history.jsonl").write_text("{")
    """
    job = ScriptJob(tmp_path, damage)
    done = job.run()
    assert done.code == 0, done.err
    assert "The report couldn't be written: A line is not JSON" in done.out
    (job.run_folder / "history.jsonl").unlink()
    again = job.run()  # nothing but the report is left to do
    assert again.code == 0, again.err
    assert "Running the program: done already" in again.out
    assert (job.run_folder / "report.html").exists()


@pytest.mark.parametrize(
    ("documents", "stage"),
    [
        ({}, "script"),
        ({"job.json": {"spec": {"recipe": None, "script": {}}}}, "script"),
        ({"job.json": {"spec": {"script": {"data": {"uri": "x"}}}}}, "prepare"),
        ({"job.json": {"spec": {"script": {}}}, "FINISHED.json": {"attempt": 1}}, "done"),
        ({"job.json": {"spec": {"script": {}}}, "PUBLISHED.json": {"version": "1"}}, "script"),
    ],
)
def test_where_a_program_is(documents: dict[str, object], stage: str, tmp_path: Path) -> None:
    run = open_store(str(tmp_path))
    for key, document in documents.items():
        run.put_json(key, document)
    assert gather(run)["stage"] == stage


def test_of_a_long_history_rare_lines_stay_whole(tmp_path: Path) -> None:
    run = open_store(str(tmp_path))
    rows = [{"step": step, "loss": 1.0} for step in range(9 * ROWS_SHOWN)]
    rows[500::1000] = [{**row, "validation/loss": 2.0} for row in rows[500::1000]]
    run.put("history.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    shown = gather(run)["history"]
    assert len(shown) < 1.1 * ROWS_SHOWN
    assert shown == sorted(shown, key=lambda row: row["step"])
    assert shown[-1] == rows[-1]
    assert [row for row in shown if "validation/loss" in row] == rows[500::1000]
