"""The parts that a job is done in."""

from dataclasses import dataclass

from trainyard_api.documents import ResolvedJob

FINISHED = "FINISHED.json"


@dataclass(frozen=True)
class Stage:
    """A part of a run, done when its marker is in the run folder."""

    name: str
    marker: str
    program: tuple[str, ...]
    ranks: bool = False


OWN = ("-m", "trainyard_trainer")
REPORT = Stage("report", "report.html", (*OWN, "report"))  # comes last, and no run fails for it


def stages_of(job: ResolvedJob) -> list[Stage]:
    """The stages of a job, in order."""
    prepare = Stage("prepare", "data/COMMITTED", (*OWN, "prepare"))
    if script := job.spec.script:
        ranks = Stage("script", FINISHED, tuple(script.command), ranks=True)
        return [prepare, ranks] if script.data else [ranks]
    train = Stage("train", "trained/TRAINED.json", (*OWN, "train"), ranks=True)
    return [prepare, train, Stage("publish", "PUBLISHED.json", (*OWN, "publish"))]
