"""What the operator knows of the cluster: one index, fed by the watches and by the answers to our own writes."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from trainyard_operator.api import CONFIG_MAPS, JOBS, NODES, POD_GROUPS, PODS, RUNTIMES, SERVICES, Resource
from trainyard_operator.names import JOB_LABEL, Key, owner_uid, pod_name
from trainyard_operator.nodes import Node, read_node

Object = dict[str, Any]
_UNWATCHED = tuple(POD_GROUPS.values())  # a cluster needn't serve them: known by the answers to our writes alone
_CHILDREN = (PODS, SERVICES, CONFIG_MAPS, *_UNWATCHED)
_REMEMBERED = 20_000
_NOTHING: Object = {"metadata": {"uid": None}}


class Index:
    """Objects by kind and name, and which job each belongs to. `changed` is told the jobs that have to be looked at."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self.jobs: dict[Key, Object] = {}
        self.runtimes: dict[str, Object] = {}
        self._children: dict[Resource, dict[Key, dict[str, Object]]] = {
            resource: defaultdict(dict) for resource in _CHILDREN
        }
        self.last_pods: dict[Key, Object] = {}  # what was last known of a job's node 0 that is gone
        self.nodes: dict[str, Node] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()  # UIDs that never come back, the latest last

    def put(self, resource: Resource, obj: Object) -> None:
        """Take in `obj`, unless a newer version of it is here already, or it's known to be gone.

        The answer to a write may come after the watch has told of the object's end.
        """
        name = obj["metadata"]["name"]
        if obj["metadata"]["uid"] in self._gone:
            return
        if resource == NODES:
            self._put_node(name, obj)
        elif resource == RUNTIMES:
            if _newer(obj, self.runtimes.get(name)):
                self.runtimes[name] = obj
                self.all_changed()
        elif resource == JOBS:
            key = Key(obj["metadata"]["namespace"], name)
            if _newer(obj, self.jobs.get(key)):
                self.jobs[key] = obj
                self._changed(key)
        elif belongs := _job_of(obj):
            siblings = self._children[resource][belongs]
            if _newer(obj, siblings.get(name)):
                siblings[name] = slim(resource, obj)
                self._changed(belongs)

    def remove(self, resource: Resource, obj: Object) -> None:
        """Forget `obj`; another object of its name stays."""
        name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
        if resource == NODES:
            self._remove_node(name)
        elif resource == RUNTIMES:
            if self.runtimes.pop(name, None):
                self.all_changed()
        else:
            self._remember(uid)
            key = Key(obj["metadata"]["namespace"], name) if resource == JOBS else _job_of(obj)
            if key and self._forget(resource, key, obj):
                self._changed(key)

    def _forget(self, resource: Resource, key: Key, obj: Object) -> bool:
        """Whether the object was there."""
        name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
        if resource == JOBS:
            self.last_pods.pop(key, None)
            for kind in _UNWATCHED:
                self._children[kind].pop(key, None)
            return self.jobs.get(key, _NOTHING)["metadata"]["uid"] == uid and bool(self.jobs.pop(key))
        siblings = self._children[resource].get(key, {})
        if siblings.get(name, _NOTHING)["metadata"]["uid"] != uid:
            return False
        del siblings[name]
        job = self.jobs.get(key)
        if resource == PODS and name == pod_name(key.name, 0) and job and owner_uid(obj) == job["metadata"]["uid"]:
            self.last_pods[key] = slim(resource, obj)  # its end and its going may have come as one
        if not siblings:
            del self._children[resource][key]
        return True

    def unhide(self, uid: str) -> None:
        """Take in the object with this UID again: it isn't gone, its label was, by which a watch knows it."""
        self._gone.pop(uid, None)

    def _remember(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def _remove_node(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        if node and node.silent:
            self._node_changed(name)

    def replace(self, resource: Resource, objects: list[Object], namespace: str | None, version: int) -> None:
        """Take in a whole list: what isn't on it is gone, unless it is newer than the list's `version`.

        `namespace`: the part that was listed; None: all.
        """
        there = {(obj["metadata"].get("namespace"), obj["metadata"]["name"]): obj["metadata"]["uid"] for obj in objects}
        for old in self._all(resource):
            metadata = old["metadata"]
            if namespace and metadata.get("namespace") != namespace:
                continue
            if int(metadata.get("resourceVersion", 0)) > version:  # we made it while the list was under way
                continue
            if there.get((metadata.get("namespace"), metadata["name"])) != metadata["uid"]:
                self.remove(resource, old)
        for obj in objects:
            self.put(resource, obj)

    def _all(self, resource: Resource) -> list[Object]:
        if resource == JOBS:
            return list(self.jobs.values())
        if resource == RUNTIMES:
            return list(self.runtimes.values())
        if resource == NODES:
            return [{"metadata": {"name": name, "uid": None}} for name in self.nodes]
        return [obj for siblings in self._children[resource].values() for obj in siblings.values()]

    def children(self, resource: Resource, key: Key) -> dict[str, Object]:
        """Objects of a kind with the job's label, by name."""
        return self._children[resource].get(key, {})

    def all_changed(self) -> None:
        """Have every job looked at."""
        for key in self.jobs:
            self._changed(key)

    def _put_node(self, name: str, obj: Object) -> None:
        before, node = self.nodes.get(name), read_node(obj)
        self.nodes[name] = node
        if node != before and (node.silent or (before and before.silent)):
            self._node_changed(name)

    def _node_changed(self, name: str) -> None:
        for key, pods in list(self._children[PODS].items()):
            if any(pod["spec"].get("nodeName") == name for pod in pods.values()):
                self._changed(key)


def _job_of(obj: Object) -> Key | None:
    """The job that owns `obj`; its label can be changed by anyone."""
    metadata = obj["metadata"]
    owners = metadata.get("ownerReferences") or []
    owner = next((each["name"] for each in owners if each.get("controller") and each["kind"] == JOBS.kind), None)
    name = owner or (metadata.get("labels") or {}).get(JOB_LABEL)
    return Key(metadata["namespace"], name) if name else None


def _newer(obj: Object, old: Object | None) -> bool:
    """Resource versions of one kind in one cluster are numbers that grow, also from an object to its successor."""
    return old is None or int(obj["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])


def slim(resource: Resource, obj: Object) -> Object:
    """`obj` without what the operator never looks at: a pod is 15 KB, and there may be ten thousand."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in ("managedFields", "annotations")}
    kept: Object = {**obj, "metadata": metadata}
    if resource == PODS:
        spec = obj.get("spec") or {}
        kept["spec"] = {
            name: spec[name]
            for name in ("nodeName", "hostNetwork", "activeDeadlineSeconds", "schedulingGates")
            if name in spec
        }
    return kept
