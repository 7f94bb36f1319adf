"""Asking the launchers how far they are. What they answer is a document of a few fields, and nothing else."""

import asyncio
import ipaddress
import logging
import math
import time
from collections.abc import Mapping

import aiohttp

from trainyard_api.documents import NodeReport
from trainyard_operator.names import REPORT_PORT, Key
from trainyard_operator.observe import Observer
from trainyard_operator.pod import REPORT_BYTES, Pod, read_report
from trainyard_operator.queue import Queue
from trainyard_operator.state import State

_ANSWER_SECONDS = 3.0
_AT_ONCE = 16
_PER_SECOND = 20.0  # looks at most, over all jobs
_MOST_SECONDS = 60.0
_PATIENCE = 5  # looks in vain while a launcher starts; only then they become rarer

logger = logging.getLogger(__name__)


class Poller:
    """Looks at node 0 of every running job in turn; at all nodes when it tells of a fault of another one."""

    def __init__(self, observer: Observer, queue: Queue, seconds: float) -> None:
        self._observer = observer
        self._queue = queue
        self._seconds = seconds
        self._next: dict[Key, float] = {}
        self._silent: dict[Key, int] = {}  # looks in vain, in a row
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, jobs: Mapping[Key, object]) -> None:
        """Go on for ever. `jobs` is the index's."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        # A session of its own: no credentials, no proxy, no cookies go to a pod, and nothing of its is unpacked.
        async with (
            aiohttp.ClientSession(
                timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                moment = time.monotonic()
                for key in [key for key in jobs if self._next.get(key, 0.0) <= moment]:
                    self._next[key] = math.inf  # until this look is over: a slow pod keeps nobody waiting
                    group.create_task(self._look(session, key, len(jobs)))
                self._next = {key: at for key, at in self._next.items() if key in jobs}
                self._silent = {key: count for key, count in self._silent.items() if key in jobs}
                await asyncio.sleep(min(1.0, self._seconds))

    async def _look(self, session: aiohttp.ClientSession, key: Key, jobs: int) -> None:
        try:
            await self._look_at(session, key, jobs)
        except Exception:  # whatever is wrong with one job, the others are asked
            logger.exception("This job can't be asked how far it is", extra={"job": str(key)})
            self._next[key] = time.monotonic() + _MOST_SECONDS

    async def _look_at(self, session: aiohttp.ClientSession, key: Key, jobs: int) -> None:
        state = self._observer.observe(key)
        interval = max(self._seconds, jobs / _PER_SECOND)
        if not state or state.final or 0 not in state.pods or not _address(state.pods[0]):
            self._next[key] = time.monotonic() + interval
            return
        first = await self._ask(session, state.pods[0])
        self._silent[key] = 0 if first else self._silent.get(key, 0) + 1
        self._next[key] = time.monotonic() + min(
            _MOST_SECONDS, interval * 2 ** min(max(0, self._silent[key] - _PATIENCE), 4)
        )
        if not first:
            return
        reports = {state.pods[0].uid: first}
        if first.fault and first.fault.cause == "PeerLost":
            reports |= await self._peers(session, state)
        known = self._observer.reports.get(key, {})
        if any(known.get(uid) != report for uid, report in reports.items()):
            live = {pod.uid for pod in state.pods.values()}
            kept = {uid: report for uid, report in known.items() if uid in live}
            self._observer.reports[key] = {**kept, **reports}
            self._queue.add(key)  # a job that is gone by now is forgotten then

    async def _peers(self, session: aiohttp.ClientSession, state: State) -> dict[str, NodeReport]:
        others = [pod for index, pod in state.pods.items() if index and _address(pod)]
        answers = await asyncio.gather(*(self._ask(session, pod) for pod in others))
        return {pod.uid: answer for pod, answer in zip(others, answers, strict=True) if answer}

    async def _ask(self, session: aiohttp.ClientSession, pod: Pod) -> NodeReport | None:
        """What the pod's launcher says; None if it says nothing that makes sense."""
        async with self._slots:
            try:
                async with session.get(f"http://{_address(pod)}:{REPORT_PORT}/report", allow_redirects=False) as answer:
                    text = b""
                    while answer.status == 200 and len(text) <= REPORT_BYTES:
                        chunk = await answer.content.read(REPORT_BYTES + 1 - len(text))
                        if not chunk:
                            return read_report(text)
                        text += chunk
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.debug("%s doesn't tell how far it is: %s", pod.name, error)
        return None


def _address(pod: Pod) -> str | None:
    """Where a running pod's launcher answers; None if it can't be asked, or shouldn't be."""
    if pod.phase != "Running" or pod.host_network or not pod.ip:
        return None
    try:
        address = ipaddress.ip_address(pod.ip)
    except ValueError:
        return None
    if address.is_link_local or address.is_multicast or address.is_unspecified:  # a cloud's metadata service, say
        return None
    return f"[{address}]" if address.version == 6 else str(address)
