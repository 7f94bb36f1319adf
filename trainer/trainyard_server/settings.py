"""What bounds the server: sizes, times and queues."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits that keep one client from harming the others. Times in seconds, sizes in bytes."""

    max_body_bytes: int = 32 << 20  # after decompression too
    max_header_bytes: int = 64 << 10
    max_buffered_bytes: int = 256 << 20  # what all requests hold, bodies or arrays, until they're answered
    header_seconds: float = 10.0  # from connection or first byte to the end of the headers
    body_seconds: float = 60.0  # from the end of the headers to the end of the body
    write_seconds: float = 30.0  # for a client that doesn't read its answer
    keep_alive_seconds: int = 75  # between two requests; above the 60 s of common load balancers
    max_batch_rows: int = 1024
    inline_seconds: float = 0.002  # a run no longer than this takes place on the event loop
    max_queue_requests: int = 512  # waiting for a run; beyond: 503
    lame_duck_seconds: float = 1.0  # SIGTERM: not ready, but still answering, so that balancers notice
    drain_seconds: int = 25  # SIGTERM: longest wait for what is in flight
