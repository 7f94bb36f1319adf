"""Logs as JSON, one object per line, with the job and its generation where a line is about one."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """{"time": ..., "level": ..., "message": ..., "job": "team-a/digits", "generation": 3}"""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("job", "generation"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def about(job: dict[str, Any]) -> dict[str, object]:
    """What a line about `job`, a TrainingJob, has besides its message; generation 0: it is gone."""
    metadata = job["metadata"]
    return {"job": f"{metadata['namespace']}/{metadata['name']}", "generation": metadata.get("generation", 0)}


def set_up(level: str) -> None:
    """Send every log line to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel("WARNING")  # it tells of every object it sees
    logging.getLogger("aiohttp").setLevel("WARNING")
