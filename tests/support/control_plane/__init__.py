"""A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager, on loopback."""

from support.control_plane.server import ControlPlane, control_plane

__all__ = ["ControlPlane", "control_plane"]
