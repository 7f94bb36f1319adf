"""The model as it is served: raw columns in, probabilities or predictions out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainyard_api.documents import Plan, Target
from trainyard_api.errors import TrainyardError
from trainyard_trainer.export.preparation import PreparationModule

ROWS = torch.export.Dim("rows", min=1, max=2**31 - 1)


class Answer(nn.Module):
    """Logits [N, outputs] to probabilities [N, classes], or to predictions [N] in the target's own units."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.regression = target.task == "regression"
        self.offset, self.factor = target.offset, target.factor

    def forward(self, logits: Tensor) -> Tensor:
        """See the class; float32."""
        if self.regression:
            return (logits[:, 0].to(torch.float64) * self.factor + self.offset).to(torch.float32)
        return logits.to(torch.float32).softmax(dim=1)


class Served(nn.Module):
    """Preparation, network and answer in one. forward(*columns): see PreparationModule."""

    def __init__(self, plan: Plan, network: nn.Module) -> None:
        super().__init__()
        self.preparation = PreparationModule(plan)
        self.network = network
        self.answer = Answer(plan.target)
        self.eval().requires_grad_(False)

    def forward(self, *columns: Tensor) -> Tensor:
        """See the class."""
        answer: Tensor = self.answer(self.network(self.preparation(*columns)))
        return answer


def trace(module: nn.Module, example: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """`module`, called on tensors whose first axis is the batch, as a program for any number of rows.

    :param example: the inputs, each with at least two rows (one row would be taken for a constant)
    :raises TrainyardError: the module does something that torch.export can't follow
    """
    shapes = tuple({0: ROWS} for _ in example)
    variadic = isinstance(module, Served)
    try:
        with torch.no_grad():
            program = torch.export.export(module, tuple(example), dynamic_shapes=(shapes,) if variadic else shapes)
    except Exception as error:
        raise TrainyardError(
            f"The network can't be exported: {str(error).strip().splitlines()[0] if str(error) else repr(error)}",
            where="spec.recipe.model.type",
            remedy="torch.export must be able to follow forward() for any batch size: no branches on the values of "
            "tensors, no fixed batch size. Or publish the weights alone: export.formats: [safetensors].",
            cause="ExportFailed",
        ) from error
    return _without_places(program)


def _without_places(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """torch notes for each operation the files and lines it comes from, and writes them into every format.

    What is published must neither tell where things lie on this machine, nor differ on another.
    """
    for graph in program.graph_module.modules():
        if isinstance(graph, torch.fx.GraphModule):
            for node in graph.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program
