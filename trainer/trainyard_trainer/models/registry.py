"""Which networks exist, by the name that a manifest gives in `model.type`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import ModelSpec

Factory = Callable[[ModelSpec, tuple[int, ...], int], nn.Module]

_FACTORIES: dict[str, Factory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Make `factory(spec, input_shape, outputs)` available as `model.type: <name>`.

    `input_shape` is that of one sample, images with channels first; the network maps [N, *input_shape] in float32 to
    [N, outputs].
    """

    def keep(factory: Factory) -> Factory:
        _FACTORIES[name] = factory
        return factory

    return keep


def create(spec: ModelSpec, input_shape: tuple[int, ...], outputs: int, folder: str | None) -> nn.Module:
    """The network that `spec` names. A user's class is looked for in `folder` first.

    Raises TrainyardError if there is no such network, or it can't be built with these arguments.
    """
    if ":" in spec.type:
        return _create_own(spec, input_shape, outputs, folder)
    factory = _FACTORIES.get(spec.type)
    if factory is None:
        known = ", ".join(sorted(_FACTORIES))
        raise _refused(f"no model is called {spec.type!r}", f"use one of {known}, or a class of your own: module:Class")
    return factory(spec, input_shape, outputs)


def _create_own(spec: ModelSpec, input_shape: tuple[int, ...], outputs: int, folder: str | None) -> nn.Module:
    """`module:Class` called as Class(input_shape, outputs, **args)."""
    found = _import_class(spec.type, folder)
    try:
        network = found(input_shape, outputs, **spec.args)
    except TypeError as error:
        raise _refused(
            f"{spec.type} can't be built: {error}",
            "it is called as Class(input_shape: tuple[int, ...], outputs: int, **args) with model.args",
        ) from error
    if not isinstance(network, nn.Module):
        raise _refused(f"{spec.type} is no torch.nn.Module", "derive the class from torch.nn.Module")
    return network


def _import_class(name: str, folder: str | None) -> Callable[..., object]:
    module_name, class_name = name.split(":")
    if folder and str(Path(folder)) not in sys.path:
        sys.path.insert(0, str(Path(folder)))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _refused(
                f"there is no module {module_name!r}", f"put {module_name}.py into the manifest's folder"
            ) from error
        raise
    found = getattr(module, class_name, None)
    if not callable(found):
        raise _refused(f"module {module_name!r} has no class {class_name!r}", "correct the name after the colon")
    return found  # type: ignore[no-any-return]


def _refused(what: str, remedy: str) -> TrainyardError:
    return TrainyardError(what, where="spec.recipe.model", remedy=remedy, cause="InvalidModel")
