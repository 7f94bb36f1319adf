"""A preparation plan as a torch module, so that it travels inside the exported model."""

import math

import torch
from torch import Tensor, nn

from trainyard_api.documents import Plan, Step

ROW_STEPS = {"drop_duplicates", "drop_missing", "drop_outliers", "balance"}
ORDER = ("fill", "clip", "scale", "onehot", "ordinal")


class PreparationModule(nn.Module):
    """Raw columns to features, as the prepare stage computes them.

    forward(*columns) takes one tensor per input of the plan, in its order: float64 [N] for numbers (NaN: missing),
    int64 [N] for categories (their index; the number of categories: unknown), and returns float32 [N, width]. A plan
    of one tensor passes it on as it is: it is scaled inside the network.

    All numeric columns are computed as one matrix, so the graph stays small however many there are.
    """

    fill: Tensor
    low: Tensor
    high: Tensor
    offset: Tensor
    factor: Tensor
    order: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        steps = _steps_by_column(plan)
        self.tensor = any(one.kind == "tensor" for one in plan.inputs)
        self.numeric = [i for i, one in enumerate(plan.inputs) if one.kind == "numeric"]
        self.categorical = [i for i, one in enumerate(plan.inputs) if one.kind == "categorical"]
        encoders = [_encoder(steps[plan.inputs[i].name]) for i in self.categorical]
        self.encoders = [(step.op, len(step.categories or [])) for step in encoders]
        numbers = [steps[plan.inputs[i].name] for i in self.numeric]
        self._keep("fill", [_number(step.get("fill"), "value", math.nan) for step in numbers])
        self._keep("low", [_number(step.get("clip"), "low", -math.inf) for step in numbers])
        self._keep("high", [_number(step.get("clip"), "high", math.inf) for step in numbers])
        self._keep("offset", [_number(step.get("scale"), "offset", 0.0) for step in numbers])
        self._keep("factor", [_number(step.get("scale"), "factor", 1.0) for step in numbers])
        self.register_buffer("order", torch.tensor(self._feature_order(len(plan.inputs)), dtype=torch.int64))
        if not self.tensor and len(self.order) != len(plan.features):
            raise ValueError(f"the plan's steps give {len(self.order)} features, its list names {len(plan.features)}")

    def _keep(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float64))

    def _feature_order(self, inputs: int) -> list[int]:
        """Where each feature stands when all numbers come first, then the categories."""
        starts = {column: (i, 1) for i, column in enumerate(self.numeric)}
        at = len(self.numeric)
        for column, (op, known) in zip(self.categorical, self.encoders, strict=True):
            width = known + 1 if op == "onehot" else 1
            starts[column] = (at, width)
            at += width
        pieces = [starts[column] for column in range(inputs) if column in starts]
        return [start + i for start, width in pieces for i in range(width)]

    def forward(self, *columns: Tensor) -> Tensor:
        """See the class."""
        if self.tensor:
            return columns[0]
        blocks = [self._numbers([columns[i] for i in self.numeric])] if self.numeric else []
        for i, (op, known) in zip(self.categorical, self.encoders, strict=True):
            blocks.append(_encode(columns[i], op, known))
        if len(blocks) == 1:
            return blocks[0]
        features = torch.cat(blocks, dim=1)
        return features if self.order.numel() == 0 else features.index_select(1, self.order)

    def _numbers(self, columns: list[Tensor]) -> Tensor:
        values = torch.stack(columns, dim=1)
        values = torch.where(torch.isnan(values), self.fill, values)
        values = torch.minimum(torch.maximum(values, self.low), self.high)
        return ((values - self.offset) / self.factor).to(torch.float32)


def _encode(codes: Tensor, op: str, known: int) -> Tensor:
    if op == "ordinal":
        return (codes.to(torch.float64) / max(1, known)).to(torch.float32).unsqueeze(1)
    return (codes.unsqueeze(1) == torch.arange(known + 1, device=codes.device)).to(torch.float32)


def _steps_by_column(plan: Plan) -> dict[str, dict[str, Step]]:
    """Steps of each column by op. ValueError if they stand in another order than this module applies them in."""
    found: dict[str, dict[str, Step]] = {one.name: {} for one in plan.inputs}
    for step in plan.steps:
        if step.op in ROW_STEPS or step.op == "scale_tensor" or step.column not in found:
            continue
        ops = found[step.column]
        if any(ORDER.index(op) >= ORDER.index(step.op) for op in ops):
            raise ValueError(f"column {step.column!r}: step {step.op} after {', '.join(ops)}")
        ops[step.op] = step
    return found


def _encoder(steps: dict[str, Step]) -> Step:
    step = steps.get("onehot") or steps.get("ordinal")
    if step is None:
        raise ValueError("a categorical column without onehot or ordinal step")
    return step


def _number(step: Step | None, field: str, default: float) -> float:
    value = getattr(step, field) if step is not None else None
    return default if value is None else float(value)
