"""WeightEdit: changes of parameters by name, as full differences or LoRA pairs, undone bit for bit.

    W' = W + difference            W' = W + scale * B A        (A: [r, in], B: [out, r]; arXiv 2106.09685)

    with edit.applied(model):               inside, `model` has the changed parameters
    edit.save_peft(folder)                  a PEFT adapter folder; WeightEdit.from_peft(folder) reads one
    edit.save_merged(model, tokenizer, folder)     a plain transformers folder

Computed in float32 and rounded to the dtype of the parameter. Undoing puts the original tensors back instead of
subtracting, so every bit returns. Names are those of `model.named_parameters()`; of tied parameters only the first name
counts. What this module does not know: training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from elicit.errors import CheckpointError, ConfigError, DataError, near
from elicit.files import content_hash, read_json, replacing, write_json
from elicit.policy.intervention import tensor_hash
from elicit.policy.tensors import read_tensors

if TYPE_CHECKING:
    from torch import nn

PEFT_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight$")


@dataclass(frozen=True, eq=False)
class WeightEdit:
    """Changes of parameters. Implements `Intervention`. Raises ConfigError if A and B of a pair differ in rank."""

    kind: ClassVar[str] = "weights"

    differences: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """parameter name -> difference, of the parameter's shape"""
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """parameter name -> (A [r, in], B [out, r])"""
    scale: float = 1.0
    """factor of B A; lora_alpha / r in PEFT"""

    def __post_init__(self) -> None:
        plain = {name: _kept(tensor) for name, tensor in self.differences.items()}
        pairs = {name: (_kept(a), _kept(b)) for name, (a, b) in self.pairs.items()}
        for name, (a, b) in pairs.items():
            if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
                raise ConfigError(f"LoRA pair of {name}: A {tuple(a.shape)} and B {tuple(b.shape)} share no rank")
        if both := sorted(set(plain) & set(pairs)):
            raise ConfigError(f"{both[0]} has a difference and a LoRA pair: stack two WeightEdits instead")
        object.__setattr__(self, "differences", plain)
        object.__setattr__(self, "pairs", pairs)

    @classmethod
    def between(cls, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> WeightEdit:
        """The difference of two sets of parameters, without the unchanged ones. Raises ConfigError if names differ."""
        if odd := sorted(set(before) ^ set(after)):
            raise ConfigError(f"parameter {odd[0]} is in one of the two models only: use one architecture")
        changed = (name for name, old in before.items() if not torch.equal(old, after[name].to(old.device)))
        return cls({name: after[name].float().cpu() - before[name].float().cpu() for name in changed})

    @cached_property
    def id(self) -> str:
        """Hash of the content."""
        tensors = {name: tensor_hash(tensor) for name, tensor in self.tensors().items()}
        return content_hash({"kind": self.kind, "spec": self.spec(), "tensors": tensors})

    def spec(self) -> dict[str, Any]:
        """The scale; everything else is a tensor."""
        return {"scale": self.scale}

    def tensors(self) -> dict[str, torch.Tensor]:
        """difference:NAME, lora_A:NAME and lora_B:NAME."""
        out = {f"difference:{name}": tensor for name, tensor in self.differences.items()}
        for name, (a, b) in self.pairs.items():
            out |= {f"lora_A:{name}": a, f"lora_B:{name}": b}
        return out

    @classmethod
    def from_spec(cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> WeightEdit:
        """The inverse of `spec` and `tensors`. Raises DataError for a tensor with another name."""
        parts: dict[str, dict[str, torch.Tensor]] = {"difference": {}, "lora_A": {}, "lora_B": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition(":")
            if part not in parts:
                raise DataError(f"tensor {key!r} in a weight edit: {near(part, parts)}")
            parts[part][name] = tensor
        return cls(parts["difference"], _paired(parts["lora_A"], parts["lora_B"]), fields["scale"])

    def check(self, model: nn.Module) -> None:
        """Raises CheckpointError if a parameter does not exist or has another shape."""
        parameters = dict(model.named_parameters())
        tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - set(parameters)
        for name in (*self.differences, *self.pairs):
            if name in tied:
                raise CheckpointError(f"{name} is tied to another parameter in {type(model).__name__}: edit that one")
            if name not in parameters:
                raise CheckpointError(f"{type(model).__name__} has no parameter {name}; {near(name, parameters)}")
            wanted, given = tuple(parameters[name].shape), self._shape(model, name)
            if wanted != given:
                raise CheckpointError(
                    f"{name} is {wanted} in {type(model).__name__}, {given} in the edit; use the "
                    "checkpoint that it was fitted on"
                )

    def _shape(self, model: nn.Module, name: str) -> tuple[int, ...]:
        if name in self.differences:
            return tuple(self.differences[name].shape)
        a, b = self.pairs[name]
        return (a.shape[1], b.shape[0]) if _input_first(model, name) else (b.shape[0], a.shape[1])

    def change(self, model: nn.Module, name: str) -> torch.Tensor:
        """The change of a parameter: float32, of its shape, on its device."""
        device = model.get_parameter(name).device
        if name in self.differences:
            return self.differences[name].to(device, torch.float32)
        a, b = (side.to(device, torch.float32) for side in self.pairs[name])
        product = self.scale * (b @ a)
        return product.T if _input_first(model, name) else product

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, `model` has the changed parameters; leaving puts the original tensors back, also after an error."""
        self.check(model)
        kept: dict[str, torch.Tensor] = {}
        try:
            for name in (*self.differences, *self.pairs):
                parameter, change = model.get_parameter(name), self.change(model, name)
                original = kept[name] = parameter.data
                wide = original.to(torch.promote_types(original.dtype, torch.float32))
                parameter.data = torch.where(change == 0, original, (wide + change).to(original.dtype))
            yield
        finally:
            for name, original in kept.items():
                model.get_parameter(name).data = original

    def save_peft(self, folder: Path, base: str = "") -> None:
        """Write the LoRA pairs as a PEFT adapter folder (adapter_model.safetensors, adapter_config.json).

        base: the value of `base_model_name_or_path`. Raises ConfigError if the edit is not LoRA of one rank.
        """
        from safetensors.torch import save_file

        ranks = {a.shape[0] for a, _ in self.pairs.values()}
        if self.differences or len(ranks) != 1:
            raise ConfigError("a PEFT adapter needs LoRA pairs of one rank and nothing else: use save_merged")
        rank, modules = ranks.pop(), [name.removesuffix(".weight") for name in self.pairs]
        tensors = {}
        for module, (a, b) in zip(modules, self.pairs.values(), strict=True):
            tensors[f"base_model.model.{module}.lora_A.weight"] = a
            tensors[f"base_model.model.{module}.lora_B.weight"] = b
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "adapter_model.safetensors") as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": rank}
        config |= {"lora_alpha": self.scale * rank, "target_modules": modules, "lora_dropout": 0.0, "bias": "none"}
        write_json(folder / "adapter_config.json", config | {"inference_mode": True, "fan_in_fan_out": False})

    @classmethod
    def from_peft(cls, folder: Path) -> WeightEdit:
        """A PEFT LoRA folder as an edit. Raises DataError if it is not plain LoRA in safetensors."""
        folder = Path(folder)
        config = read_json(folder / "adapter_config.json")
        odd = [k for k in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(k)]
        if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or odd:
            what = ", ".join(odd) or "peft_type or bias"
            raise DataError(
                f"{folder / 'adapter_config.json'}: not plain LoRA ({what}); merge it into its model, and give the "
                "merged folder"
            )
        file = folder / "adapter_model.safetensors"
        if not file.is_file():
            raise DataError(f"{file}: no such file; save the adapter as safetensors")
        scale = _adapter_scale(config, folder / "adapter_config.json")
        try:
            edit = cls.from_peft_tensors(read_tensors(file), scale)
        except (DataError, ConfigError) as fault:
            raise DataError(f"{file}: {str(fault).removeprefix(f'{file}: ')}") from None
        if not edit.pairs:
            raise DataError(f"{file}: it has no LoRA matrices; save the adapter again")
        return edit

    @classmethod
    def from_peft_tensors(cls, tensors: Mapping[str, torch.Tensor], scale: float) -> WeightEdit:
        """An edit from tensors under PEFT's names, as `get_peft_model_state_dict` returns them."""
        sides: dict[str, dict[str, torch.Tensor]] = {"A": {}, "B": {}}
        for key, tensor in tensors.items():
            if (match := PEFT_KEY.match(key)) is None:
                raise DataError(
                    f"tensor {key!r} is no LoRA matrix; expected names like those of peft's save_pretrained"
                )
            sides[match["side"]][f"{match['module']}.weight"] = tensor
        return cls(pairs=_paired(sides["A"], sides["B"]), scale=scale)

    def save_merged(self, model: Any, tokenizer: Any, folder: Path) -> None:
        """Write the changed model as a plain transformers folder."""
        with self.applied(model):
            model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    kept = tensor.detach().cpu().clone().contiguous()
    if not kept.is_floating_point() or not bool(torch.isfinite(kept).all()):
        raise ConfigError(f"a weight edit of shape {tuple(kept.shape)} and {kept.dtype}: expected finite floats")
    return kept


def joined(model: nn.Module, first: WeightEdit, second: WeightEdit) -> WeightEdit:
    """One edit with the effect of two, one after the other, as a full difference from the weights of `model`."""
    sums = {}
    for name in sorted({*first.differences, *first.pairs, *second.differences, *second.pairs}):
        changes = [e.change(model, name) for e in (first, second) if name in e.differences or name in e.pairs]
        sums[name] = sum(changes[1:], changes[0]).cpu()
    return WeightEdit(sums)


def _paired(
    a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    if odd := sorted(set(a) ^ set(b)):
        raise DataError(f"LoRA of {odd[0]} has one matrix only; the file is incomplete: save the adapter again")
    return {name: (a[name], b[name]) for name in a}


def _adapter_scale(config: Mapping[str, Any], file: Path) -> float:
    """alpha / r, with rslora alpha / sqrt(r). Raises DataError if one of them is no number above 0."""
    values = [config["lora_alpha"], config["r"]]
    for name, value in zip(("lora_alpha", "r"), values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise DataError(f"{file}: {name}={value!r}: expected a number above 0")
    alpha, rank = map(float, values)
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def _input_first(model: nn.Module, name: str) -> bool:
    """True for GPT-2's Conv1D, whose weight is [in, out]."""
    return type(model.get_submodule(name.rpartition(".")[0])).__name__ == "Conv1D"
