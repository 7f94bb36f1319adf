"""python -m dashboards     # writes job.json and fleet.json into the chart"""

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.fleet import fleet
from dashboards.job import job

FOLDER = Path(__file__).parents[1] / "trainyard" / "files" / "dashboards"


def text(board: Dashboard) -> str:
    """A dashboard's file."""
    built = board.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number  # the builder leaves them 0, and Grafana wants each to be another
    return JSONEncoder(indent=2, sort_keys=True).encode(built) + "\n"


def main() -> None:
    """Write the files anew."""
    for name, board in (("job", job()), ("fleet", fleet())):
        (FOLDER / f"{name}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main()
