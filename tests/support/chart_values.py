"""Values that between them use every option of the chart."""

from typing import Any

DIGEST = f"sha256:{'a' * 64}"
MONITORING = {
    "labels": {"release": "prometheus"},
    "serviceMonitor": {"enabled": True},
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}
RUNTIMES = {
    "default": {"storage": {"uri": "s3://models/all", "region": "eu-west-1", "credentialsSecret": "bucket"}},
    "a100": {"template": {"nodeSelector": {"gpu": "a100"}, "resources": {"limits": {"nvidia.com/gpu": 8}}}},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "namespaced": {"namespaces": ["team-a", "team-b"], "runtimes": RUNTIMES, "monitoring": MONITORING},
    "everything": {
        "image": {"digest": DIGEST},
        "trainerImage": {"digest": DIGEST},
        "payloadImage": {"digest": DIGEST},
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 2,
        "runtimes": RUNTIMES,
        "serviceAccount": {"annotations": {"example.org/role": "none"}},
        "logLevel": "DEBUG",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]
                }
            }
        },
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "podLabels": {"team": "platform"},
        "podAnnotations": {"example.org/note": "operator"},
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "apiServerTo": [{"ipBlock": {"cidr": "10.96.0.1/32"}}],
            "apiServerPorts": [8443],
        },
        "monitoring": MONITORING,
    },
    "bare": {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "mine"},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
}
