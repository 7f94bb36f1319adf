"""The data set that a run's preparation left: found by its marker, checked by what the marker says of it."""

from dataclasses import dataclass

from pydantic import ValidationError

from trainyard_api.documents import DataCard, DatasetManifest
from trainyard_storage import Store
from trainyard_trainer.data.index import sealed
from trainyard_trainer.data.shards import corrupt

MARKER = "data/COMMITTED"
"""{"hash": the manifest's, "documents": {name: xxh3_64}}, written last. The documents name places and files: they are
no part of the hash, which decides the order of samples."""


@dataclass(frozen=True)
class Committed:
    """A data set in the folder `data`; the shards that `manifest` names are whole if their digests say so."""

    data: Store
    manifest: DatasetManifest
    digests: dict[str, str]

    def document(self, name: str) -> bytes:
        """preparation.json or card.json, its digest checked. Raises NotFound, or TrainyardError DataCorrupt."""
        return self.data.get(name, xxh3=self.digests.get(name))

    def left_out(self) -> int:
        """Samples that preparation couldn't read, by the data card; 0 if there is none. Raises what `document` does."""
        if "card.json" not in self.digests:
            return 0
        return DataCard.model_validate_json(self.document("card.json")).bad_samples


def read_committed(run: Store) -> Committed | None:
    """What was committed to `run`; None if nothing was. Raises NotFound, or DataCorrupt for a changed manifest."""
    marker = run.get_json(MARKER)
    if not isinstance(marker, dict) or "hash" not in marker:
        return None
    data = run.child(f"data/{marker['hash']}")
    url = data.url("manifest.json")
    try:
        manifest = DatasetManifest.model_validate_json(data.get("manifest.json"))
    except ValidationError as error:
        raise corrupt("The manifest of the data can't be read.", url) from error
    if not manifest.hash == sealed(manifest).hash == marker["hash"]:
        raise corrupt("The manifest of the data was changed: its hash is wrong.", url)
    return Committed(data, manifest, marker.get("documents", {}))
