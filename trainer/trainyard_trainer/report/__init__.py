"""report.html: what a run did, on one page that needs nothing else."""

from trainyard_trainer.report.gather import gather
from trainyard_trainer.report.page import render, run_report, write_report

__all__ = ["gather", "render", "run_report", "write_report"]
