"""Commands that are printed for the reader to paste."""

import argparse
import shlex
import sys
from pathlib import Path


def program() -> str:
    """What the reader typed: trainyard, or kubectl trainyard."""
    return "kubectl trainyard" if Path(sys.argv[0]).name.startswith("kubectl-") else "trainyard"


def command(name: str, args: argparse.Namespace, *more: str, namespace: str | None = None) -> str:
    """The command `name` for the job of `args`, on the same cluster and namespace."""
    named = namespace or args.namespace
    words = [args.name, *more]
    words += ["-n", named] if named else []
    words += ["--context", args.context] if args.context else []
    words += ["--kubeconfig", args.kubeconfig] if args.kubeconfig else []
    return f"{program()} {name} {shlex.join(words)}"
