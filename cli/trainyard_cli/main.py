"""`trainyard`: parse the command line, hand over to the command's module, turn errors into messages and exit codes.

Nothing heavy is imported here: `trainyard --help` answers at once. A command's module is imported when it's used.
"""

import argparse
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.cluster import arguments as cluster
from trainyard_cli.cluster.commands import program

BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of ExitCode, or that of a broken pipe."""
    try:
        args = _parser().parse_args(arguments)
        code = _run_command(args)
        sys.stdout.flush()
        return code
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`| head`). Python would complain once more when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last resort: one line for people, the rest in a file
        return _unexpected(error)


def _run_command(args: argparse.Namespace) -> int:
    try:
        code: int = importlib.import_module(f"trainyard_cli.{args.module}").main(args)
    except ModuleNotFoundError as error:
        if (error.name or "trainyard").startswith("trainyard"):
            raise
        # Not by our name: on PyPI it belongs to somebody else.
        extra = "cluster" if args.module.startswith("cluster.") else "trainer,serve"
        raise TrainyardError(
            f"what `{program()} {args.command}` needs isn't installed",
            f"Python package {error.name}",
            f"in a copy of Trainyard's repository: pip install '.[{extra}]'",
            cause="NotInstalled",
        ) from error
    return code


def _unexpected(error: Exception) -> int:
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    if os.environ.get("TRAINYARD_DEBUG") == "1":
        traceback.print_exception(error)
        return ExitCode.FAILED
    with tempfile.NamedTemporaryFile("w", prefix="trainyard-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    sys.stderr.write(
        f"trainyard failed in a way it should not: {said} (traceback: {log.name}; TRAINYARD_DEBUG=1 shows it here)\n"
    )
    return ExitCode.FAILED


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version  # 10 ms that only --version needs

        sys.stdout.write(f"trainyard {version('trainyard')}\n")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program(),
        description="Take a model from raw data to a service, from one manifest.",
        epilog="TRAINYARD_DEBUG=1 shows the traceback of unexpected errors. Exit codes: 0 done, 1 the program failed, "
        "2 the input is wrong, 3 storage or the machine failed, 130 and 143 interrupted after a checkpoint.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (text, add, module) in _COMMANDS.items():
        each = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        each.set_defaults(module=module)
        add(each)
    return parser


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a CSV, Parquet or JSON Lines file, or a folder of class folders")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict (images: the folder's name)")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write; default: job.yaml beside the data")


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a manifest")


def _run(parser: argparse.ArgumentParser) -> None:
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
        "--storage", metavar="URI", help="where everything is kept; default: the manifest's, or ./trainyard-runs"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uri", metavar="URI", help="a run's folder, as `trainyard run` printed it")
    parser.add_argument("--watch", action="store_true", help="show the report in a browser, live while it runs")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report there")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="folder or URI of a published model, or of its run")
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="CSV, JSON, JSON Lines, Parquet or an image; - is standard input; default: the sample published with it",
    )


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="folder or URI of a published model, or of its run")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; default: 8080")


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="manifests of PyTorchJobs or TrainJobs; - is standard input")


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], str]] = {
    "init": ("write a manifest for a data set", _init, "init"),
    "validate": ("check manifests; every problem is shown at once", _validate, "validate"),
    "run": ("train, evaluate and publish a model; go on where an earlier run was stopped", _run, "run"),
    "report": ("show how a run went or goes", _report, "report"),
    "predict": ("answer samples with a published model", _predict, "predict"),
    "serve": ("serve a published model over HTTP (Open Inference Protocol v2)", _serve, "serve"),
    "convert": ("turn Kubeflow's PyTorchJob and TrainJob into TrainingJob", _convert, "convert"),
    **{name: (text, add, f"cluster.{module}") for name, (text, add, module) in cluster.COMMANDS.items()},
}


if __name__ == "__main__":
    sys.exit(main())
