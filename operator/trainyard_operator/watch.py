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
_EARLY_SECONDS = 5.0  # a watch that ends sooner, and empty, isn't opened again at once
_MOST_SECONDS = 30.0
_GONE = 410
_Objects = list[dict[str, Any]]

logger = logging.getLogger(__name__)


class Watch:
    """Follows one kind of object, in one namespace or in all, for as long as the operator lives."""

    def __init__(self, api: Api, index: Index, resource: Resource, namespace: str | None, selector: str = "") -> None:
        self._api = api
        self._index = index
        self.namespace = namespace
        self._path = resource.path(namespace)
        self._params = {"labelSelector": selector} if selector else {}
        self.resource = resource
        self.answered = asyncio.Event()  # the index has had a whole list, or can't have one for now
        self.listed = asyncio.Event()  # the index has had one, and nothing has hidden what came after it
        self.alive = time.monotonic()  # when the server was heard last

    async def run(self) -> None:
        """List, then watch from there; list again when the server has forgotten that place."""
        version, failures = "", 0
        while True:
            try:
                if not version:
                    version = await self.list()
                async for event in self._events(version):
                    version = self._take_in(event)
                    failures = 0
            except ApiError as error:
                failures += 1
                if error.status == _GONE or self.hides(error):
                    version = ""
                if self.hides(error):
                    self._lose_sight(error)
                else:
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
        self._index.replace(self.resource, objects, self.namespace, int(version))
        self.alive = time.monotonic()
        if self.answered.is_set() and not self.listed.is_set():
            logger.info("%s in namespace %s can be seen again", self.resource.plural, self.namespace)
        self.listed.set()
        self.answered.set()
        return version

    def hides(self, error: ApiError) -> bool:
        """Whether a namespace that was named is gone, or the operator's role in it: others aren't held up by that."""
        return self.namespace is not None and error.status in (403, 404)

    def _lose_sight(self, error: ApiError) -> None:
        if self.listed.is_set() or not self.answered.is_set():
            what = (
                "%s in namespace %s can't be seen: its jobs aren't looked at until the operator has its role there: %s"
            )
            logger.warning(what, self.resource.plural, self.namespace, error)
        self.alive = time.monotonic()
        self.listed.clear()
        self.answered.set()

    async def _events(self, version: str) -> Any:
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS + random.randrange(20)),
        }
        async with self._api.stream(self._path, params, _SILENCE_SECONDS) as answer:
            self.alive = opened = time.monotonic()
            rest, empty = b"", True
            async for chunk in answer.content.iter_any():
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if line:
                        empty = False
                        yield json.loads(line)
        if empty and time.monotonic() - opened < _EARLY_SECONDS:
            raise ConnectionError("the watch ended at once, and empty")

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
