"""Kubernetes' quantities, as far as they are of use here."""

import re

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_FORM = re.compile(r"^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E|m)?$")
_BINARY = {name: 1024**power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {name: 1000**power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)}


def half(quantity: str | int | None) -> str | None:
    """Half of an amount of memory, in whole MiB; None if there is none, or it can't be read."""
    found = _FORM.match(str(quantity)) if quantity is not None else None
    if not found:
        return None
    unit = {**_BINARY, **_DECIMAL, "m": 0.001}.get(found[2] or "", 1)
    return f"{max(1, int(float(found[1]) * unit / 2) >> 20)}Mi"
