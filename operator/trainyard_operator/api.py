"""The API server as the operator needs it: a few verbs over the session that kopf uses too."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from trainyard_operator.metrics import Metrics
from trainyard_operator.names import MANAGER

Object = dict[str, Any]

_SECONDS = 30.0


@dataclass(frozen=True)
class Resource:
    """A kind of object and where it is served."""

    prefix: str  # api/v1, apis/trainyard.dev/v1alpha1
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As it stands in an object."""
        return self.prefix.partition("/")[2]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, an object, or a part of it."""
        parts = [self.prefix, *(("namespaces", namespace) if namespace and self.namespaced else ()), self.plural]
        return "/" + "/".join([*parts, *(part for part in (name, subresource) if part)])


JOBS = Resource("apis/trainyard.dev/v1alpha1", "trainingjobs", "TrainingJob")
RUNTIMES = Resource("apis/trainyard.dev/v1alpha1", "trainingruntimes", "TrainingRuntime", namespaced=False)
PODS = Resource("api/v1", "pods", "Pod")
SERVICES = Resource("api/v1", "services", "Service")
CONFIG_MAPS = Resource("api/v1", "configmaps", "ConfigMap")
EVENTS = Resource("api/v1", "events", "Event")
NODES = Resource("api/v1", "nodes", "Node", namespaced=False)
LEASES = Resource("apis/coordination.k8s.io/v1", "leases", "Lease")
POD_GROUPS = {
    "coscheduling": Resource("apis/scheduling.x-k8s.io/v1alpha1", "podgroups", "PodGroup"),
    "volcano": Resource("apis/scheduling.volcano.sh/v1beta1", "podgroups", "PodGroup"),
}


class ApiError(Exception):
    """The API server refused. `status` is HTTP's, `reason` one word, `message` a sentence."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed in a moment: at a conflict, something else has changed meanwhile."""
        return self.status >= 500 or self.status == 429 or (self.status == 409 and self.reason == "Conflict")


class Fenced(OSError):
    """A write was not sent: this replica may not act any more."""


class Api:
    """Calls to one API server, counted. Raises ApiError, aiohttp.ClientError, TimeoutError or Fenced.

    `may_write` is asked right before each write: a look at a job that began while the Lease was held may outlast it.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        metrics: Metrics,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._session = session
        self._server = server.rstrip("/")
        self._metrics = metrics
        self._may_write = may_write

    async def get(self, path: str, params: Mapping[str, str] | None = None, accept: str = "") -> Object:
        """The object or list at `path`."""
        return await self._call("get", "GET", path, params=params, accept=accept)

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create `body`; 409 if there is one of that name."""
        path = resource.path(body["metadata"].get("namespace"))
        return await self._call("create", "POST", path, body, params={"fieldManager": MANAGER})

    async def apply(self, resource: Resource, body: Object) -> Object:
        """Server-side apply: the fields in `body` are ours."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        params = {"fieldManager": MANAGER, "force": "true"}
        return await self._call("apply", "PATCH", path, body, "application/apply-patch+yaml", params=params)

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Put `body` in place of the version it came from; 409 if there is a newer one."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self._call("update", "PUT", path, body, params={"fieldManager": MANAGER})

    async def patch(self, path: str, body: Object | list[Object], kind: str = "merge") -> Object:
        """A merge patch, or a JSON patch (`kind` json)."""
        content = f"application/{kind}-patch+json"
        return await self._call("patch", "PATCH", path, body, content, params={"fieldManager": MANAGER})

    async def delete(self, path: str, uid: str, grace_seconds: int | None = None) -> Object:
        """Delete the object with this UID: 409 if another one has its name now."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        return await self._call("delete", "DELETE", path, body)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A watch; its reads fail after `silence` seconds without a byte."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=silence)
        async with self._session.get(self._server + path, params=params, timeout=timeout) as answer:
            self._metrics.api_calls.labels("watch", str(answer.status)).inc()
            if answer.status >= 400:
                raise await _error(answer)
            yield answer

    async def _call(
        self,
        verb: str,
        method: str,
        path: str,
        body: Object | list[Object] | None = None,
        content: str = "application/json",
        *,
        params: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Object:
        if method != "GET" and not self._may_write():
            raise Fenced("the Lease is lost")
        headers = {"Accept": accept or "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = content
            data = json.dumps(body, separators=(",", ":")).encode()
        code = "none"
        try:
            async with self._session.request(
                method,
                self._server + path,
                data=data,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
            ) as answer:
                code = str(answer.status)
                if answer.status >= 400:
                    raise await _error(answer)
                found: Object = json.loads(await answer.read())
                return found
        finally:
            self._metrics.api_calls.labels(verb, code).inc()


async def _error(answer: aiohttp.ClientResponse) -> ApiError:
    text = (await answer.read()).decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", text[:300]
    wait = answer.headers.get("Retry-After", "")
    return ApiError(
        answer.status, reason or answer.reason or "", message or text[:300], float(wait) if wait.isdigit() else 0.0
    )


UNREACHABLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError)  # no answer: whether it was done isn't known


class TokenFile:
    """Middleware of aiohttp: the service account's token, read again every minute, because it is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self._read_at = float("-inf")

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if time.monotonic() - self._read_at > 60:
            self._token = self._path.read_text().strip()
            self._read_at = time.monotonic()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return await handler(request)
