"""How the bytes of `file://` and `s3://` are reached, by obstore."""

import os
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.store import LocalStore, S3Store

from trainyard_api.errors import TrainyardError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential

# Refused connections and 503s are retried for about 4 s.
_RETRY: "RetryConfig" = {
    "max_retries": 6,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
    "retry_timeout": timedelta(seconds=30),
}
_SILENCE = "20s"  # a connection on which nothing moves for so long is given up
_REQUEST = "10min"  # one request with its whole body: long enough for a shard on a slow line
_CREDENTIALS_TTL = timedelta(minutes=5)


def s3_access(endpoint: str | None, region: str | None) -> "S3Access":
    """The session of this process for these settings; a new one costs 0.15 s. Raises what `S3Access` does."""
    variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _session(endpoint, region, variables)


@lru_cache(maxsize=16)
def _session(endpoint: str | None, region: str | None, variables: tuple[tuple[str, str], ...]) -> "S3Access":
    return S3Access(endpoint, region)


class S3Access:
    """Credentials, region, endpoint and root certificates for S3, all from one boto3 session.

    So environment, profile, web identity and instance role all work as they do for boto3.
    """

    def __init__(self, endpoint: str | None, region: str | None) -> None:
        """Raises TrainyardError if the session is misconfigured or has no credentials."""
        # Only s3:// pays for this import (0.3 s).
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            self.session = boto3.Session(region_name=region)
            self.region = self.session.region_name or "us-east-1"
            self.provider = Boto3CredentialProvider(self.session, ttl=_CREDENTIALS_TTL)
            self.endpoint = endpoint or str(self.session.client("s3", region_name=self.region).meta.endpoint_url)
            self.secure = self.endpoint.startswith("https://")
            bundle = self.session._session.get_config_variable("ca_bundle")  # AWS_CA_BUNDLE, or the profile's
            self.bundle = str(bundle) if bundle and self.secure else None
        except (BotoCoreError, ValueError) as error:
            raise TrainyardError(
                f"No credentials for S3: {error}",
                remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run under a role.",
                cause="StorageDenied",
            ) from error

    def store(self, bucket: str) -> S3Store:
        """The bucket, by path style: it works with every service and with dots in the name."""
        client: ClientConfig = {
            "allow_http": not self.secure,
            "connect_timeout": "5s",
            "read_timeout": _SILENCE,
            "timeout": _REQUEST,
        }
        if self.bundle:
            client["root_certificate"] = _read_bundle(self.bundle)
        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region=self.region,
            virtual_hosted_style_request=False,
            # TLS already guards the body on its way: signing it too would halve the speed of uploads.
            unsigned_payload=self.secure,
            credential_provider=self.provider,
            client_options=client,
            retry_config=_RETRY,
        )

    def polars_options(self) -> dict[str, Any]:
        """`storage_options` for polars, with the credentials as they are now.

        A CA bundle becomes this process's SSL_CERT_FILE: polars has no option for it, and looks there alone.
        """
        if self.bundle:
            os.environ["SSL_CERT_FILE"] = self.bundle
        credentials: S3Credential = self.provider()
        token = credentials.get("token")
        return {
            "aws_access_key_id": credentials["access_key_id"],
            "aws_secret_access_key": credentials["secret_access_key"],
            **({"aws_session_token": token} if token else {}),
            "aws_endpoint_url": self.endpoint,
            "aws_region": self.region,
            "aws_virtual_hosted_style_request": "false",
            "aws_allow_http": "false" if self.secure else "true",
            "max_retries": _RETRY["max_retries"],
        }


def local_store() -> LocalStore:
    """The file system from its root; folders are made when a file is put into them."""
    return LocalStore()


def _read_bundle(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TrainyardError(
            f"Can't read the CA bundle: {error.strerror}", path, "Correct AWS_CA_BUNDLE.", cause="StorageUnreachable"
        ) from error
