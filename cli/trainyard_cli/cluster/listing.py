"""`trainyard list`: the table that `kubectl get tj` shows."""

import argparse
import sys

from trainyard_api.errors import ExitCode
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.connection import Cluster, Object, connected
from trainyard_cli.cluster.text import columns

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PAGE = 500


def main(args: argparse.Namespace) -> int:
    """Print the jobs of a namespace, or of all."""
    with connected(args) as cluster:
        heads, rows = _table(cluster, everywhere=args.all_namespaces)
    if not rows:
        where = "in any namespace" if args.all_namespaces else f"in namespace {cluster.namespace}"
        sys.stderr.write(f"There are no jobs {where}.\n")
        return ExitCode.OK
    sys.stdout.write(columns([heads, *rows]))
    return ExitCode.OK


def _table(cluster: Cluster, *, everywhere: bool) -> tuple[list[str], list[list[str]]]:
    """Head and rows, page by page, with the columns that the resource definition names for every reader."""
    path = connection.jobs("" if everywhere else cluster.namespace)
    if everywhere:
        path = path.replace("/namespaces/trainingjobs", "/trainingjobs")
    page, heads, rows = "", [], []
    while True:
        query: dict[str, str | int] = {"limit": _PAGE, **({"continue": page} if page else {})}
        table = cluster.call("GET", path, query, headers={"Accept": _TABLE})
        shown = [at for at, column in enumerate(table["columnDefinitions"]) if not column.get("priority")]
        heads = [table["columnDefinitions"][at]["name"].upper() for at in shown]
        rows += [_row(row, shown, everywhere=everywhere) for row in table.get("rows") or []]
        page = (table.get("metadata") or {}).get("continue") or ""
        if not page:
            return ["NAMESPACE", *heads] if everywhere else heads, rows


def _row(row: Object, shown: list[int], *, everywhere: bool) -> list[str]:
    cells = [row["cells"][at] for at in shown]
    texts = ["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return [row["object"]["metadata"]["namespace"], *texts] if everywhere else texts
