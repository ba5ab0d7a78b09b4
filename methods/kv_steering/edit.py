"""CacheEdit: vectors added to the keys and values of prompt tokens, once; and reading those keys and values.

    k_t <- k_t + c_k K_l        v_t <- v_t + c_v V_l        for the prompt tokens t of `write`, in every layer l given

Keys and values are the outputs of k_proj and v_proj, before the rotation by position, so that a vector does not depend
on where the prompt ends. They are computed once, while the prompt is read; afterwards they lie in the cache, and no
pass over a generated token is changed. In the published form (arXiv 2507.08799) the cache is changed after the prompt
was read, so that the last prompt token itself does not see the change, nor does the first generated token; here both
do. The hooks are removed on leaving. It is of the kind `activations`, and its spec names this class.
What this module does not know: how vectors are found. L layers, K width of all key heads together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from elicit.errors import CheckpointError, ConfigError, MethodError, near
from elicit.files import content_hash
from elicit.lazy import no_grad
from elicit.names import published_name
from elicit.policy import layers, positions
from elicit.policy.intervention import tensor_hash

if TYPE_CHECKING:
    from torch import nn

    from elicit.policy.policy import Policy

WRITES = ("last_prompt", "prompt")
PARTS = ("k_proj", "v_proj")
BATCH = 64


@dataclass(frozen=True, eq=False)
class CacheEdit:
    """One vector for the keys and one for the values of each layer. Implements `Intervention`."""

    kind: ClassVar[str] = "activations"

    layers: tuple[int, ...]
    """0-based"""
    keys_L_K: torch.Tensor
    values_L_K: torch.Tensor
    key_strength: float = 0.0
    """c_k, in units of the vectors"""
    value_strength: float = 1.0
    """c_v"""
    write: str = "last_prompt"
    """last_prompt: the last prompt token; prompt: all of them"""

    def __post_init__(self) -> None:
        if self.write not in WRITES:
            raise ConfigError(f"write={self.write!r}: {near(self.write, WRITES)}; keys and values are changed once")
        for name in ("keys_L_K", "values_L_K"):
            plain = getattr(self, name).detach().to("cpu", torch.float32).clone().contiguous()
            if plain.ndim != 2 or len(plain) != len(self.layers) or not bool(torch.isfinite(plain).all()):
                raise ConfigError(f"{name} {tuple(plain.shape)} for {len(self.layers)} layers: expected [L, K], finite")
            object.__setattr__(self, name, plain)

    @cached_property
    def id(self) -> str:
        """Hash of the content."""
        tensors = {name: tensor_hash(tensor) for name, tensor in self.tensors().items()}
        return content_hash({"kind": self.kind, "spec": self.spec(), "tensors": tensors})

    def spec(self) -> dict[str, Any]:
        """Layers, strengths, positions, and the class that reads them back."""
        return {
            "class": published_name(type(self)), "layers": list(self.layers), "key_strength": self.key_strength,
            "value_strength": self.value_strength, "write": self.write,
        }  # fmt: skip

    def tensors(self) -> dict[str, torch.Tensor]:
        """keys [L, K], values [L, K]."""
        return {"keys": self.keys_L_K, "values": self.values_L_K}

    @classmethod
    def from_spec(cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> CacheEdit:
        """The inverse of `spec` and `tensors`."""
        strengths = fields["key_strength"], fields["value_strength"]
        return cls(tuple(fields["layers"]), tensors["keys"], tensors["values"], *strengths, fields["write"])

    def check(self, model: nn.Module) -> None:
        """Raises CheckpointError if a layer does not exist, or if its keys are of another width."""
        parts = projections(model)
        for layer in self.layers:
            if layer >= len(parts):
                raise CheckpointError(f"layer {layer}: {type(model).__name__} has layers 0 to {len(parts) - 1}")
            for name, part, vector in zip(PARTS, parts[layer], (self.keys_L_K, self.values_L_K), strict=True):
                wide = int(part.get_parameter("weight").shape[0])
                if wide != vector.shape[1]:
                    raise CheckpointError(
                        f"the edit's {name} vector at layer {layer} is {vector.shape[1]} wide, that of "
                        f"{type(model).__name__} {wide}; use the checkpoint that it was fitted on"
                    )

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, every pass over a prompt writes changed keys and values; leaving removes the hooks."""
        self.check(model)
        parts = projections(model)
        vectors = ((self.key_strength, self.keys_L_K), (self.value_strength, self.values_L_K))
        with ExitStack() as stack:
            for which, (strength, vectors_L_K) in enumerate(vectors):
                for layer, vector_K in zip(self.layers, vectors_L_K, strict=True):
                    if strength and bool(vector_K.any()):
                        handle = parts[layer][which].register_forward_hook(self._hook(strength * vector_K))
                        stack.callback(handle.remove)
            yield

    def _hook(self, delta_K: torch.Tensor) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor | None]:
        def hook(module: nn.Module, inputs: Any, output_B_T_K: torch.Tensor) -> torch.Tensor | None:
            where = positions.current()
            if where is None:
                raise RuntimeError(
                    "a change of the prompt's keys and values ran in a forward pass without positions: put it inside "
                    "elicit.policy.positions.forward_positions, or sample through elicit.sampling"
                )
            if where.extent(self.write) == "none":
                return None
            wide = output_B_T_K.to(torch.promote_types(output_B_T_K.dtype, torch.float32))
            changed = (wide + delta_K.to(wide.device, wide.dtype)).to(output_B_T_K.dtype)
            return torch.where(where.mask(self.write, output_B_T_K.device), changed, output_B_T_K)

        return hook


