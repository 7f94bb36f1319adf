"""The report, opened in a real browser."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from support.browser import chromium
from support.run_folder import CLASSES, NASTY, fill_run, write_history
from trainyard_launcher.machine import this_machine
from trainyard_storage import open_store
from trainyard_trainer.report import gather, render, write_report
from trainyard_trainer.report.live import watching


def drawn(page: Chrome, times: int = 1) -> None:
    WebDriverWait(page, 60).until(lambda p: int(p.execute_script("return document.body.dataset.drawn || 0")) >= times)


def errors(page: Chrome) -> list[str]:
    return [entry["message"] for entry in page.get_log("browser") if "favicon" not in entry["message"]]  # type: ignore[no-untyped-call]


def plots(page: Chrome) -> int:
    return len(page.find_elements(By.CSS_SELECTOR, ".plot .main-svg:first-child"))


def background(page: Chrome) -> str:
    return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_a_finished_run_is_drawn_light_and_dark_with_nothing_from_elsewhere(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run)
    url = write_report(run)
    seen = {}
    for dark in (False, True):
        with chromium(tmp_path / f"profile-{dark}", dark=dark) as page:
            page.get(url)
            drawn(page)
            assert errors(page) == []
            assert plots(page) == 4  # loss, accuracy, confusion matrix, classes
            requests = page.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")
            assert requests == []
            seen[dark] = (background(page), page.find_element(By.TAG_NAME, "body").text)
    assert seen[False][0] != seen[True][0]
    text = seen[False][1]
    for said in (
        "94.4%",
        "Overfitted from epoch 9",
        "no two rows are equal",
        "batchSize: 64",
        "2.10e-7",
        NASTY,
        "preparing data 2 s",
        "publishing 8.25 s",
        "in all 31.8 s",
        *_hardware(),
    ):
        assert said in text, said


def _hardware() -> list[str]:
    machine = this_machine()
    versions = f"Trainyard {machine.trainyard}, Python {machine.python}, torch {machine.torch}"
    return [f"{machine.processor}, {machine.cores} core", f"{machine.memory_bytes / 1e9:.1f} GB", versions]


def test_gpus_of_a_kind_are_counted(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run)
    gpus = [{"name": name, "memoryBytes": 85_500_000_000} for name in ("NVIDIA H100", "NVIDIA H100", "NVIDIA L4")]
    run.put_json("machine.json", {**run.get_json("machine.json"), "gpus": gpus})  # type: ignore[dict-item]
    with chromium(tmp_path / "profile") as page:
        page.get(write_report(run))
        drawn(page)
        assert "2 × NVIDIA H100, 85.5 GB; 1 × NVIDIA L4, 85.5 GB" in page.find_element(By.TAG_NAME, "body").text


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_window(width: int, tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run)
    (tmp_path / "report.html").write_text(render(gather(run)))
    with chromium(tmp_path / "profile", width=width) as page:
        page.get((tmp_path / "report.html").as_uri())
        drawn(page)
        inner, wide = page.execute_script("return [window.innerWidth, document.documentElement.scrollWidth]")
        assert wide <= inner


def test_a_regression_shows_its_residuals(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run)
    residuals = {
        "histogram": {"edges": [-1.0, 0.0, 1.0], "counts": [3, 4]},
        "scatter": {"actual": [1.0, 2.0, 3.0], "predicted": [1.5, 1.5, 3.0]},
    }
    run.put_json("evaluation.json", {"split": "test", "rows": 7, "metrics": {"r2": 0.5}, "residuals": residuals})
    with chromium(tmp_path / "profile") as page:
        page.get(write_report(run))
        drawn(page)
        assert errors(page) == []
        assert "Predicted against true" in page.find_element(By.TAG_NAME, "body").text


def test_a_run_that_has_hardly_begun_says_so(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    run.put_json("job.json", {"name": "early", "nodes": 1, "processesPerNode": 1, "spec": {"recipe": {}}})
    with chromium(tmp_path / "profile") as page:
        page.get(write_report(run))
        drawn(page)
        assert errors(page) == []
        text = page.find_element(By.TAG_NAME, "body").text
    assert "preparing data" in text
    assert "No epoch has ended yet." in text


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    run.put("history.jsonl", b'{"epoch": 1, "train/loss": NaN}\n')
    assert '"train/loss": null' in render(gather(run))


def test_the_live_page_follows_the_run_without_a_reload(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run, epochs=3, finished=False)
    with watching(run) as url, chromium(tmp_path / "profile") as page:
        page.get(url)
        drawn(page)
        page.execute_script("window.same = true")
        assert "training" in page.find_element(By.TAG_NAME, "h1").text
        write_history(run, 4)
        drawn(page, 2)
        points = page.execute_script("return document.querySelector('.plot').data[0].x.length")
        assert points == 4
        fill_run(run)
        WebDriverWait(page, 60).until(lambda p: "done" in p.find_element(By.TAG_NAME, "h1").text)
        assert page.execute_script("return window.same") is True
        assert errors(page) == []


def test_the_live_server_answers_only_its_own_name(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    fill_run(run)
    with watching(run) as url:
        assert json.loads(urlopen(f"{url}report.json").read())["stage"] == "done"
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(url, headers={"Host": "elsewhere.example"}))
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}other")


def trainyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("trainyard")), "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_writes_the_newest_run_of_a_job(tmp_path: Path) -> None:
    for name in ("aaa", "bbb"):
        fill_run(open_store(str(tmp_path / "default" / "digits" / name)))
    done = trainyard(tmp_path / "default" / "digits", "-o", tmp_path / "out.html")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "out.html"))
    page = (tmp_path / "out.html").read_text()
    assert "digits/bbb" in page
    assert len(CLASSES) == 10


def test_no_run_and_no_place_to_write_are_plain_errors(tmp_path: Path) -> None:
    missing = trainyard(tmp_path / "nothing")
    assert missing.returncode == 2
    assert "There is no run." in missing.stderr
    fill_run(open_store(str(tmp_path / "run")))
    unwritable = trainyard(tmp_path / "run", "-o", tmp_path / "no" / "such" / "folder.html")
    assert unwritable.returncode == 2
    assert "remedy:" in unwritable.stderr


def test_watch_ends_with_ctrl_c(tmp_path: Path) -> None:
    fill_run(open_store(str(tmp_path / "run")))
    command = [str(Path(sys.executable).with_name("trainyard")), "report", str(tmp_path / "run"), "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
