"""A real Kubernetes control plane for tests: etcd and kube-apiserver, on loopback."""

from support.control_plane.server import ControlPlane, control_plane

__all__ = ["ControlPlane", "control_plane"]
