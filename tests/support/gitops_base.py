"""The kustomize base, made from the chart: `python -m support.gitops_base` writes it anew."""

import sys

from support.helm import CHART, helm

ROOT = CHART.parents[1]
FILE = ROOT / "gitops" / "base" / "operator.yaml"
_HEAD = "# Generated from helm/trainyard by `make generate`; edit the chart instead.\n"


def text() -> str:
    """The chart with its own values, less what only Helm reads. Raises RuntimeError with Helm's words."""
    values = ("--set", "crds.install=false")
    done = helm(
        "template", "trainyard", str(CHART), "-n", "trainyard", "--kube-version", "1.33.0", "--skip-tests", *values
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = [line for line in done.stdout.splitlines() if "helm.sh/chart:" not in line]
    return _HEAD + "\n".join(lines).replace("managed-by: Helm", "managed-by: kustomize") + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
