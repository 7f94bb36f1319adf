"""One stage of a job: `python -m trainyard_trainer prepare|train|publish|report`, as the launcher starts it."""

import sys

from trainyard_launcher.rank import guarded


def prepare() -> None:
    """From raw data to prepared shards."""
    from trainyard_trainer.prepare.stage import run_prepare

    run_prepare()


def train() -> None:
    """From prepared shards to weights, checkpoints and an evaluation; one process per rank."""
    from trainyard_trainer.train.stage import run_train

    run_train()


def publish() -> None:
    """From weights to a published model."""
    from trainyard_trainer.export.stage import run_publish

    run_publish()


def report() -> None:
    """From all that a run has left to one page."""
    from trainyard_trainer.report import run_report

    run_report()


STAGES = {"prepare": prepare, "train": train, "publish": publish, "report": report}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in STAGES:
        sys.exit(f"usage: python -m trainyard_trainer {'|'.join(STAGES)}")
    sys.exit(guarded(STAGES[sys.argv[1]], cause="ProgramError"))
