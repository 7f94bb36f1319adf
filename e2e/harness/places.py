"""Where the end-to-end tests keep their things, and what those are called."""

from pathlib import Path

from support.control_plane.versions import CACHE

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "e2e" / "images"
MANIFESTS = ROOT / "e2e" / "manifests"
ARTIFACTS = ROOT / "e2e-artifacts"  # what a failed test leaves: events, logs, objects
STATE = CACHE / "e2e"
CLUSTER = "trainyard-e2e"
NAMESPACE = "trainyard-e2e"  # of what the tests themselves bring: the S3 server
