"""Following the logs of all nodes of a job until it ends, over replaced pods and broken connections."""

import threading
from collections.abc import Callable, Iterator
from queue import Queue

from trainyard_cli.cluster import connection
from trainyard_cli.cluster.connection import Cluster, Object
from trainyard_cli.cluster.jobs import CONTAINER, FINISHED, JOB_LABEL, index_of, phase_of, pods_of
from trainyard_cli.cluster.pod_log import Line, PodLog
from trainyard_cli.cluster.pods import has_ended, has_started
from trainyard_cli.cluster.refusals import Refused
from trainyard_cli.cluster.watching import Snapshot, snapshots

_QUEUED_LINES = 10_000
_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_END_SECONDS = 15.0  # for the last lines, once the job has ended: a pod on a lost node never ends


class Following:
    """Threads read: one watches the job, one its pods, one each a pod's log. The caller's thread gets the lines."""

    def __init__(self, cluster: Cluster, job: Object, node: int | None) -> None:
        self._cluster, self._node = cluster, node
        self._name, self._uid = job["metadata"]["name"], job["metadata"]["uid"]
        self._lines: Queue[Line | Exception | None] = Queue(_QUEUED_LINES)
        self._changed = threading.Condition()
        self._pods: Snapshot = {}
        self._readers: dict[str, threading.Thread] = {}
        self._job_ended = False

    def lines(self) -> Iterator[Line]:
        """Every line as it comes, until the job has ended or is gone. :raises Exception: what a thread met"""
        self._start(self._watch_job)
        self._start(self._watch_pods)
        while (item := self._lines.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def idle(self) -> bool:
        """Whether no more lines are waiting now."""
        return self._lines.empty()

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._lines.put(error)

        # A daemon: Ctrl-C must not wait for a read that may be silent for a minute.
        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _watch_job(self) -> None:
        path = connection.jobs(self._cluster.namespace)
        for found in snapshots(self._cluster, path, fieldSelector=f"metadata.name={self._name}"):
            job = found.get(self._uid)
            if job is None or phase_of(job) in FINISHED:
                break
        self._see({pod["metadata"]["uid"]: pod for pod in pods_of(self._cluster, self._name)}, job_ended=True)
        with self._changed:
            readers = list(self._readers.values())
        for reader in readers:
            reader.join(_END_SECONDS)
        self._lines.put(None)

    def _watch_pods(self) -> None:
        path = connection.core(self._cluster.namespace, "pods")
        for found in snapshots(self._cluster, path, labelSelector=f"{JOB_LABEL}={self._name}"):
            self._see(found)

    def _see(self, found: Snapshot, *, job_ended: bool = False) -> None:
        """Take in the present pods, and begin to read those that are new."""
        with self._changed:
            self._pods = found
            self._job_ended = self._job_ended or job_ended
            for uid, pod in found.items():
                if uid not in self._readers and self._node in (None, index_of(pod)):
                    self._readers[uid] = self._start(self._read, pod)
            self._changed.notify_all()

    def _read(self, pod: Object) -> None:
        """One pod's log from its beginning to its end."""
        from urllib3.exceptions import HTTPError

        uid, log, pause = pod["metadata"]["uid"], PodLog(self._cluster, pod), _PAUSE
        while (now := self._begun(uid)) is not None:
            ended, any_new, whole = has_ended(now, CONTAINER), False, False
            try:
                for line in log.lines(follow=not ended):
                    self._lines.put(line)
                    any_new = True
                whole = True
            except Refused as refused:
                if refused.status in (401, 403):
                    raise
            except HTTPError:
                pass  # the connection broke, or was silent for long: go on after the last line
            # Only a read that began after the end and found nothing new has seen everything: a stream that is cut on
            # the way between API server and node ends as if it were whole.
            if ended and whole and not any_new:
                for line in log.tail():
                    self._lines.put(line)
                return
            pause = _PAUSE if any_new else min(_LONGEST_PAUSE, pause * 2)
            if not (ended and any_new):
                self._rest(uid, now, pause)

    def _begun(self, uid: str) -> Object | None:
        """The pod, once there is a log; None if there won't be one."""
        with self._changed:
            while True:
                pod = self._pods.get(uid)
                if pod is None or has_started(pod, CONTAINER):
                    return pod
                if self._job_ended:
                    return None
                self._changed.wait()

    def _rest(self, uid: str, seen: Object, seconds: float) -> None:
        """Wait a little, less if the pod changes."""
        with self._changed:
            self._changed.wait_for(lambda: self._pods.get(uid) is not seen, seconds)
