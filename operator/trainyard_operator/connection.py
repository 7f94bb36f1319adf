"""How the operator speaks to the API server: one pool of connections, shared with kopf."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import kopf

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_operator.api import TokenFile

_KEEP_SECONDS = 60.0  # the API server itself closes idle connections after 90
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass
class Connection:
    """Where the API server is, and who we are to it."""

    server: str
    _headers: dict[str, str]
    _connector: aiohttp.TCPConnector
    _middlewares: tuple[aiohttp.ClientMiddlewareType, ...]

    def session(self) -> aiohttp.ClientSession:
        """A session over the shared connections; closing it leaves them open."""
        return aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            headers={"User-Agent": "trainyard-operator", **self._headers},
            middlewares=self._middlewares,
        )

    async def close(self) -> None:
        """Close the connections themselves."""
        await self._connector.close()


def connect() -> Connection:
    """As the pod's service account, else as the kubeconfig says. Call it in the event loop.

    :raises TrainyardError: there is neither
    """
    settings = kopf.OperatorSettings()
    info = kopf.login_with_service_account(settings=settings)
    rotated = info is not None
    info = info or kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise TrainyardError(
            "no way to the API server is known",
            "KUBECONFIG",
            "run the operator in a pod with a service account, or set KUBECONFIG",
            ExitCode.INVALID,
            "NoCredentials",
        )
    context: ssl.SSLContext | bool = info.as_ssl_context() if info.server.startswith("https") else False
    return Connection(
        server=info.server,
        _headers={} if rotated else info.as_http_headers(),
        _connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=_KEEP_SECONDS),
        _middlewares=(TokenFile(_TOKEN),) if rotated else (),
    )
