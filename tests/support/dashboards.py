"""The queries of the chart's dashboards, and whether a Prometheus answers each."""

import json
import math
import re
from collections.abc import Iterator, Mapping

from support.helm import CHART
from support.prometheus import Prometheus

FOLDER = CHART / "files" / "dashboards"
OWN = "The program's own"  # title of the panel whose metrics only a program with the SDK logs


def queries(name: str) -> Iterator[tuple[str, str]]:
    """Title of the panel and expression, for each query of the dashboard `name`: job or fleet."""
    for panel in json.loads((FOLDER / f"{name}.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def without_data(server: Prometheus, name: str, variables: Mapping[str, str]) -> list[str]:
    """Queries of the dashboard `name` that give no number now; [] if all do.

    :param variables: values of the dashboard's variables, and of `__rate_interval`
    :raises AssertionError: one of them is no query, or holds a variable that isn't there
    """
    return [
        f"{title}: {filled}"
        for title, expression in queries(name)
        if not _has_numbers(server, filled := _filled(expression, variables))
    ]


def _filled(expression: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        assert match[1] in variables, f"{expression}: ${match[1]} is no variable of this dashboard"
        return variables[match[1]]

    return re.sub(r"\$(\w+)", value, expression)


def _has_numbers(server: Prometheus, expression: str) -> bool:
    return any(not math.isnan(float(series["value"][1])) for series in server.query(expression))
