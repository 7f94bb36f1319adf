"""Recipe mode: rows are cleaned, divided, and brought into numbers by a plan fitted on the training split."""

from trainyard_api.documents import Plan, Step, Target
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Prepare
from trainyard_trainer.prepare import balance
from trainyard_trainer.prepare.card import Card
from trainyard_trainer.prepare.columns import Columns, assign_roles
from trainyard_trainer.prepare.divide import divide, split_reason
from trainyard_trainer.prepare.ingest import Ingested, ingest
from trainyard_trainer.prepare.inputs import Inputs, fit_inputs
from trainyard_trainer.prepare.order import sort_rows
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.prepare.target import Codes, class_codes, find_task, regression_target
from trainyard_trainer.prepare.work import Prepared, Work
from trainyard_trainer.prepare.write import write_shards
from trainyard_trainer.sources.images import TARGET as IMAGE_CLASS


def prepare_recipe(work: Work, prepare: Prepare) -> Prepared:
    """Run every step and write the shards under `work.output`."""
    card = Card()
    columns = assign_roles(work.source.schema, _target_name(work), work.data, prepare.drop, work.where)
    ingested = _read(work, columns, prepare)
    rows, target, codes = _order_and_divide(work, ingested, columns, prepare, card)
    work.say("fitting the preparation on the training split")
    inputs = fit_inputs(rows, columns, ingested, prepare, card)
    if not inputs.inputs:
        raise TrainyardError(
            "No column is left as an input.", work.where, "See prepare.drop, and the columns' values.", cause="NoInputs"
        )
    rows, codes = _balance(work, rows, target, codes, columns, prepare, card)
    plan = Plan(
        inputs=inputs.inputs,
        steps=[*_row_steps(prepare, inputs), *inputs.steps],
        features=inputs.features,
        target=target,
        missingValues=work.data.missing_values,
    )
    work.say("writing shards")
    fields, splits, raw = write_shards(rows, plan, work.output)
    finished = card.finish(
        work.where, work.listing, ingested.rows + work.bad.count, work.bad, rows.split, target.classes, codes
    )
    return Prepared(fields, splits, finished, plan, raw)


def _target_name(work: Work) -> str:
    """The target's column; tables always name it (a rule of the manifest)."""
    return IMAGE_CLASS if work.listing.format == "images" else work.data.target or "cls"


def _read(work: Work, columns: Columns, prepare: Prepare) -> Ingested:
    """Ingest the source, and check that there is something in every column."""
    work.say(f"reading {len(work.listing.files)} files, {work.listing.bytes / 1e6:.1f} MB")
    seed, folder = work.data.split.seed, work.scratch / "rows"
    ingested = ingest(work.source, columns, prepare.missing, seed, folder, work.expected_bytes, work.bad)
    work.check_read(ingested.rows)
    for name, present in ingested.present.items():
        if not present and name != columns.target:
            raise TrainyardError(
                f"Column {name} has no value in any row (all are missing or NaN).",
                work.where,
                f"Leave it out: prepare.drop: [{name}].",
                cause="EmptyColumn",
            )
    if not ingested.present[columns.target]:
        raise TrainyardError(
            f"The target {columns.target} has no value in any row.",
            work.where,
            "Check data.target.",
            cause="EmptyColumn",
        )
    return ingested


def _order_and_divide(
    work: Work, ingested: Ingested, columns: Columns, prepare: Prepare, card: Card
) -> tuple[Rows, Target, Codes | None]:
    """Drop rows that can't be used, find the task, and divide what is left."""
    rows, groups, dropped = sort_rows(
        ingested.buckets, drop_duplicates=prepare.duplicates == "drop", grouped=columns.key is not None
    )
    left = card.step("read", "all", ingested.rows + work.bad.count, ingested.rows, f"{work.bad.count} can't be read")
    if prepare.duplicates == "drop":
        left = card.step(
            "drop duplicates", "all", left, left - dropped.duplicates, "equal to another row in every column"
        )
    left = card.step("drop rows without target", "all", left, left - dropped.no_target, f"{columns.target} is missing")
    if "drop" in (prepare.missing.numeric, prepare.missing.categorical):
        card.step("drop missing values", "all", left, left - dropped.missing, "a value is missing")
    if not len(rows):
        raise TrainyardError(
            "No row is left after cleaning.",
            work.where,
            "See prepare.missing: drop leaves out whole rows.",
            cause="EmptyData",
        )
    task, classes = find_task(rows, columns.target, work.data, work.where)
    codes = class_codes(rows, columns.target, classes, work.where) if task != "regression" else None
    rows.split = divide(rows.split, work.data, codes, groups, work.where)
    for name, count in zip(NAMES, rows.counts(), strict=True):
        card.step("split", name, len(rows), count, split_reason(work.data))
    work.check_size(rows.counts()[TRAIN])
    if codes is None:
        return rows, regression_target(rows, columns.target, work.where), None
    return rows, Target(name=columns.target, task=task, classes=classes), codes


def _balance(
    work: Work,
    rows: Rows,
    target: Target,
    codes: Codes | None,
    columns: Columns,
    prepare: Prepare,
    card: Card,
) -> tuple[Rows, Codes | None]:
    if prepare.balance == "none":
        return rows, codes
    if codes is None:
        raise TrainyardError(
            "prepare.balance needs classes, and this is a regression.", "prepare.balance", "Set it to none."
        )
    before = rows.counts()[TRAIN]
    if prepare.balance == "undersample":
        rows.split = balance.undersampled(rows.split, codes)
    else:
        folder = work.scratch / "balanced"
        rows = balance.oversample(rows, codes, columns.kept, folder, 2 * work.expected_bytes)
        codes = class_codes(rows, columns.target, target.classes, work.where)
    card.step(f"balance ({prepare.balance})", "train", before, rows.counts()[TRAIN], "every class equally often")
    return rows, codes


def _row_steps(prepare: Prepare, inputs: Inputs) -> list[Step]:
    """What was done to rows as a whole, for the record: a model that answers doesn't repeat it."""
    steps = [Step(op="drop_duplicates")] if prepare.duplicates == "drop" else []
    policies = {"numeric": prepare.missing.numeric, "categorical": prepare.missing.categorical}
    if "drop" in policies.values():
        steps.append(Step(op="drop_missing", arguments=policies))
    steps += inputs.row_steps
    if prepare.balance != "none":
        steps.append(Step(op="balance", arguments={"method": prepare.balance}))
    return steps
