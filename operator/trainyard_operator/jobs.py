"""TrainingJobs of all namespaces come from kopf's watch; a list of their metadata finds what that watch has lost."""

import asyncio
import logging
from typing import Any

import kopf

from trainyard_api import GROUP, VERSION
from trainyard_operator.api import JOBS, Api, ApiError, Object
from trainyard_operator.index import Index
from trainyard_operator.logs import about
from trainyard_operator.names import Key

_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_PAGE = 500
_FIRST_LIST_SECONDS = 5.0

logger = logging.getLogger(__name__)


def register(registry: kopf.OperatorRegistry, index: Index) -> None:
    """Have kopf feed `index`. An event handler adds no finalizer and no annotation."""

    @kopf.on.event(GROUP, VERSION, JOBS.plural, registry=registry)
    async def feed(event: kopf.RawEvent, **_: Any) -> None:
        job = dict(event["object"])
        if event["type"] == "DELETED":
            index.remove(JOBS, job)
        else:
            index.put(JOBS, job)


class Sweep:
    """Compares the index with the API server: kopf never reports what was deleted while its watch was down."""

    def __init__(self, api: Api, index: Index) -> None:
        self._api = api
        self._index = index

    async def first(self) -> None:
        """Wait until kopf has delivered every job there is now; fetch what it doesn't."""
        deadline = asyncio.get_running_loop().time() + _FIRST_LIST_SECONDS
        listed, _ = await self._list()
        while any(_key(each) not in self._index.jobs for each in listed):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.02)
        await self.run()

    async def run(self) -> None:
        """Drop jobs that are gone, and fetch those of which a newer version exists."""
        listed, version = await self._list()
        there = {_key(each): each["metadata"] for each in listed}
        for key, job in list(self._index.jobs.items()):
            if int(job["metadata"]["resourceVersion"]) <= version and key not in there:
                logger.info("The watch missed that this job was deleted", extra=about(job))
                self._index.remove(JOBS, job)
        for key, metadata in there.items():
            known = self._index.jobs.get(key)
            if known is None or int(known["metadata"]["resourceVersion"]) < int(metadata["resourceVersion"]):
                await self._fetch(key)

    async def _fetch(self, key: Key) -> None:
        try:
            self._index.put(JOBS, await self._api.get(JOBS.path(key.namespace, key.name)))
        except ApiError as error:
            if error.status != 404:
                raise

    async def _list(self) -> tuple[list[Object], int]:
        """Metadata of all jobs, and the resource version of that list."""
        found: list[Object] = []
        params = {"limit": str(_PAGE)}
        while True:
            page = await self._api.get(JOBS.path(), params, _METADATA)
            found += page.get("items") or []  # null when there is none
            if not page["metadata"].get("continue"):
                return found, int(page["metadata"]["resourceVersion"])
            params["continue"] = page["metadata"]["continue"]


def _key(job: Object) -> Key:
    return Key(job["metadata"]["namespace"], job["metadata"]["name"])
