"""MODEL_CARD.md: what the model is, how good it is, and how to use it."""

from typing import Any

from trainyard_api.documents import Plan, Signature, Step
from trainyard_api.recipe import Recipe


def model_card(
    recipe: Recipe,
    plan: Plan,
    signature: Signature,
    data: dict[str, Any],
    evaluation: dict[str, Any],
    formats: list[str],
) -> str:
    """The card as Markdown. `data` is card.json, `evaluation` the published evaluation.json."""
    sections = [
        f"# {signature.name} {signature.version}",
        _purpose(recipe, plan),
        "## Data",
        _data(data),
        "## Metrics",
        _metrics(evaluation),
        "## Preparation",
        _preparation(plan),
        "## Limits",
        _limits(plan, evaluation),
        "## Use",
        _use(signature, formats),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _purpose(recipe: Recipe, plan: Plan) -> str:
    target = plan.target
    if target.task == "regression":
        what = f"Predicts the number `{target.name}`"
    else:
        classes = ", ".join(f"`{name}`" for name in target.classes[:20])
        more = f" and {len(target.classes) - 20} more" if len(target.classes) > 20 else ""
        what = f"Predicts `{target.name}`, one of {classes}{more},"
    inputs = f"{len(plan.inputs)} raw columns" if len(plan.inputs) > 1 else f"the raw column `{plan.inputs[0].name}`"
    return f"{what} from {inputs}. Network: `{recipe.model.type}`. Preparation is part of the model."


def _data(card: dict[str, Any]) -> str:
    splits = ", ".join(f"{name} {rows}" for name, rows in card.get("splits", {}).items())
    lines = [
        f"{card.get('rows', 0)} rows from `{card.get('source', 'unknown')}`; after cleaning: {splits}.",
        *(
            f"- {step['step']} ({step['split']}): {step['rowsIn']} rows in, {step['rowsOut']} out. {step['why']}"
            for step in card.get("steps", [])
        ),
    ]
    if card.get("badSamples"):
        lines.append(f"- {card['badSamples']} unreadable samples were left out.")
    return "\n".join(lines)


def _metrics(evaluation: dict[str, Any]) -> str:
    head = f"On {evaluation.get('rows', 0)} rows of the {evaluation.get('split', 'test')} split:"
    table = ["| metric | value |", "|---|---|"]
    table += [f"| {name} | {value:.6g} |" for name, value in evaluation.get("metrics", {}).items()]
    return "\n\n".join(
        text for text in (head, "\n".join(table), evaluation.get("overfitting", {}).get("sentence", "")) if text
    )


def _preparation(plan: Plan) -> str:
    lines = [_step(step) for step in plan.steps]
    return "\n".join(lines) if lines else "None: columns go into the network as they are."


def _step(step: Step) -> str:
    column = f" `{step.column}`" if step.column else ""
    facts = {
        "value": step.value,
        "low": step.low,
        "high": step.high,
        "offset": step.offset,
        "factor": step.factor,
        "categories": len(step.categories) if step.categories is not None else None,
    }
    said = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    rows = {
        "drop_duplicates": " (rows of every split; not part of the model)",
        "drop_missing": " (rows of every split; not part of the model)",
        "drop_outliers": " (training rows only; not part of the model)",
        "balance": " (training rows only; not part of the model)",
    }
    return f"- {step.op}{column}{': ' + said if said else ''}{rows.get(step.op, '')}"


def _limits(plan: Plan, evaluation: dict[str, Any]) -> str:
    export = evaluation["export"]
    lines = [
        f"- The published forms differ by at most {export['maxDifference']:.2g} ({export['unit']}) on {export['rows']} "
        f"rows of the {export['split']} split; above {export['limit']:g} nothing would have been published.",
        "- The metrics hold for data like that of the split above; nothing is known about other data.",
    ]
    nullable = [f"`{one.name}`" for one in plan.inputs if one.nullable]
    if nullable:
        where = f"{', '.join(nullable)} only" if len(nullable) < len(plan.inputs) else "every column"
        lines.append(f"- Values may be missing in {where}, as they were in training.")
    elif plan.inputs[0].kind != "tensor":
        lines.append("- No value may be missing: none was in training.")
    if any(one.kind == "categorical" for one in plan.inputs):
        lines.append("- Categories that training did not know are all treated as one: unknown.")
    return "\n".join(lines)


def _use(signature: Signature, formats: list[str]) -> str:
    columns = ", ".join(f'"{one.name}": ...' for one in signature.inputs[:3])
    columns += ", ..." if len(signature.inputs) > 3 else ""
    url = f"http://127.0.0.1:8080/v2/models/{signature.name}"
    snippets = []
    if "onnx" in formats:
        snippets.append(
            "```sh\ntrainyard predict FOLDER --input rows.csv\ntrainyard serve FOLDER   # its metadata: "
            + url
            + "\n```"
        )
        snippets.append(
            "```python\nimport onnxruntime\n"
            'session = onnxruntime.InferenceSession("FOLDER/model.onnx")\n'
            f"answers = session.run(None, {{{columns}}})  # arrays [rows, ...], types in signature.json\n```"
        )
    if "torch" in formats:
        snippets.append(
            "```python\nfrom trainyard_trainer.export import load_program\n"
            f'answers = load_program("FOLDER").predict({{{columns}}})\n```'
        )
    if "safetensors" in formats:
        snippets.append(
            "```python\nfrom trainyard_trainer.export import load_network\n"
            'network = load_network("FOLDER")  # prepared features to logits, to train on\n```'
        )
    return "\n\n".join(snippets)
