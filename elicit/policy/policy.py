"""A policy: a checkpoint, ordered interventions and a prompt format. One distribution, one id.

    weights (merge order)  ->  activations (hook order)  ->  decoding (at most one strategy)

The id hashes content: checkpoint id, intervention ids, prompt id. `load_intervention` is the inverse of
`intervention.save`; it refuses a folder whose content no longer has the id it was saved under.
What this module does not know: how interventions are found, and how completions are sampled.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, DataError
from elicit.files import content_hash, read_json
from elicit.names import current_name
from elicit.policy.activations import ActivationEdit
from elicit.policy.checkpoint import Checkpoint
from elicit.policy.decoding import DecodingStrategy
from elicit.policy.intervention import ORDER, Intervention
from elicit.policy.weights import WeightEdit
from elicit.tasks.task import PromptFormat

BARE = PromptFormat("bare")


@dataclass(frozen=True, eq=False)
class Policy:
    """One distribution over completions. Cheap to copy: the checkpoint is shared."""

    checkpoint: Checkpoint
    interventions: tuple[Intervention, ...] = ()
    prompt: PromptFormat = BARE

    def __post_init__(self) -> None:
        kinds = [intervention.kind for intervention in self.interventions]
        for kind in kinds:
            if kind not in ORDER:
                raise ConfigError(f"kind={kind!r} of an intervention: one of {', '.join(ORDER)}")
        if kinds != sorted(kinds, key=ORDER.__getitem__):
            raise ConfigError(f"interventions in the order {', '.join(kinds)}: put them as {', '.join(ORDER)}")
        if kinds.count("decoding") > 1:
            raise ConfigError(f"{kinds.count('decoding')} decoding strategies: a policy has at most one")

    @property
    def id(self) -> str:
        """Hash of what decides the distribution."""
        ids = [intervention.id for intervention in self.interventions]
        return content_hash({"checkpoint": self.checkpoint.id, "interventions": ids, "prompt": self.prompt.id})

    @property
    def strategy(self) -> DecodingStrategy | None:
        """The decoding strategy, None where the regime decides how tokens are picked."""
        last = self.interventions[-1] if self.interventions else None
        return typing.cast("DecodingStrategy", last) if last is not None and last.kind == "decoding" else None

    def with_intervention(self, intervention: Intervention) -> Policy:
        """This policy with one more intervention, behind those of its kind. Refuses a second strategy."""
        stack = sorted((*self.interventions, intervention), key=lambda i: ORDER.get(i.kind, len(ORDER)))
        return dataclasses.replace(self, interventions=tuple(stack))

    def with_prompt(self, prompt: PromptFormat) -> Policy:
        """This policy, asked in another way."""
        return dataclasses.replace(self, prompt=prompt)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, `checkpoint.model` is the policy's model; undone bit for bit in reverse order, come what may."""
        with ExitStack() as stack:
            for intervention in self.interventions:
                stack.enter_context(intervention.applied(self.checkpoint.model))
            yield

    def prompt_ids(self, question: str) -> tuple[int, ...]:
        """Token ids of one question's prompt, exactly as the model sees them."""
        return tuple(self.checkpoint.encode(self.prompt.render(question)))


def load_intervention(folder: Path, checkpoint: Checkpoint | None = None) -> Intervention:
    """Read an intervention folder; with `checkpoint`, also check that it fits (width, layers, parameter names).

    Raises DataError where the folder is broken or was altered, ConfigError where its class is not allowed,
    CheckpointError where it does not fit.
    """
    folder = Path(folder)
    spec = read_json(folder / "spec.json")
    missing = [key for key in ("kind", "id", "fields") if key not in spec]
    if missing:
        raise DataError(f"{folder / 'spec.json'}: no {', '.join(missing)}; is it an intervention folder?")
    kind, fields = spec["kind"], spec["fields"]
    if kind == "weights":
        loaded: Intervention = WeightEdit.from_spec(fields, _tensors(folder))
    elif kind == "activations":
        loaded = _activations(folder, fields).from_spec(fields, _tensors(folder))
    elif kind == "decoding":
        loaded = _strategy(folder, fields)
    else:
        raise DataError(f"{folder / 'spec.json'}: kind={kind!r}, expected one of {', '.join(ORDER)}")
    if loaded.id != spec["id"]:
        raise DataError(
            f"{folder}: its content hashes to {loaded.id}, saved as {spec['id']}; it was altered, or its class has "
            "changed since: fit it again"
        )
    if checkpoint is not None and kind != "decoding":
        typing.cast("WeightEdit | ActivationEdit", loaded).check(checkpoint.model)
    return loaded


def _tensors(folder: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / "tensors.safetensors"
    if not file.exists():
        raise DataError(f"{file}: no such file; the folder is half-written, fit again or copy it whole")
    try:
        return load_file(file)
    except SafetensorError as fault:
        raise DataError(f"{file}: not a readable safetensors file ({fault}); half-written? fit again") from None


def _activations(folder: Path, fields: dict[str, Any]) -> Any:
    """`ActivationEdit`, or the class that the spec names: one of a method's own that is no list of vectors."""
    if "class" not in fields:
        return ActivationEdit
    kind = _allowed(folder, str(fields["class"]), "intervention")
    if getattr(kind, "kind", None) != "activations" or not hasattr(kind, "from_spec"):
        raise ConfigError(f"{folder}: {fields['class']!r} is no change of activations")
    return kind


def _strategy(folder: Path, fields: dict[str, Any]) -> Intervention:
    """A strategy by its dotted class name."""
    fields = dict(fields)
    name = str(fields.pop("strategy", ""))
    kind = _allowed(folder, name, "strategy")
    if not (dataclasses.is_dataclass(kind) and getattr(kind, "kind", None) == "decoding"):
        raise ConfigError(f"{folder}: {name!r} is no decoding strategy")
    return typing.cast("Intervention", built(typing.cast(type, kind), fields, str(folder)))


def _allowed(folder: Path, name: str, what: str) -> Any:
    """A class by its dotted name: of this package, of `methods` and of plug-ins only."""
    module, _, attribute = current_name(name).rpartition(".")
    allowed = {"elicit", "methods"} | {point.module.split(".")[0] for point in entry_points(group="elicit.configs")}
    if module.split(".")[0] not in allowed:
        raise ConfigError(f"{folder}: {what} {name!r} is of no allowed package ({', '.join(sorted(allowed))})")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as fault:
        raise ConfigError(f"{folder}: can't import {what} {name!r} ({fault}); is its package installed?") from None


def built(kind: type, fields: dict[str, Any], place: str) -> Any:
    """A dataclass out of the plain fields that `asdict` made of it: nested dataclasses and tuples come back."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise DataError(f"{place}: {kind.__name__} has no field {', '.join(unknown)}; made by another version?")
    return kind(**{name: _typed(hints[name], value, place) for name, value in fields.items()})


def _typed(hint: Any, value: Any, place: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return value if value is None or len(options) != 1 else _typed(options[0], value, place)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return built(typing.cast(type, hint), value, place)
    if origin is tuple and isinstance(value, (list, tuple)):
        arguments = typing.get_args(hint)
        inner = arguments[0] if arguments else Any
        each = arguments if len(arguments) == len(value) and Ellipsis not in arguments else [inner] * len(value)
        return tuple(_typed(option, entry, place) for option, entry in zip(each, value, strict=True))
    return value
