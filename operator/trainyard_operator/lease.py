"""One replica acts: the one that holds the Lease."""

import asyncio
import logging
import time

from trainyard_operator import clock
from trainyard_operator.api import LEASES, UNREACHABLE, Api, ApiError, Object
from trainyard_operator.metrics import Metrics

LEASE_SECONDS = 10  # a holder that isn't heard for so long has lost it
RENEW_SECONDS = 2.0
_MARGIN = 2.0  # a holder stops acting so long before others may begin

logger = logging.getLogger(__name__)


class Lease:
    """Takes the Lease when it's free, and keeps it. `held` is set while this replica may act."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, metrics: Metrics) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._metrics = metrics
        self._renewed = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)  # the holder's last renewal, and when it was first seen here
        self.held = asyncio.Event()

    def valid(self) -> bool:
        """Whether this replica may act now: also after it was frozen for a while."""
        return time.monotonic() - self._renewed < LEASE_SECONDS - _MARGIN

    async def run(self) -> None:
        """Returns when the Lease, once held, is lost: whoever calls should then end."""
        while not (self.held.is_set() and not self.valid()):
            try:
                async with asyncio.timeout(LEASE_SECONDS / 2):
                    await self._try()
            except ApiError as error:
                if error.status != 409:  # another one was quicker
                    logger.warning("The Lease can't be taken: %s", error)
            except UNREACHABLE as error:
                logger.warning("The Lease can't be taken: no answer (%s)", error or type(error).__name__)
            await asyncio.sleep(RENEW_SECONDS)
        self.held.clear()
        self._metrics.leader.set(0)

    async def release(self) -> None:
        """Let another one take it at once. Call it when nothing of this replica acts any more."""
        if not self.held.is_set():
            return
        self.held.clear()
        try:
            lease = await self._api.get(LEASES.path(self._namespace, self._name))
            if lease["spec"].get("holderIdentity") == self._identity:
                await self._api.replace(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": None}})
        except (ApiError, *UNREACHABLE) as error:
            logger.warning("The Lease wasn't given back, it ends by itself: %s", error)

    async def _try(self) -> None:
        asked = time.monotonic()  # not when the answer came: that may be much later
        try:
            lease = await self._api.get(LEASES.path(self._namespace, self._name))
        except ApiError as error:
            if error.status != 404:
                raise
            body: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            metadata = {"name": self._name, "namespace": self._namespace}
            await self._api.create(LEASES, {**body, "metadata": metadata, "spec": self._spec({})})
        else:
            if not self._mine_to_take(lease["spec"]):
                return
            await self._api.replace(LEASES, {**lease, "spec": self._spec(lease["spec"])})
        self._renewed = asked
        if not self.held.is_set():
            logger.info("This replica holds the Lease and acts")
            self._metrics.leader.set(1)
            self.held.set()

    def _mine_to_take(self, spec: Object) -> bool:
        """Ours, given back, or not renewed for its whole time: by this machine's clock alone."""
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        renewal = f"{holder} {spec.get('renewTime')}"
        if renewal != self._seen[0]:
            self._seen = (renewal, time.monotonic())
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _spec(self, last: Object) -> Object:
        moment = f"{clock.now().strftime('%Y-%m-%dT%H:%M:%S.%f')}Z"
        mine = last.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": last["acquireTime"] if mine else moment,
            "renewTime": moment,
            "leaseTransitions": int(last.get("leaseTransitions") or 0) + (0 if mine else 1),
        }
