"""The connection to a cluster: found as kubectl finds it, and spoken to in plain JSON.

The `kubernetes` package reads the kubeconfig and carries the requests. Its classes for each kind aren't used: they
would take seconds to import, and drop fields that they don't know.
"""

import argparse
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trainyard_api import GROUP, VERSION
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.problems import nearest
from trainyard_cli.cluster.refusals import Refused, explained, unreachable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3.response import BaseHTTPResponse

MANAGER = "trainyard"  # of the fields that this command line writes
_CONNECT_SECONDS, _READ_SECONDS = 10, 30
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Object = dict[str, Any]
"""A Kubernetes object as it came."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, the namespace that is meant, and words to name both by."""

    api: "ApiClient"
    namespace: str
    context: str

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self.api.configuration.host)

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float = _READ_SECONDS,
    ) -> "BaseHTTPResponse":
        """The answer with its body still to be read. `silence`: seconds without a byte after which it's given up.

        :raises Refused: the API server answered with an error
        """
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        request = self.api.param_serialize(
            method,
            path,
            query_params=[(name, str(value)) for name, value in (query or {}).items()],
            header_params=sent,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self.api.call_api(*request, _request_timeout=(_CONNECT_SECONDS, silence)).response
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, _document(answer.read()))
        return answer  # type: ignore[no-any-return]

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        """The object that the API server answers. :raises Refused: it answered with an error"""
        return _document(self.open(method, path, query, body, headers).read())

    def get(self, path: str, **query: str | int) -> Object:
        """The object at `path`. :raises Refused: as `call`"""
        return self.call("GET", path, query)


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[Cluster]:
    """The cluster that `args` names; what goes wrong with it inside comes out as a TrainyardError."""
    cluster = _find(args)
    from urllib3.exceptions import HTTPError

    try:
        yield cluster
    except Refused as refused:
        raise explained(refused, cluster.server, cluster.namespace) from refused
    except HTTPError as error:
        raise unreachable(error, cluster.server, cluster.context) from error


def jobs(namespace: str, name: str = "") -> str:
    """Path of a namespace's TrainingJobs, or of one."""
    return _path(f"/apis/{GROUP}/{VERSION}/namespaces", namespace, "trainingjobs", name)


def runtimes(name: str) -> str:
    """Path of a TrainingRuntime."""
    return _path(f"/apis/{GROUP}/{VERSION}", "trainingruntimes", name)


def core(namespace: str, plural: str, *names: str) -> str:
    """Path of pods, events and other objects of the core API, of one of them, or of a part of it."""
    return _path("/api/v1/namespaces", namespace, plural, *names)


def _path(start: str, *parts: str) -> str:
    return "/".join([start, *(quote(part, safe="") for part in parts if part)])


def _document(data: bytes) -> Object:
    """What a body says; an error of a proxy on the way may be no JSON."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"message": data.decode(errors="replace").strip()[:300]}


def _find(args: argparse.Namespace) -> Cluster:
    from kubernetes import client, config
    from urllib3 import Retry

    # What urllib3 tries again it also logs; a message comes when trying has no end but an error.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    settings = client.Configuration()
    settings.retries = Retry(
        total=4, connect=2, read=2, backoff_factor=0.2, status_forcelist=(429, 503), raise_on_status=False
    )
    files = args.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    there = [path for path in files.split(os.pathsep) if path and Path(path).expanduser().exists()]
    if not there and not args.kubeconfig and _NAMESPACE_FILE.exists():  # in a pod, like kubectl
        config.load_incluster_config(client_configuration=settings)
        return Cluster(client.ApiClient(settings), args.namespace or _NAMESPACE_FILE.read_text().strip(), "in-cluster")
    if not there:
        raise TrainyardError(
            "no cluster is named: there is no kubeconfig",
            files,
            "name one with --kubeconfig FILE or $KUBECONFIG; `kubectl config view` shows what kubectl uses",
            cause="NoCluster",
        )
    context = _context(files, args.context)
    try:
        config.load_kube_config(files, context["name"], settings, persist_config=False)
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainyardError(
            f"the kubeconfig can't be used: {said}",
            f"{files}, context {context['name']}",
            "correct it; `kubectl get namespaces` must work with it",
            cause="NoCluster",
        ) from error
    namespace = args.namespace or (context.get("context") or {}).get("namespace") or "default"
    return Cluster(client.ApiClient(settings), namespace, context["name"])


def _context(files: str, wanted: str | None) -> Object:
    """The context named, or the current one."""
    import yaml
    from kubernetes import config

    try:
        contexts, current = config.list_kube_config_contexts(files)
    except (config.ConfigException, OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        if wanted is None:
            remedy = "choose one: kubectl config use-context NAME, or --context NAME"
            what = f"no context is chosen, or the file is damaged: {str(error).splitlines()[0]}"
            raise TrainyardError(what, files, remedy, cause="NoCluster") from error
        return {"name": wanted}  # another than the current one may still be whole
    known = {context["name"]: context for context in contexts}
    if wanted is None:
        return dict(current)
    if wanted not in known:
        guess = nearest(wanted, known)
        remedy = f"did you mean {guess}?" if guess else f"known are: {', '.join(sorted(known))}"
        raise TrainyardError(f"there is no context {wanted}", files, remedy, ExitCode.INVALID, "NoCluster")
    return dict(known[wanted])
