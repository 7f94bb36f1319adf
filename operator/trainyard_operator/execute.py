"""Doing what was planned: the only place from which a job's objects are written."""

import asyncio
import re
from collections.abc import Awaitable

from trainyard_operator.actions import Action, Apply, Create, Delete, EndPod, child
from trainyard_operator.api import PODS, Api, ApiError, Object
from trainyard_operator.children import covers
from trainyard_operator.index import Index
from trainyard_operator.names import Key, owner_uid
from trainyard_operator.pod import plain
from trainyard_operator.state import Trouble

_AT_ONCE = 32  # pods made side by side


class Executor:
    """Carries out actions. What the API server refuses comes back as Trouble; what it can't do now is raised."""

    def __init__(self, api: Api, index: Index) -> None:
        self._api = api
        self._index = index
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, key: Key, uid: str, actions: list[Action]) -> dict[str, Trouble]:
        """Do `actions` of the job `key` side by side. Returns refusals by child."""
        full: list[ApiError] = []
        done = await asyncio.gather(*(self._do(key, uid, action, full) for action in actions), return_exceptions=True)
        refusals: dict[str, Trouble] = {}
        for action, outcome in zip(actions, done, strict=True):
            if isinstance(outcome, ApiError) and not outcome.passing:
                refusals[child(action)] = _trouble(child(action), outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
        return refusals

    async def _do(self, key: Key, uid: str, action: Action, full: list[ApiError]) -> None:
        """Do it. `full`: why a pod isn't allowed; where there is no room for one, its siblings aren't tried."""
        async with self._slots:
            match action:
                case Create() if action.resource == PODS:
                    if full:
                        raise full[0]
                    try:
                        await self._create(uid, action)
                    except ApiError as error:
                        if error.status == 403:
                            full.append(error)
                        raise
                case Create():
                    await self._create(uid, action)
                case Apply():
                    self._index.put(action.resource, await self._api.apply(action.resource, action.body))
                case Delete():
                    path = action.resource.path(key.namespace, action.name)
                    await _unless_gone(self._delete(action, path))
                case EndPod():
                    path = PODS.path(key.namespace, action.name)
                    patch = {"metadata": {"uid": action.uid}, "spec": {"activeDeadlineSeconds": action.after_seconds}}
                    await _unless_gone(self._patch(path, patch))

    async def _patch(self, path: str, patch: Object) -> None:
        self._index.put(PODS, await self._api.patch(path, patch))

    async def _delete(self, action: Delete, path: str) -> None:
        answer = await self._api.delete(path, action.uid, action.grace_seconds)
        if answer.get("kind") == action.resource.kind:  # it is on its way out; else the answer is a Status: it is gone
            self._index.put(action.resource, answer)

    async def _create(self, uid: str, action: Create) -> None:
        """Make it; if it exists the cache was behind, or its labels were taken away, unless it is somebody else's."""
        try:
            self._index.put(action.resource, await self._api.create(action.resource, action.body))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            metadata = action.body["metadata"]
            live = await self._api.get(action.resource.path(metadata["namespace"], metadata["name"]))
            if owner_uid(live) != uid:
                raise
            labels = metadata["labels"]
            if not covers(live["metadata"].get("labels"), labels):
                self._index.unhide(live["metadata"]["uid"])
                mine = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
                body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {**mine, "labels": labels}}
                live = await self._api.apply(action.resource, body)
            self._index.put(action.resource, live)


async def _unless_gone(doing: Awaitable[None]) -> None:
    """404: it's gone already. (409: perhaps another object has its name by now; the next look will tell.)"""
    try:
        await doing
    except ApiError as error:
        if error.status != 404:
            raise


def _within_limits(refusal: str) -> str | None:
    """What to do about a refusal by a ResourceQuota or a LimitRange; None: it's by something else."""
    if "exceeded quota" in refusal:
        return "wait, ask for less, or have the quota raised"
    if "failed quota" in refusal:
        return "delete the job, and submit it with these in spec.template.resources"
    if re.search(r"\bper (Container|Pod)\b", refusal):
        return "delete the job, and submit it with spec.template.resources as the namespace's LimitRange allows"
    return None


def _trouble(name: str, error: ApiError) -> Trouble:
    if error.reason == "AlreadyExists":
        what = f"there is a {name} already that isn't this job's: delete it, or give the job another name"
        return Trouble("NameTaken", plain(what))
    message = plain(error.message)
    if error.status == 403 and (remedy := _within_limits(error.message)):
        return Trouble("QuotaExceeded", f"{message}: {remedy}")
    if error.status == 403 and "being terminated" in error.message:
        return Trouble("NamespaceTerminating", message)
    if error.status == 404 and name.startswith("PodGroup"):
        what = "this cluster has no such scheduler: install it, or choose another template.gang"
        return Trouble("MissingConfig", plain(f"{name} can't be made ({error.message}): {what}"))
    reason = "Forbidden" if error.status == 403 else "Rejected"
    return Trouble(reason, f"the API server refuses {name}: {message}")
