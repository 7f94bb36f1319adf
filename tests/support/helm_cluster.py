"""A real API server with controllers, asked as an administrator, and Helm for it."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import yaml
from kubernetes import client

from support.control_plane import ControlPlane
from support.helm import helm
from support.launched import wait_until

Object = tuple[str, str, str]  # resource, namespace, name

# What comes and goes by itself, or is a list of no objects.
_PASSING = {"events", "endpoints", "apiservices", "componentstatuses"}
_API_SERVERS = ("leases", "kube-system")  # they take one each, in their own time


class HelmCluster:
    """The cluster `plane`, with files for Helm in `folder`. The release is always called trainyard."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.api = plane.api()
        self._kubeconfig = str(plane.kubeconfig())

    def helm(self, verb: str, *words: str, values: dict[str, Any] | None = None) -> str:
        """Run it in the namespace trainyard. Raises AssertionError, with its words, if it fails."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        given = ["-f", str(file)] if verb in ("install", "upgrade") else []
        done = helm(verb, "trainyard", *words, *given, "-n", "trainyard", "--kubeconfig", self._kubeconfig)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str) -> Any:
        """What the API server answers at `path`. A kind whose definition has just come is asked for again."""
        return wait_until(lambda: self._answer(path), f"{path} can be asked for")

    def _answer(self, path: str) -> Any:
        try:
            with self.plane.get(path) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            return None

    def objects(self) -> set[Object]:
        """Everything there is but what has an owner, which Kubernetes' garbage collector removes after it."""
        versions = ["/api/v1"]
        versions += [f"/apis/{each['preferredVersion']['groupVersion']}" for each in self.get("/apis")["groups"]]
        found = set()
        for version in versions:
            for resource in self._get_if_there(version).get("resources", []):
                name = resource["name"]
                if "list" not in resource["verbs"] or name in _PASSING:
                    continue
                for each in self._get_if_there(f"{version}/{name}").get("items", []):
                    namespace = each["metadata"].get("namespace", "")
                    if "ownerReferences" not in each["metadata"] and (name, namespace) != _API_SERVERS:
                        found.add((name, namespace, each["metadata"]["name"]))
        return found

    def definitions(self) -> set[str]:
        """Names of the resource definitions of ours that are there."""
        found = self.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
        return {each["metadata"]["name"] for each in found if each["spec"]["group"] == "trainyard.dev"}

    def remove_definitions(self) -> None:
        """Remove our resource definitions with all their objects; back when they are gone.

        Not just after they were made: the API server may then try again only after longer and longer.
        """
        for name in self.definitions():
            client.ApiextensionsV1Api(self.api).delete_custom_resource_definition(name)
        wait_until(lambda: not self.definitions(), "the definitions are gone")

    def remove_jobs(self) -> None:
        """Remove all TrainingJobs."""
        if self.definitions():
            for each in self.get("/apis/trainyard.dev/v1alpha1/trainingjobs")["items"]:
                where = each["metadata"]["namespace"], "trainingjobs", each["metadata"]["name"]
                client.CustomObjectsApi(self.api).delete_namespaced_custom_object("trainyard.dev", "v1alpha1", *where)

    def _get_if_there(self, path: str) -> Any:
        """As `get`; {} of a kind whose definition has just gone."""
        try:
            return self.get(path)
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return {}

    def apply(self, body: dict[str, Any], **query: str) -> None:
        """Make it so, whether it is there or not; unknown fields are refused. Raises kubernetes' ApiException."""
        resource = f"{body['kind'].lower()}s".replace("policys", "policies")
        namespace = body["metadata"].get("namespace")
        version = body["apiVersion"]
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        path += f"/namespaces/{namespace}/{resource}" if namespace else f"/{resource}"
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict", **query}
        request = self.api.param_serialize(
            *("PATCH", f"{path}/{body['metadata']['name']}"),
            query_params=list(query.items()),
            header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self.api.call_api(*request)
        answer.read()
        self.api.response_deserialize(answer, {"200": "object", "201": "object"})

    def may(self, verb: str, group: str, resource: str, namespace: str | None, **who: Any) -> bool:
        """Whether somebody may, by the API server's own word.

        :param who: user and groups; absent: the operator's account
        """
        resource, _, subresource = resource.partition("/")
        asked = client.V1ResourceAttributes(
            verb=verb, group=group, resource=resource, subresource=subresource, namespace=namespace
        )
        who = who or {"user": "system:serviceaccount:trainyard:trainyard-operator"}
        review = client.V1SubjectAccessReview(spec=client.V1SubjectAccessReviewSpec(resourceAttributes=asked, **who))
        answer = client.AuthorizationV1Api(self.api).create_subject_access_review(review)
        return bool(answer.status and answer.status.allowed)
