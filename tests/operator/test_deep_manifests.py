"""A manifest may be nested as deeply as the API server takes it: whoever has to read it along with others goes on."""

import json
import urllib.request
from pathlib import Path

import pytest

from support.api_proxy import ApiProxy
from support.cluster import Namespace, job, until
from support.forked_operator import an_operator

LEVELS = 9_900  # the API server's own limit is 10,000


@pytest.mark.parametrize("named", [True, False], ids=["named", "all"])  # with all namespaces, kopf watches jobs
@pytest.mark.parametrize(("head", "tail"), [('{"a":', "}"), ("[", "]")], ids=["maps", "lists"])
def test_it_keeps_no_other_job_from_running(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path, head: str, tail: str, named: bool
) -> None:
    often = {"TRAINYARD_NAMESPACES": alone.name if named else "", "TRAINYARD_RESYNC_SECONDS": "0.5"}
    with an_operator(proxy.through, tmp_path / "log", **often) as operator:
        _submit(proxy, alone, f"{head * LEVELS}1{tail * LEVELS}")
        alone.create("digits")
        alone.run_all("digits")
        looks = operator.looks()
        until("it has listed and looked again", lambda: operator.looks() > looks + 3)
        assert operator.ended() is None


def _submit(proxy: ApiProxy, space: Namespace, deep: str) -> None:
    """Not by Kubernetes' own client, which doesn't go so deep itself."""
    text = json.dumps(job("deep", space.name, template={"affinity": {"nodeAffinity": "DEEP"}}))
    url = f"{proxy.url}/apis/trainyard.dev/v1alpha1/namespaces/{space.name}/trainingjobs"
    request = urllib.request.Request(url, text.replace('"DEEP"', deep).encode())
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", str(space.api.configuration.auth_settings()["BearerToken"]["value"]))
    urllib.request.urlopen(request, timeout=60).close()
