"""Which Kubernetes the tests run, and where it is kept."""

from pathlib import Path

KUBERNETES, ETCD = "1.34.2", "3.6.5"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")  # what a control plane of the tests runs
BUILT_NAMES = (*NAMES, "kube-scheduler", "kube-proxy", "kubelet", "kubeadm", "coredns")
CACHE = Path.home() / ".cache" / "trainyard"
