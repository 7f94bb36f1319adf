"""A list and a watch that feed the index. Nothing is decided here."""

import asyncio
import json
import logging
import random
import time
from typing import Any

from trainyard_operator.api import UNREACHABLE, Api, ApiError, Resource
from trainyard_operator.index import Index

_PAGE = 500
_WATCH_SECONDS = 290  # the server ends the watch then; the next one goes on from the same place
_SILENCE_SECONDS = 100.0  # a bookmark comes every minute
_MOST_SECONDS = 30.0
_GONE = 410
_Objects = list[dict[str, Any]]

logger = logging.getLogger(__name__)


class Watch:
    """Follows one kind of object, in one namespace or in all, for as long as the operator lives."""

    def __init__(self, api: Api, index: Index, resource: Resource, namespace: str | None, selector: str = "") -> None:
        self._api = api
        self._index = index
        self._namespace = namespace
        self._path = resource.path(namespace)
        self._params = {"labelSelector": selector} if selector else {}
        self.resource = resource
        self.listed = asyncio.Event()  # the index has had a whole list
        self.alive = time.monotonic()  # when the server was heard last

    async def run(self) -> None:
        """List, then watch from there; list again when the server has forgotten that place."""
        version, failures = "", 0
        while True:
            try:
                if not version:
                    version = await self.list()
                async for event in self._events(version):
                    failures = 0
                    version = self._take_in(event)
            except ApiError as error:
                if error.status == _GONE:
                    version = ""
                    continue
                failures += 1
                logger.warning("Watching %s: %s", self.resource.plural, error)
                await asyncio.sleep(_pause(failures, error.retry_after))
            except UNREACHABLE as error:
                failures += 1
                logger.warning("Watching %s: no answer (%s)", self.resource.plural, error or type(error).__name__)
                await asyncio.sleep(_pause(failures))

    async def list(self) -> str:
        """Put the index right, whatever was missed. Returns the list's resource version."""
        objects: _Objects = []
        params = {**self._params, "limit": str(_PAGE)}
        kind = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        while True:
            page = await self._api.get(self._path, params)
            objects += [{**kind, **item} for item in page.get("items") or []]  # a list says it once for all
            if not page["metadata"].get("continue"):
                break
            params["continue"] = page["metadata"]["continue"]
        version = str(page["metadata"]["resourceVersion"])
        self._index.replace(self.resource, objects, self._namespace, int(version))
        self.alive = time.monotonic()
        self.listed.set()
        return version

    async def _events(self, version: str) -> Any:
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS + random.randrange(20)),
        }
        async with self._api.stream(self._path, params, _SILENCE_SECONDS) as answer:
            self.alive = time.monotonic()
            rest = b""
            async for chunk in answer.content.iter_any():
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if line:
                        yield json.loads(line)

    def _take_in(self, event: dict[str, Any]) -> str:
        """The resource version after `event`."""
        self.alive = time.monotonic()
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(int(obj.get("code", 500)), str(obj.get("reason", "")), str(obj.get("message", "")))
        if kind == "DELETED":
            self._index.remove(self.resource, obj)
        elif kind != "BOOKMARK":
            self._index.put(self.resource, obj)
        return str(obj["metadata"]["resourceVersion"])


def _pause(failures: int, at_least: float = 0.0) -> float:
    wait: float = max(at_least, min(_MOST_SECONDS, 0.2 * 2 ** min(failures, 10)) * random.uniform(0.75, 1.25))
    return wait
