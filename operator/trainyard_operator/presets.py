"""TrainingRuntimes from a file: for an operator that may read nothing outside its namespaces."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from trainyard_api.errors import TrainyardError
from trainyard_api.runtime import TrainingRuntime
from trainyard_operator.api import RUNTIMES
from trainyard_operator.index import Index


def load(path: Path, index: Index) -> None:
    """Take in the runtimes of a YAML file, one per document.

    :raises TrainyardError: it holds something else
    """
    try:
        documents = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
        for number, document in enumerate(documents):
            TrainingRuntime.model_validate(document)
            metadata = {**document["metadata"], "uid": f"{path}-{number}", "resourceVersion": "1"}
            index.put(RUNTIMES, {**document, "metadata": metadata})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise TrainyardError(
            f"the presets can't be read: {error}", str(path), "write TrainingRuntimes, divided by ---"
        ) from error
