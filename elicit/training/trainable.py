"""What a fit by gradients trains: all weights, LoRA pairs, or (in `rl/vectors.py`) steering vectors.

    parameters = FullWeights()
    with parameters.attached(model):        # float32 masters in the model, which alone require gradients
        ...                                 # train parameters.trained(), by name
        edit = parameters.edit()            # what has been learned, as an Intervention

Leaving `attached` detaches bit for bit: the original tensors and modules come back, nothing is subtracted. Masters are
float32 whatever the checkpoint's dtype (a step of 1e-6 rounds to nothing in bfloat16); rollouts are drawn from weights
rounded to the checkpoint's dtype, because that is what will be evaluated. LoRA: Hu et al., arXiv 2106.09685, by PEFT.

What this module does not know: rewards, losses, rows, checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import torch

from elicit.errors import ConfigError, near
from elicit.lazy import no_grad
from elicit.policy.intervention import Intervention
from elicit.policy.weights import WeightEdit

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


class Trainable(Protocol):
    """Parameters that can be attached to a model and detached."""

    @property
    def write(self) -> str | None:
        """Positions of an activation edit; None if weights are trained."""
        ...

    def size(self, model: PreTrainedModel) -> int:
        """How many parameters will be trained."""
        ...

    def attached(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        """Inside, `model` computes with the trained parameters, which alone require gradients."""
        ...

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, while attached."""
        ...

    def sampling(self) -> AbstractContextManager[None]:
        """Inside, the model is what rollouts are drawn from."""
        ...

    def base(self) -> AbstractContextManager[None]:
        """Inside, the model is the untrained policy."""
        ...

    def edit(self) -> Intervention:
        """What has been learned so far, while attached."""
        ...

    def figures(self) -> dict[str, float]:
        """Sizes of what has been learned, for the curves."""
        ...


