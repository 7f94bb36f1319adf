"""What the operator is told by its environment."""

import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainyard_api.errors import TrainyardError
from trainyard_operator.pods import Images


@dataclass(frozen=True)
class Settings:
    """One field per variable TRAINYARD_*; see `read`."""

    images: Images
    namespaces: tuple[str, ...] = ()  # empty: all
    runtimes: Path | None = None  # presets by file: where the cluster-scoped ones may not be read
    namespace: str = "default"  # where the Lease is
    identity: str = "operator"
    lease: str = "trainyard-operator"
    log_level: str = "INFO"
    port: int = 8080
    resync_seconds: float = 300.0
    poll_seconds: float = 5.0  # between two looks at a job's progress


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environ`.

    :raises TrainyardError: one is missing or no number
    """
    trainer = _image(environ, "TRAINYARD_IMAGE", "the image that pods run unless a job names one")
    payload = _image(environ, "TRAINYARD_PAYLOAD_IMAGE", "the image that brings launcher and SDK into a job's own")
    names = environ.get("TRAINYARD_NAMESPACES", "")
    runtimes = environ.get("TRAINYARD_RUNTIMES")
    return Settings(
        images=Images(trainer, payload),
        namespaces=tuple(sorted({name.strip() for name in names.split(",")} - {""})),
        runtimes=Path(runtimes) if runtimes else None,
        namespace=environ.get("POD_NAMESPACE", "default"),
        # Never the same twice: a container that restarts must not take its predecessor's Lease for its own.
        identity=f"{environ.get('POD_NAME') or platform.node()}_{uuid.uuid4().hex[:8]}",
        lease=environ.get("TRAINYARD_LEASE", "trainyard-operator"),
        log_level=environ.get("TRAINYARD_LOG_LEVEL", "INFO").upper(),
        port=int(_number(environ, "TRAINYARD_PORT", 8080)),
        resync_seconds=_number(environ, "TRAINYARD_RESYNC_SECONDS", 300),
        poll_seconds=_number(environ, "TRAINYARD_POLL_SECONDS", 5),
    )


def _image(environ: Mapping[str, str], name: str, what: str) -> str:
    if not (found := environ.get(name, "")):
        raise TrainyardError("no image is given", name, f"set it to {what}")
    return found


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        return float(text) if text else default
    except ValueError as error:
        raise TrainyardError(f"{text!r} is no number", name, "write a number, or leave it out") from error
