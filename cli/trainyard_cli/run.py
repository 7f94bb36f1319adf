"""`trainyard run`: launch the job on this machine, show how it goes, and say what came of it."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trainyard_api.documents import Fault, ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_api.hardware import count_gpus
from trainyard_api.manifest import load_job, resolve_job
from trainyard_api.resolve import asked_processes
from trainyard_api.template import PodTemplate
from trainyard_cli.display import Display, plain_console
from trainyard_launcher.launch import launch
from trainyard_launcher.stages import REPORT
from trainyard_launcher.work import Outcome
from trainyard_storage import Store


def main(args: argparse.Namespace) -> int:
    """Run `args.file` with `args.overrides`, kept under `args.storage`. The exit code is one of ExitCode."""
    path = Path(args.file)
    manifest = load_job(path, args.overrides)
    job = resolve_job(manifest, path.parent, args.storage)
    console = plain_console()
    if manifest.spec.template != PodTemplate():
        console.print("spec.template is for clusters: it is left aside on one machine.")
    if (asked := asked_processes(manifest.spec)) > (given := job.processes_per_node):
        room = f"{given} {'GPU' if count_gpus() else 'core'}{'s' * (given > 1)}"
        console.print(f"Asked for {asked} processes, this machine has {room}: training with {given}.")
    with Display(console, job) as display:
        outcome = launch(job, display)
    if outcome.fault:
        _print_fault(outcome, outcome.fault)
    elif outcome.code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        console.print(_how_to_go_on(outcome, args), style="bold")
    else:
        if outcome.repeated:
            console.print("This job is finished: nothing in it has changed, so nothing is repeated.", style="bold")
        _print_result(console, job, outcome.store)
    return outcome.code


def _print_fault(outcome: Outcome, fault: Fault) -> None:
    """One plain message: what, where, what to do, and where the rest can be read."""
    logs = outcome.runtime / "logs"
    lines = [fault.message]
    if fault.exception and fault.rank is not None:  # which process, where a program broke; bad input has no rank
        lines[0] = f"Rank {fault.rank} failed: {fault.message}"
    details = {
        "where": fault.where,
        "remedy": fault.remedy,
        "restarts": str(outcome.restarts) if outcome.restarts else "",
        "log": str(logs),
    }
    lines += [f"  {name}: {value}" for name, value in details.items() if value]
    sys.stderr.write("\n".join(lines) + "\n")


def _how_to_go_on(outcome: Outcome, args: argparse.Namespace) -> str:
    step = newest_checkpoint(outcome.store)
    if outcome.store.head("trained/TRAINED.json"):
        kept = "training is finished and kept"
    else:
        kept = f"the checkpoint of step {step} is kept" if step is not None else "there is no checkpoint yet"
    parts = ["trainyard", "run", args.file]
    parts += [part for override in args.overrides for part in ("--set", override)]
    parts += ["--storage", args.storage] if args.storage else []
    return f"Stopped; {kept}. Go on with: {shlex.join(parts)}"


def newest_checkpoint(store: Store) -> int | None:
    """Step of the newest committed checkpoint; None if there is none."""
    committed = [info.key for info in store.list("checkpoints/") if info.key.endswith("/COMMITTED")]
    return max((int(key.split("/")[1].removeprefix("step-")) for key in committed), default=None)


def _print_result(console: Console, job: ResolvedJob, store: Store) -> None:
    published = store.get_json("PUBLISHED.json") or {}
    if job.spec.script:
        console.print(f"Run     {store.uri}")
        console.print(f"Report  {store.url(REPORT.marker)}")
        if published:
            console.print(f"Model   {published['uri']}")
        return
    evaluation = store.get_json("evaluation.json") or {}
    console.print(_metrics_table(evaluation))
    console.print(f"Report  {store.url(REPORT.marker)}")
    console.print(f"Model   {published.get('uri', store.url('model'))}")
    if sample := published.get("sample"):
        console.print(f"Sample  {_short(sample['input'])} -> {_answer(sample['output'])}")


def _metrics_table(evaluation: dict[str, Any]) -> Table:
    table = Table(title=f"{evaluation.get('split', 'test')} split, {evaluation.get('rows', 0)} samples")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in evaluation.get("metrics", {}).items():
        table.add_row(name, "-" if value is None else _figure(value))
    return table


def _figure(value: float) -> str:
    """Four digits or more; an exponent only where nobody would want to count digits."""
    size = abs(value)
    if 1e4 <= size < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 1e-3 <= size < 1 or size == 0 else f"{value:.4g}"


def _answer(output: dict[str, Any]) -> str:
    """A class with its probability, or the number predicted."""
    if "label" in output:
        return f"{output['label']} ({output['probability']:.1%})"
    return ", ".join(f"{name} {_figure(value)}" for name, value in output.items())


def _short(value: Any, most: int = 120) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]} ..."