def projections(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(k_proj, v_proj) of each block. Raises CheckpointError for a model that computes them in another way."""
    out = []
    for layer, block in enumerate(layers.blocks(model)):
        named = {name.rpartition(".")[2]: module for name, module in block.named_modules()}
        if missing := [name for name in PARTS if name not in named]:
            raise CheckpointError(
                f"block {layer} of {type(model).__name__} has no {missing[0]}: its keys and values are computed "
                "together or in another way, and can't be steered here; use method=contrastive"
            )
        out.append((named["k_proj"], named["v_proj"]))
    return out


@no_grad
def last_keys_values(
    policy: Policy, rows: Sequence[tuple[int, ...]], prompt_lengths: Sequence[int], chosen: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(keys, values) of the last token of each row in the chosen layers: float32 [N, L, K] on the CPU, edits on.

    Raises MethodError on NaN or infinity.
    """
    model, device = policy.checkpoint.model, policy.checkpoint.device
    parts = projections(model)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    readings: list[list[torch.Tensor]] = [[], []]
    for start in range(0, len(order), BATCH):
        batch = [rows[index] for index in order[start : start + BATCH]]
        lengths_B = torch.tensor([len(row) for row in batch])
        ids_B_T = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in batch], batch_first=True)
        steps_1_T = torch.arange(ids_B_T.shape[1])[None]
        positions_B_T = torch.where(steps_1_T < lengths_B[:, None], steps_1_T, -1)
        asked_B = torch.tensor([prompt_lengths[index] for index in order[start : start + BATCH]])
        read: dict[tuple[int, int], torch.Tensor] = {}

        def keep(layer: int, which: int, last_B: torch.Tensor, read: dict[tuple[int, int], torch.Tensor]) -> Any:
            def hook(module: nn.Module, inputs: Any, output_B_T_K: torch.Tensor) -> None:
                read[layer, which] = output_B_T_K[torch.arange(len(last_B)), last_B].float().cpu()

            return hook

        with ExitStack() as stack:
            stack.enter_context(policy.applied())
            for layer in chosen:
                for which in (0, 1):
                    handle = parts[layer][which].register_forward_hook(keep(layer, which, lengths_B - 1, read))
                    stack.callback(handle.remove)
            stack.enter_context(positions.forward_positions(positions_B_T, asked_B))
            model(input_ids=ids_B_T.to(device), use_cache=False)
        for which in (0, 1):
            readings[which].append(torch.stack([read[layer, which] for layer in chosen], 1))
    back = torch.tensor(order).argsort()
    keys, values = (torch.cat(parts_N)[back] for parts_N in readings)
    if not bool(torch.isfinite(keys.sum() + values.sum())):
        raise MethodError("NaN or infinite keys or values: load the checkpoint in float32 or bfloat16 (model.dtype)")
    return keys, values
