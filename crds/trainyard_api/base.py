"""The base of every API type, and the bounded scalars they share.

Every string, list and map is bounded: the API server prices CEL rules by these bounds, and a manifest can't grow
without end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Rule:
    """What must hold between several fields of a type: checked here in Python, and by the API server in CEL.

    `fields` are the manifest's names, dotted, from the type on; a broken rule is shown at the first one that is given.
    """

    fields: tuple[str, ...]
    holds: Callable[[Any], bool]
    cel: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Transition:
    """What may not change on an object that exists: only the API server, which sees the old object too, checks it."""

    cel: str
    message: str


def _add_rules(schema: dict[str, Any], model: type[BaseModel]) -> None:
    rules: tuple[Rule, ...] = getattr(model, "rules", ())
    transitions: tuple[Transition, ...] = getattr(model, "transitions", ())
    written = [{"rule": rule.cel, "message": f"{rule.message}: {rule.remedy}"} for rule in rules if rule.cel]
    written += [{"rule": each.cel, "message": each.message} for each in transitions]
    if written:
        schema["x-kubernetes-validations"] = written


class Model(BaseModel):
    """A frozen, strict type: camelCase in manifests, snake_case in code, unknown fields refused."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        json_schema_extra=_add_rules,
    )

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        broken = [rule for rule in self.rules if not rule.holds(self)]
        if broken:
            text = "; ".join(f"{rule.message} ({rule.remedy})" for rule in broken)
            raise PydanticCustomError("rules", "{text}", {"text": text, "rules": broken})
        return self


NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"  # DNS label, RFC 1123

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME)]
JOB_NAME_LENGTH = 58  # a pod's host name, <job>-<index> with an index up to 4095, may have 63
JobName = Annotated[str, Field(min_length=1, max_length=JOB_NAME_LENGTH, pattern=NAME)]
Text = Annotated[str, Field(max_length=1024)]
Column = Annotated[str, Field(min_length=1, max_length=256)]
Uri = Annotated[str, Field(min_length=1, max_length=1024)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1, le=2_147_483_647)]
Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
Seconds = Annotated[int, Field(ge=1, le=315_360_000)]
PositiveFloat = Annotated[float, Field(gt=0)]
