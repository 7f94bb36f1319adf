"""A network for pods where the node image brings none: a bridge on every node, and routes to the others.

It enforces no NetworkPolicy.
"""

import json
from typing import Any

from harness.docker import docker

_PODS = "10.244.0.0/16"  # kind's default
_RULE = f"POSTROUTING -s {_PODS} ! -d {_PODS} -j MASQUERADE"


def connect(names: list[str], nodes: list[dict[str, Any]]) -> None:
    """Set up the nodes' containers `names`; `nodes` are the objects of the API."""
    ranges = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in nodes}
    addresses = {node["metadata"]["name"]: _address(node) for node in nodes}
    for name in names:
        script = f"cat > /etc/cni/net.d/10-bridge.conflist; iptables -t nat -A {_RULE}; "
        script += "; ".join(f"ip route replace {ranges[peer]} via {addresses[peer]}" for peer in names if peer != name)
        docker("exec", "-i", name, "sh", "-ec", script, input=json.dumps(_bridge(ranges[name])).encode())


def _address(node: dict[str, Any]) -> str:
    found = (one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
    return str(next(found))


def _bridge(pods: str) -> dict[str, Any]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "bridge", "plugins": [bridge, ports]}
