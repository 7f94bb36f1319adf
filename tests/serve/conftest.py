"""Servers and models that the serving tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.onnx_models import image_model, table_model
from support.serving import Served, served


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table_model(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_model(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def table_server(table: Path) -> Iterator[Served]:
    with served(table) as server:
        yield server


@pytest.fixture(scope="session")
def image_server(images: Path) -> Iterator[Served]:
    with served(images) as server:
        yield server
