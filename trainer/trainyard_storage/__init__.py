"""Object storage: one interface over a folder (`file://`) and S3 (`s3://`), and digests of what is kept there."""

from trainyard_storage.digests import digest, digest128
from trainyard_storage.faults import NotFound
from trainyard_storage.store import ObjectInfo, Store, open_store

__all__ = ["NotFound", "ObjectInfo", "Store", "digest", "digest128", "open_store"]
