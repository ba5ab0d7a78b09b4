"""A policy: a checkpoint, ordered interventions and a prompt format. One distribution, one id.

    weights (merge order)  ->  activations (hook order)  ->  decoding (at most one strategy)

The id hashes content: checkpoint id, intervention ids, prompt id. `load_intervention` is the inverse of
`intervention.save`; it refuses a folder whose content no longer has the id it was saved under.
What this module does not know: how interventions are fitted, and how completions are sampled.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elicit.config.build import Builder
from elicit.errors import ConfigError, DataError, MethodError
from elicit.files import content_hash, read_json
from elicit.policy.activations import ActivationEdit
from elicit.policy.checkpoint import Checkpoint
from elicit.policy.decoding import DecodingStrategy, StrategyBase
from elicit.policy.intervention import ORDER, Intervention
from elicit.policy.tensors import read_tensors
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
        """Hash of everything that decides the distribution."""
        ids = [intervention.id for intervention in self.interventions]
        return content_hash({"checkpoint": self.checkpoint.id, "interventions": ids, "prompt": self.prompt.id})

    @property
    def strategy(self) -> DecodingStrategy | None:
        """The decoding strategy; None if the regime decides how tokens are picked."""
        last = self.interventions[-1] if self.interventions else None
        return typing.cast("DecodingStrategy", last) if last is not None and last.kind == "decoding" else None

    def with_intervention(self, intervention: Intervention) -> Policy:
        """This policy with one more intervention, placed after others of its kind. Refuses a second strategy."""
        stack = sorted((*self.interventions, intervention), key=lambda i: ORDER.get(i.kind, len(ORDER)))
        return dataclasses.replace(self, interventions=tuple(stack))

    def with_prompt(self, prompt: PromptFormat) -> Policy:
        """This policy with another prompt format."""
        return dataclasses.replace(self, prompt=prompt)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, `checkpoint.model` is the policy's model. Undone bit for bit, in reverse order, after errors too."""
        with ExitStack() as stack:
            for intervention in self.interventions:
                stack.enter_context(intervention.applied(self.checkpoint.model))
            yield

    def prompt_ids(self, question: str) -> tuple[int, ...]:
        """Token ids of one question's prompt, exactly as the model sees them.

        Raises CheckpointError for the prompt `chat` if the tokenizer has no chat template.
        """
        text = self.prompt.render(question)
        return tuple(self.checkpoint.chat_ids(text) if self.prompt.chat else self.checkpoint.encode(text))

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a completion: the checkpoint's, and the end of a turn if the prompt is a chat."""
        return self.checkpoint.eos_ids | (self.checkpoint.turn_end_ids() if self.prompt.chat else frozenset())


def refuse_strategy(policy: Policy) -> None:
    """Raises MethodError if the policy has a decoding strategy: what a fit samples are plain draws at T=1."""
    if policy.strategy is not None:
        raise MethodError(
            f"the policy decodes with {type(policy.strategy).__name__}: fit on the policy without it and add it after"
        )


def load_intervention(folder: Path, checkpoint: Checkpoint | None = None) -> Intervention:
    """Read an intervention folder; with `checkpoint`, also check that it fits (width, layers, parameter names).

    Raises DataError if the folder is broken or was altered, ConfigError if its class is not allowed, CheckpointError if
    it does not fit.
    """
    folder = Path(folder)
    spec = read_json(folder / "spec.json")
    missing = [key for key in ("kind", "id", "fields") if key not in spec]
    if missing:
        raise DataError(f"{folder / 'spec.json'}: no {', '.join(missing)}; is it an intervention folder?")
    kind, fields = spec["kind"], spec["fields"]
    if not isinstance(fields, dict):
        raise DataError(f"{folder / 'spec.json'}: fields={fields!r}: expected an object; fit again")
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
    file = folder / "tensors.safetensors"
    if not file.exists():
        raise DataError(f"{file}: no such file; the folder is half-written, fit again or copy it whole")
    return read_tensors(file)


def _activations(folder: Path, fields: dict[str, Any]) -> Any:
    """`ActivationEdit`, or the class that the spec names: a method's own edit that is not a list of vectors."""
    if "class" not in fields:
        return ActivationEdit
    kind = _class(Builder(exact=True), folder, "class", fields["class"])
    if getattr(kind, "kind", None) != "activations" or not hasattr(kind, "from_spec"):
        raise ConfigError(f"{folder}: {fields['class']!r} is not a change of activations")
    return kind


def _strategy(folder: Path, fields: dict[str, Any]) -> Intervention:
    """The decoding strategy whose class and fields the spec names."""
    fields = dict(fields)
    name, builder = fields.pop("strategy", None), Builder(exact=True)
    kind = _class(builder, folder, "strategy", name)
    if getattr(kind, "kind", None) != "decoding":
        raise ConfigError(f"{folder}: {name!r} is not a decoding strategy")
    if issubclass(kind, StrategyBase):
        fields = kind.saved_fields(fields)
    strategy = builder.instance(kind, fields, str(folder / "spec.json"))
    if builder.faults:
        raise DataError(f"{'; '.join(builder.faults)}; was it saved by another version?")
    return typing.cast("Intervention", strategy)


def _class(builder: Builder, folder: Path, key: str, name: Any) -> type:
    """The dataclass of a saved name: of the packages that a configuration may name too, and of no other."""
    kind = builder.find_class(name, f"{folder / 'spec.json'}: {key}")
    if builder.faults:
        raise ConfigError(f"{'; '.join(builder.faults)}; is its package installed?")
    return typing.cast(type, kind)
