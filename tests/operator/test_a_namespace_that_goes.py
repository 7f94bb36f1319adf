"""A namespace deleted under its jobs: the operator says so, makes nothing there any more, and goes on elsewhere."""

from pathlib import Path

from support.api_proxy import ApiProxy
from support.cluster import Namespace, namespace, until
from support.control_plane import ControlPlane
from support.forked_operator import an_operator


def test_jobs_there_say_so_and_others_go_on(
    plane: ControlPlane, proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    with namespace(plane, "going") as going:
        watched = {"TRAINYARD_NAMESPACES": f"{alone.name},{going.name}", "TRAINYARD_RESYNC_SECONDS": "0.2"}
        with an_operator(proxy.through, tmp_path / "log", **watched) as operator:
            going.create("digits")
            going.run_all("digits")
            going.create("second", suspend=True)
            going.when("second", phase="Suspended")
            with plane.without_controllers():  # as if all in it took its time
                going.core.delete_namespace(going.name)
                going.patch("second", suspend=False)
                going.end("digits-1", 137, reason="OOMKilled")
                for name in ("digits", "second"):
                    going.when(name, reason="NamespaceTerminating")
                alone.create("digits")
                alone.run_all("digits")
                going.remove("digits-0")  # as its kubelet would
            until("all is gone", lambda: _is_gone(going))
            alone.end("digits-1", 137, reason="OOMKilled")
            alone.when("digits", phase="Restarting")
            alone.run_all("digits")
            assert operator.ended() is None
            assert "Traceback" not in operator.log.read_text()


def test_a_job_on_its_way_out_gets_no_pods(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    uid = alone.create("digits", suspend=True)["metadata"]["uid"]
    often = {"TRAINYARD_NAMESPACES": alone.name, "TRAINYARD_RESYNC_SECONDS": "0.2"}
    with an_operator(proxy.through, tmp_path / "log", **often) as operator:
        alone.when("digits", phase="Suspended")
        _finalizers(alone, uid, ["trainyard.dev/test"])
        alone.delete("digits")
        alone.patch("digits", suspend=False)
        looks = operator.looks()
        until("it has looked often", lambda: operator.looks() > looks + 10)
        assert "POST pods" not in proxy.writes
        _finalizers(alone, uid, None)
        alone.create("digits")
        alone.run_all("digits")


def _finalizers(space: Namespace, uid: str, finalizers: list[str] | None) -> None:
    path = f"/apis/trainyard.dev/v1alpha1/namespaces/{space.name}/trainingjobs/digits"
    body = {"metadata": {"uid": uid, "finalizers": finalizers}}
    space.call("PATCH", path, body, "application/merge-patch+json")


def _is_gone(space: Namespace) -> bool:
    return space.name not in {each.metadata.name for each in space.core.list_namespace().items}
