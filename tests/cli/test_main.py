"""The shell around the commands: what is imported, what is said, which exit code."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.cluster.arguments import COMMANDS
from trainyard_cli.main import main

TRAINYARD = Path(sysconfig.get_path("scripts"), "trainyard")
EXAMPLE = Path(__file__).parents[2] / "examples/digits/job.yaml"
HEAVY = {
    "torch",
    "kubernetes",
    "numpy",
    "polars",
    "boto3",
    "obstore",
    "onnx",
    "onnxruntime",
    "rich",
    "plotly",
    "starlette",
    "PIL",
}


def imported(*arguments: str) -> set[str]:
    """Top-level modules that a command imports."""
    code = "import sys; from trainyard_cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_imports_nothing_heavy_and_not_even_the_types() -> None:
    found = imported("--help")
    assert not found & (HEAVY | {"pydantic", "yaml", "trainyard_trainer", "trainyard_launcher", "trainyard_storage"})
    assert "trainyard_api" in found


def test_validate_imports_nothing_heavy() -> None:
    found = imported("validate", str(EXAMPLE))
    assert not found & (HEAVY | {"trainyard_trainer", "trainyard_launcher", "trainyard_storage", "trainyard_server"})
    assert {"pydantic", "yaml"} <= found


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    for command in (*["init", "validate", "run", "report", "predict", "serve", "convert"], *COMMANDS):
        assert f"\n    {command} " in said
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"usage: trainyard {command} " in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("trainyard 0.")


WRONG = ["", "tarin", "run", "run a --sett b", "validate", "wait j --timeout 1d", "wait j --for x", "logs j --node -1"]


@pytest.mark.parametrize("arguments", [words.split() for words in WRONG], ids=WRONG)
def test_wrong_arguments_are_invalid_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == ExitCode.INVALID
    assert "usage: trainyard" in capsys.readouterr().err


def command_that(action: BaseException | int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `report` in place that ends with `action`."""
    module = ModuleType("trainyard_cli.report")

    def run(args: object) -> int:
        if isinstance(action, int):
            return action
        raise action

    module.__dict__["main"] = run
    monkeypatch.setitem(sys.modules, "trainyard_cli.report", module)


def test_an_error_of_ours_is_its_message_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(TrainyardError("no bucket", "s3://b", "make it", ExitCode.INFRASTRUCTURE), monkeypatch)
    assert main(["report", "x"]) == ExitCode.INFRASTRUCTURE
    assert capsys.readouterr().err == "no bucket\n  where: s3://b\n  remedy: make it\n"


def test_ctrl_c_is_130_and_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(KeyboardInterrupt(), monkeypatch)
    assert main(["report", "x"]) == 130
    assert capsys.readouterr().err == ""


def test_the_commands_own_code_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    command_that(143, monkeypatch)
    assert main(["report", "x"]) == 143


def test_an_unexpected_error_is_one_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TRAINYARD_DEBUG", raising=False)
    command_that(ZeroDivisionError("by zero\nindeed"), monkeypatch)
    assert main(["report", "x"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    (log,) = tmp_path.iterdir()
    assert said == (
        "trainyard failed in a way it should not: ZeroDivisionError: by zero "
        f"(traceback: {log}; TRAINYARD_DEBUG=1 shows it here)\n"
    )
    assert "Traceback (most recent call last)" in log.read_text()
    assert "ZeroDivisionError: by zero\nindeed" in log.read_text()


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRAINYARD_DEBUG", "1")
    command_that(ZeroDivisionError("by zero"), monkeypatch)
    assert main(["report", "x"]) == ExitCode.FAILED
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([TRAINYARD, "validate", EXAMPLE], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
