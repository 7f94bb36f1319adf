"""What the commands for clusters take. Nothing heavy is imported here: `trainyard --help` reads it."""

import argparse
import re
from collections.abc import Callable

GOALS = ("complete", "running", "suspended", "deleted")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def _connection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which cluster")
    group.add_argument("-n", "--namespace", metavar="NAME", help="namespace; default: the context's")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig; default: $KUBECONFIG, else ~/.kube/config")


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the job")
    _connection(parser)


def _submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a manifest")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="put a value into the manifest: --set spec.recipe.train.epochs=3 (repeatable)",
    )
    parser.add_argument(
        "--storage", metavar="URI", help="where everything is kept; default: the manifest's, else the runtime's"
    )
    _connection(parser)


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="the jobs of every namespace")
    _connection(parser)


def _logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends, over its restarts")
    parser.add_argument("--node", metavar="INDEX", type=_index, help="only this node; default: all")
    _named(parser)


def _wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for", dest="goal", choices=GOALS, default="complete", help="what to wait for; default: complete"
    )
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, help="wait so long at most: 90, 90s, 5m, 2h; default: for ever"
    )
    _named(parser)


def _index(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a node's index: 0, 1, 2, ...")
    return int(text)


def seconds(text: str) -> int:
    """A time as kubectl takes it, in seconds: 90, 90s, 5m, 2h."""
    found = re.fullmatch(r"([0-9]{1,9})([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write 90, 90s, 5m or 2h")
    return int(found[1]) * _UNITS[found[2]]


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], str]] = {
    "submit": ("on a cluster: upload what a manifest names, and create its job", _submit, "submit"),
    "list": ("on a cluster: the jobs of a namespace", _list, "listing"),
    "status": ("on a cluster: one screen that says how a job goes, and why", _named, "status"),
    "logs": ("on a cluster: what the ranks of a job print", _logs, "logs"),
    "suspend": ("on a cluster: stop a job after a checkpoint, and free its nodes", _named, "change"),
    "resume": ("on a cluster: go on with a suspended job", _named, "change"),
    "delete": ("on a cluster: delete a job; what it has stored stays", _named, "change"),
    "wait": ("on a cluster: wait until a job is so far; exit code 1 if it can't be", _wait, "wait"),
}
