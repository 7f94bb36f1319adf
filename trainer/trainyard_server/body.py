"""Bodies of requests, read within limits: of each, and of what all of them hold until they are answered."""

from starlette.requests import ClientDisconnect, Request

from trainyard_server.request import RequestError


class Budget:
    """Bytes that all requests together may hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Holding:
    """What one request holds of the budget."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow_to(self, size: int) -> None:
        """Hold `size` bytes, unless it's more already; RequestError if all requests together exceed the budget."""
        more = size - self._size
        if more > 0:
            self._size = size
            self._budget.held += more
            if self._budget.held > self._budget.limit:
                raise RequestError(503, "too many large requests are being answered")

    def release(self) -> None:
        """Give back everything."""
        self._budget.held -= self._size
        self._size = 0


async def read_body(request: Request, declared: bytes, limit: int, holding: Holding) -> bytes:
    """Read a body of at most `limit` bytes; RequestError if it's larger, or `declared` (Content-Length) says so."""
    if declared.isdigit() and int(declared[:20]) > limit:
        raise RequestError(413, f"body is larger than {limit} bytes")
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        more = message.get("more_body", False)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise RequestError(413, f"body is larger than {limit} bytes")
        holding.grow_to(size)
    return parts[0] if len(parts) == 1 else b"".join(parts)
