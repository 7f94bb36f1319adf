"""The HTTP interface: Open Inference Protocol v2 over REST, health and metrics, on Starlette."""

import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from trainyard_server.batcher import Batcher, QueueFull
from trainyard_server.body import Budget, Holding, read_body
from trainyard_server.metrics import ServerMetrics
from trainyard_server.model import InferenceModel
from trainyard_server.request import InferRequest, RequestError, decode, decompress
from trainyard_server.response import error_response, infer_response, json_response, model_metadata, server_metadata
from trainyard_server.settings import Settings
from trainyard_server.tensors import InputError

log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class ModelApp:
    """Answers for one model. `ready` is taken back when the server is about to end."""

    def __init__(self, model: InferenceModel, settings: Settings) -> None:
        self.ready = True
        self.requests_at_hand: Callable[[], int] = lambda: 2  # the server knows; 1: only the one being answered
        self._model = model
        self._settings = settings
        self._budget = Budget(settings.max_buffered_bytes)
        self._batcher = Batcher(
            model.run,
            settings.max_batch_rows,
            settings.max_queue_requests,
            model.rows_within(settings.inline_seconds, settings.max_batch_rows),
            lambda rows: self.metrics.batch_rows.observe(rows),
            lambda: self.requests_at_hand() <= 1,
        )
        self.metrics = ServerMetrics(model.signature, lambda: len(self._batcher))
        self._starlette = Starlette(routes=self._routes())
        self._infer_endpoint = _Endpoint(self, "infer", "POST", self._infer)
        path = f"/v2/models/{model.signature.name}"
        self._infer_paths = {f"{path}/infer", f"{path}/versions/{model.signature.version}/infer"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI app. Inference goes past Starlette's router: searching it costs as much as reading JSON."""
        if scope["type"] == "http" and scope["path"] in self._infer_paths:
            await self._infer_endpoint(scope, receive, send)
        else:
            await self._starlette(scope, receive, send)

    def close(self) -> None:
        """Let the model's thread end."""
        self._batcher.close()

    def _routes(self) -> list[Route]:
        table: list[tuple[str, str, str, Handler]] = [
            ("POST", "infer", "/v2/models/{name}/infer", self._other_model),
            ("POST", "infer", "/v2/models/{name}/versions/{version}/infer", self._other_model),
            ("GET", "live", "/v2/health/live", self._live),
            ("GET", "ready", "/v2/health/ready", self._ready),
            ("GET", "metadata", "/v2", self._server),
            ("GET", "metadata", "/v2/models/{name}", self._metadata),
            ("GET", "metadata", "/v2/models/{name}/versions/{version}", self._metadata),
            ("GET", "ready", "/v2/models/{name}/ready", self._model_ready),
            ("GET", "ready", "/v2/models/{name}/versions/{version}/ready", self._model_ready),
            ("GET", "metrics", "/metrics", self._metrics),
        ]
        routes = [Route(path, _Endpoint(self, name, method, handler)) for method, name, path, handler in table]
        return [*routes, Route("/{path:path}", _Endpoint(self, "other", "", self._unknown))]

    async def _live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def _ready(self, request: Request) -> Response:
        if not self.ready:
            raise RequestError(503, "the server is about to end")
        return json_response({"ready": True})

    async def _server(self, request: Request) -> Response:
        return json_response(server_metadata(version("trainyard")))

    async def _metadata(self, request: Request) -> Response:
        self._check_model(request)
        return json_response(model_metadata(self._model.signature))

    async def _model_ready(self, request: Request) -> Response:
        self._check_model(request)
        if not self.ready:
            raise RequestError(503, "the server is about to end")
        return json_response({"name": self._model.signature.name, "ready": True})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _unknown(self, request: Request) -> Response:
        raise RequestError(404, f"there is nothing at {request.url.path[:200]}")

    async def _other_model(self, request: Request) -> Response:
        self._check_model(request)
        return await self._infer(request)  # its name, but written in another way

    def _check_model(self, request: Request) -> None:
        signature = self._model.signature
        name, wanted = request.path_params["name"], request.path_params.get("version", signature.version)
        if name != signature.name:
            raise RequestError(404, f"there is no model {name[:80]!r} here; {signature.name!r} is")
        if wanted != signature.version:
            raise RequestError(404, f"model {name!r} has no version {wanted[:80]!r} here; {signature.version!r} is")

    async def _infer(self, request: Request) -> Response:
        # Starlette's Headers search and decode the whole list each time.
        headers = dict(request.scope["headers"])
        self.metrics.in_flight += 1
        holding = Holding(self._budget)
        try:
            infer = await self._request(request, headers, holding)
            answers = await self._batcher.infer(infer.inputs, infer.rows)
            return infer_response(self._model, infer, answers, headers.get(b"accept-encoding", b"").decode("latin-1"))
        except QueueFull as error:
            raise RequestError(503, "too many requests wait for the model") from error
        except InputError as error:
            raise RequestError(400, str(error)) from error
        finally:
            holding.release()
            self.metrics.in_flight -= 1

    async def _request(self, request: Request, headers: dict[bytes, bytes], holding: Holding) -> InferRequest:
        limit = self._settings.max_body_bytes
        body = await read_body(request, headers.get(b"content-length", b""), limit, holding)
        body = decompress(body, headers.get(b"content-encoding", b"").decode("latin-1").lower(), limit)
        holding.grow_to(len(body))
        length = headers.get(b"inference-header-content-length")
        infer = decode(self._model, body, None if length is None else length.decode("latin-1"))
        holding.grow_to(sum(array.nbytes for array in infer.inputs.values()))  # `0,` becomes a number of 8 bytes
        return infer


class _Endpoint:
    """Turns a handler into an ASGI app: the method checked, every failure a JSON answer, every answer counted."""

    def __init__(self, app: ModelApp, route: str, method: str, handler: Handler) -> None:
        self._app = app
        self._route = route
        self._method = method
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        response = await self._answer(Request(scope, receive), scope["method"])
        if response is None:
            return
        if not self._app.ready:
            response.headers["connection"] = "close"  # a client that keeps its connection should find another server
        await response(scope, receive, send)
        self._app.metrics.answered(self._route, response.status_code, time.perf_counter() - start)

    async def _answer(self, request: Request, method: str) -> Response | None:
        if self._method not in ("", method) and (method, self._method) != ("HEAD", "GET"):
            response = error_response(RequestError(405, f"{method} isn't allowed here; {self._method} is"))
            response.headers["allow"] = self._method
            return response
        try:
            return await self._handler(request)
        except RequestError as error:
            return error_response(error)
        except ClientDisconnect:
            return None
        except Exception:
            log.exception("a request failed")
            return error_response(RequestError(500, "the server failed; its log says why"))
