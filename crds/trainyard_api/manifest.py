"""Reading a manifest: every problem at once, each with its line, its field, its value and what to do."""

from pathlib import Path

from trainyard_api.check import check
from trainyard_api.errors import TrainyardError
from trainyard_api.job import TrainingJob
from trainyard_api.overrides import override
from trainyard_api.problems import Problem
from trainyard_api.resolve import resolve_job
from trainyard_api.source import Source, read_source

__all__ = ["load_job", "resolve_job"]


def load_job(path: Path, overrides: list[str] | None = None) -> TrainingJob:
    """The TrainingJob in `path`, with `overrides` (path=value) put in first.

    :raises TrainyardError: it lists everything that is wrong with the file.
    """
    source = read_source(path)
    problems = [*_repeated(source), *override(source, overrides or [])]
    problems += check(source)
    if problems:
        listing = "\n".join(str(problem) for problem in sorted(problems, key=_line))
        count = f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        raise TrainyardError(f"{listing}\n{count}", cause="InvalidManifest")
    return TrainingJob.model_validate(source.value)


def _line(problem: Problem) -> tuple[int, str]:
    line = problem.place.rpartition(":")[2]
    return (int(line) if line.isdigit() else 1 << 31, problem.place)


def _repeated(source: Source) -> list[Problem]:
    return [
        Problem(second, location, f"given twice, first at {first}", "keep one of the two")
        for location, first, second in source.repeated
    ]
