"""The page itself: one HTML file with its data, style and scripts inside.

Plotly draws; the page asks no other server for anything. Everything that comes from data reaches the page as JSON and
is put in place as text, so a class named <script> is a name and nothing else.
"""

import json
import math
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from trainyard_api.documents import ResolvedJob
from trainyard_launcher.stages import REPORT
from trainyard_storage import Store, open_store
from trainyard_trainer.report.gather import gather

SCRIPTS = ("elements.js", "plots.js", "report.js")


def run_report() -> None:
    """Entry of the stage's process: the report of the run TRAINYARD_RUN is written into it."""
    job = ResolvedJob.model_validate_json(Path(os.environ["TRAINYARD_JOB"]).read_bytes())
    write_report(open_store(os.environ["TRAINYARD_RUN"], job.spec.storage))


def write_report(run: Store) -> str:
    """Write report.html into the run's folder and return its URL."""
    run.put(REPORT.marker, render(gather(run)).encode())
    return run.url(REPORT.marker)


def render(report: dict[str, Any], *, live: bool = False) -> str:
    """The page as HTML (about 5 MB, nearly all of it Plotly).

    :param report: what `gather` gives
    :param live: ask the server the page came from for /report.json every two seconds, until the run is done
    """
    job = report.get("job") or {}
    parts = {
        "title": _escape(str(job.get("name", "run"))),
        "live": "true" if live else "false",
        "style": _part("report.css"),
        "plotly": get_plotlyjs().replace("</script", "<\\/script"),
        "script": '"use strict";\n' + "\n".join(map(_part, SCRIPTS)),
        "data": embedded(report),
    }
    page = _part("report.html")
    for name in ("title", "live", "style", "script", "plotly", "data"):  # data last: nothing in it is a placeholder
        page = page.replace(f"{{{{{name}}}}}", parts[name], 1)
    return page


def embedded(report: dict[str, Any]) -> str:
    """The report as JSON that may stand inside a <script> element."""
    return as_json(report).replace("<", "\\u003c")


def as_json(report: dict[str, Any]) -> str:
    """The report as JSON that browsers read: NaN and infinities, which JSON can't say, become null."""
    return json.dumps(_finite(report), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


@cache
def _part(name: str) -> str:
    return (files("trainyard_trainer.report") / name).read_text(encoding="utf-8")