class FullWeights:
    """Every parameter of the model, trained as a float32 master."""

    write = None

    def __init__(self) -> None:
        self._originals: dict[str, torch.Tensor] = {}
        self._parameters: dict[str, nn.Parameter] = {}

    def size(self, model: PreTrainedModel) -> int:
        return sum(parameter.numel() for parameter in model.parameters())

    @contextmanager
    def attached(self, model: PreTrainedModel) -> Iterator[None]:
        self._parameters = dict(model.named_parameters())
        self._originals = {name: parameter.data for name, parameter in self._parameters.items()}
        try:
            for parameter in self._parameters.values():
                wide = torch.promote_types(parameter.dtype, torch.float32)
                parameter.data = parameter.data.to(wide, copy=True)
                parameter.requires_grad_(True)
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.grad = None
                parameter.requires_grad_(False)
                parameter.data = self._originals[name]

    def trained(self) -> dict[str, nn.Parameter]:
        return self._parameters

    @contextmanager
    def _as(self, tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
        masters = {name: parameter.data for name, parameter in self._parameters.items()}
        try:
            for name, tensor in tensors.items():
                self._parameters[name].data = tensor
            yield
        finally:
            for name, master in masters.items():
                self._parameters[name].data = master

    def sampling(self) -> AbstractContextManager[None]:
        lowered = {n: p.data.to(self._originals[n].dtype) for n, p in self._parameters.items()}
        return self._as(lowered)

    def base(self) -> AbstractContextManager[None]:
        return self._as(self._originals)

    def edit(self) -> WeightEdit:
        """The difference to the checkpoint, unchanged parameters left out."""
        return WeightEdit.between(self._originals, {name: p.data for name, p in self._parameters.items()})

    @no_grad
    def figures(self) -> dict[str, float]:
        """weights/relative_change: |W' - W| / |W| over all parameters."""
        change = norm = 0.0
        for name, parameter in self._parameters.items():
            original = self._originals[name].to(parameter.dtype)
            change += (parameter.data - original).square().sum().item()
            norm += original.square().sum().item()
        return {"weights/relative_change": (change / norm) ** 0.5}


class Lora:
    """PEFT's LoRA on the linear layers named in `targets` (empty: all but the head); the base is frozen.

    The update is alpha / rank times B A; A starts from `seed`, B from zero. Attaching raises ConfigError if no module
    has one of the names.
    """

    write = None

    def __init__(self, rank: int, alpha: int, targets: tuple[str, ...], seed: int) -> None:
        self.rank, self.alpha, self.targets, self.seed = rank, alpha, targets, seed
        self._model: PreTrainedModel
        """set while attached"""
        self._swaps: dict[str, tuple[nn.Module, nn.Module]] = {}

    def size(self, model: PreTrainedModel) -> int:
        return sum(self.rank * sum(module.get_parameter("weight").shape) for module in self._targeted(model).values())

    @contextmanager
    def attached(self, model: PreTrainedModel) -> Iterator[None]:
        from peft import LoraConfig, inject_adapter_in_model

        self._model = model
        plain = self._targeted(model)
        flags = {name: p.requires_grad for name, p in model.named_parameters()}
        config = LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=list(plain), task_type="CAUSAL_LM")
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                inject_adapter_in_model(config, model)
            for name, parameter in model.named_parameters():
                trained = ".lora_" in name
                parameter.requires_grad_(trained)
                if trained:
                    parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
            self._swaps = {name: (module, model.get_submodule(name)) for name, module in plain.items()}
            yield
        finally:
            for name, module in plain.items():
                _put(model, name, module)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(flags[name])
            model.__dict__.pop("peft_config", None)

    def _targeted(self, model: PreTrainedModel) -> dict[str, nn.Module]:
        """The linear layers that get an adapter, by name."""
        kinds = {
            n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) or type(m).__name__ == "Conv1D"
        }
        head = model.get_output_embeddings()
        inner = {name: module for name, module in kinds.items() if module is not head}
        return {name: inner[name] for name in targeted(inner, self.targets, type(model).__name__)}

    def trained(self) -> dict[str, nn.Parameter]:
        return {
            f"{module}.{name}": parameter
            for module, (_, wrapped) in self._swaps.items()
            for name, parameter in wrapped.named_parameters()
            if ".lora_" in f".{name}"
        }

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """The adapter adds to the base, as in training."""
        yield

    @contextmanager
    def base(self) -> Iterator[None]:
        try:
            for name, (plain, _) in self._swaps.items():
                _put(self._model, name, plain)
            yield
        finally:
            for name, (_, wrapped) in self._swaps.items():
                _put(self._model, name, wrapped)

    def edit(self) -> WeightEdit:
        """The pairs (A, B) of every wrapped module."""
        pairs = {}
        for name, (_, wrapped) in self._swaps.items():
            a, b = (wrapped.get_parameter(f"lora_{side}.default.weight").data for side in "AB")
            pairs[f"{name}.weight"] = (a, b)
        return WeightEdit(pairs=pairs, scale=self.alpha / self.rank)

    @no_grad
    def figures(self) -> dict[str, float]:
        """weights/relative_change: |scale B A| / |W| over the wrapped modules."""
        change = norm = 0.0
        for plain, wrapped in self._swaps.values():
            a, b = (wrapped.get_parameter(f"lora_{side}.default.weight") for side in "AB")
            change += ((self.alpha / self.rank) * (b @ a)).square().sum().item()
            norm += plain.get_parameter("weight").float().square().sum().item()
        return {"weights/relative_change": (change / norm) ** 0.5}


def _put(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    """Replace the submodule `name` of the model."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent) if parent else model, child, module)


def targeted(names: Iterable[str], targets: Sequence[str], model: str) -> list[str]:
    """The linear layers whose last name is one of the targets; without targets, all.

    Raises ConfigError for a target that no layer of `model` is called.
    """
    last_names = {name: name.rpartition(".")[2] for name in names}
    if missing := sorted(set(targets) - set(last_names.values())):
        hint = near(missing[0], set(last_names.values()))
        raise ConfigError(f"lora_targets: {model} has no linear layer {missing[0]!r}; {hint}")
    return [name for name, last in last_names.items() if not targets or last in targets]
