"""ActivationEdit: vectors written to block outputs, at absolute positions, undone exactly.

    edit = ActivationEdit((Edit(layer=5, vector=v_D, strength=4.0, write="onward"),))
    with edit.applied(model):
        ...                                 every forward pass of `model` is edited
    policy.with_intervention(edit)          the same as a part of a policy, with an id and a folder

    add        x + m a(t) v                           v as given
    clamp      x + m a(t) (target - f(x)) d           f, d: see `Edit.encoder`
    min_clamp  x + m a(t) max(0, target - f(x)) d
    ablate     x - m a(t) f(x) d                      m = 1 removes the direction

m is `strength`, a(t) the schedule (1 unless `first` or `half_life` is set). With a `gate`, only those tokens are
written on which the feature of the gate is active: x.gate + gate_bias > max(gate_threshold, 0), read before the edit.
Computed in float32 (float64 in a float64 model) and rounded to the dtype of the block output; a null edit (m = 0 or
v = 0) changes no bit. The forms are AxBench's (arXiv 2501.17148), the interchange format is steering-vectors'.

What this module does not know: how vectors are found. The position of a token comes from `positions.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from elicit.errors import CheckpointError, ConfigError, DataError, near
from elicit.files import content_hash
from elicit.lazy import no_grad
from elicit.policy import layers, positions
from elicit.policy.intervention import tensor_hash

if TYPE_CHECKING:
    from steering_vectors import SteeringVector
    from torch import nn

TENSORS = ("vector", "encoder", "gate")
"""fields of an edit that are tensors [D]"""


@dataclass(frozen=True, eq=False)
class Edit:
    """One vector at one layer. Raises ConfigError for values out of range or fields that contradict each other."""

    layer: int
    """0-based block whose output is written"""
    vector: torch.Tensor
    """[D], kept as float32 on the CPU"""
    operator: str = "add"
    strength: float = 1.0
    """m above, in units of the vector"""
    write: str = "last_prompt"
    """one of positions.WRITES"""
    target: float | None = None
    """the value that clamp and min_clamp drive f(x) to, in units of the residual stream (or of the SAE's feature)"""
    encoder: torch.Tensor | None = None
    """[D] of an SAE: with z = x.encoder + bias, f(x) is z above max(threshold, 0) and 0 below, and d is the vector as
    given (the error-preserving form; for a feature of a TopK SAE a threshold has to replace the competition).
    None: d is the unit vector and f(x) = x.d"""
    bias: float = 0.0
    threshold: float = 0.0
    first: int | None = None
    """schedule: only this many tokens, counted from the last prompt token"""
    half_life: float | None = None
    """schedule: tokens after the last prompt token in which a(t) halves"""
    gate: torch.Tensor | None = None
    """[D]: encoder row of a feature; only tokens on which it is active are written. None: all tokens"""
    gate_bias: float = 0.0
    gate_threshold: float = 0.0

    def __post_init__(self) -> None:
        for name in TENSORS:
            value = getattr(self, name)
            if value is None:
                continue
            plain = torch.as_tensor(value).detach().to("cpu", torch.float32).clone().contiguous()
            if plain.ndim != 1 or not bool(torch.isfinite(plain).all()):
                raise ConfigError(f"{name} {tuple(plain.shape)} at layer {self.layer}: expected [D], all finite")
            object.__setattr__(self, name, plain)
        for name, other in (("encoder", self.encoder), ("gate", self.gate)):
            if other is not None and other.shape != self.vector.shape:
                raise ConfigError(f"{name} {tuple(other.shape)}, vector {tuple(self.vector.shape)}: use one width")
        if self.operator not in OPERATORS:
            raise ConfigError(f"operator={self.operator!r}: {near(self.operator, OPERATORS)}")
        positions.check_write(self.write)
        if ("clamp" in self.operator) != (self.target is not None):
            raise ConfigError(f"operator={self.operator!r}, target={self.target}: only clamps have a target")
        if not math.isfinite(self.strength) or self.layer < 0:
            raise ConfigError(f"strength={self.strength}, layer={self.layer}: a finite number and a layer from 0 on")
        if (self.first is not None and self.first < 1) or (self.half_life is not None and self.half_life <= 0):
            raise ConfigError(f"first={self.first}: must be 1 token or more; half_life={self.half_life}: above 0")

    @property
    def null(self) -> bool:
        """True if the edit changes nothing."""
        return self.strength == 0 or not bool(self.vector.any())

    @property
    def direction(self) -> torch.Tensor:
        """[D]: v or d of the formulas."""
        as_given = self.operator == "add" or self.encoder is not None
        return self.vector if as_given else self.vector / self.vector.norm().clamp_min(1e-30)

    def fields(self) -> dict[str, Any]:
        """JSON-able fields without tensors. Fields of a gate only if there is one: ids of edits without gates stay."""
        omitted = (*TENSORS, *(() if self.gate is not None else ("gate_bias", "gate_threshold")))
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in omitted}


@dataclass
class _Prepared:
    """An edit's tensors on the device and in the precision of the computation."""

    scaled_D: torch.Tensor
    """strength * direction"""
    encoder_D: torch.Tensor
    edit: Edit
    target: float = 0.0
    gate_D: torch.Tensor | None = None

    def open(self, x_B_T_D: torch.Tensor) -> torch.Tensor:
        """Bool [B, T, 1]: the tokens on which the gate's feature is active."""
        z_B_T_1 = (x_B_T_D @ self.gate_D)[..., None] + self.edit.gate_bias  # type: ignore[operator]
        return z_B_T_1 > max(self.edit.gate_threshold, 0.0)

    def feature(self, x_B_T_D: torch.Tensor) -> torch.Tensor:
        """f(x) [B, T, 1]"""
        z_B_T_1 = (x_B_T_D @ self.encoder_D)[..., None]
        if self.edit.encoder is None:
            return z_B_T_1
        z_B_T_1 = z_B_T_1 + self.edit.bias
        return torch.where(z_B_T_1 > max(self.edit.threshold, 0.0), z_B_T_1, 0.0)


def add(x_B_T_D: torch.Tensor, p: _Prepared) -> torch.Tensor:
    """The change m v."""
    return p.scaled_D


def clamp(x_B_T_D: torch.Tensor, p: _Prepared) -> torch.Tensor:
    """The change m (target - f(x)) d."""
    return (p.target - p.feature(x_B_T_D)) * p.scaled_D


def min_clamp(x_B_T_D: torch.Tensor, p: _Prepared) -> torch.Tensor:
    """The change m max(0, target - f(x)) d."""
    return (p.target - p.feature(x_B_T_D)).clamp_min(0.0) * p.scaled_D


def ablate(x_B_T_D: torch.Tensor, p: _Prepared) -> torch.Tensor:
    """The change -m f(x) d."""
    return -p.feature(x_B_T_D) * p.scaled_D


OPERATORS: dict[str, Callable[[torch.Tensor, _Prepared], torch.Tensor]] = {
    "add": add,
    "clamp": clamp,
    "min_clamp": min_clamp,
    "ablate": ablate,
}


@dataclass
class HookCalls:
    """How often the hooks of an edit ran and how often they wrote; `elicit doctor` and the tests check it."""

    fired: int = 0
    written: int = 0
    counting: bool = False
    """also count tokens (waits for the device once per pass and edit)"""
    tokens: int = 0
    """tokens from the last prompt token on (no padding) that passed the hooks, once per edit"""
    steered: int = 0
    """tokens among them that were written"""

    @property
    def share(self) -> float:
        """Steered tokens over tokens from the last prompt token on (published: 12 %, arXiv 2510.07364)."""
        return self.steered / max(self.tokens, 1)

    def count(self, where: positions.ForwardPositions, write: str, open_B_T_1: torch.Tensor | None) -> None:
        """Count the tokens of one pass."""
        answer_B_T = positions.mask("onward", where.positions_B_T, where.prompt_lengths_B)
        written_B_T = answer_B_T & positions.mask(write, where.positions_B_T, where.prompt_lengths_B)
        if open_B_T_1 is not None:
            written_B_T = written_B_T & open_B_T_1[..., 0].to(written_B_T.device)
        self.tokens += int(answer_B_T.sum())
        self.steered += int(written_B_T.sum())


@dataclass(frozen=True, eq=False)
class ActivationEdit:
    """Edits sorted by layer; those of one layer act in the order given. Implements `Intervention`."""

    kind: ClassVar[str] = "activations"

    edits: tuple[Edit, ...]
    calls: HookCalls = field(default_factory=HookCalls, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", tuple(sorted(self.edits, key=lambda edit: edit.layer)))
        widths = sorted({edit.vector.numel() for edit in self.edits})
        if len(widths) > 1:
            raise ConfigError(f"vectors of widths {widths} in one edit: all have to fit one residual stream")

    @cached_property
    def id(self) -> str:
        """Hash of the content."""
        tensors = {name: tensor_hash(tensor) for name, tensor in self.tensors().items()}
        return content_hash({"kind": self.kind, "spec": self.spec(), "tensors": tensors})

    def spec(self) -> dict[str, Any]:
        """Fields of the edits; the tensors of edit i are vector.i and encoder.i."""
        return {"edits": [edit.fields() for edit in self.edits]}

    def tensors(self) -> dict[str, torch.Tensor]:
        """vector.i [D] and, if edit i has them, encoder.i [D] and gate.i [D]."""
        named = ((f"{name}.{i}", getattr(edit, name)) for i, edit in enumerate(self.edits) for name in TENSORS)
        return {name: value for name, value in named if value is not None}

    @classmethod
    def from_spec(cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> ActivationEdit:
        """The inverse of `spec` and `tensors`. Raises DataError if one does not fit the other."""
        names, edits = {f.name for f in dataclasses.fields(Edit)}, []
        for i, row in enumerate(fields.get("edits", ())):
            if unknown := sorted(set(row) - names):
                raise DataError(f"edit {i} has unknown fields {', '.join(unknown)}; saved by a newer version?")
            if f"vector.{i}" not in tensors:
                raise DataError(f"edit {i} has no tensor vector.{i}; the folder is incomplete, fit again")
            vectors: dict[str, Any] = {name: tensors.get(f"{name}.{i}") for name in TENSORS}
            edits.append(Edit(**vectors, **row))
        return cls(tuple(edits))

    def check(self, model: nn.Module) -> None:
        """Raises CheckpointError if the edit does not fit the model; the message names both widths or all layers."""
        count, wanted = len(layers.blocks(model)), layers.width(model)
        for edit in self.edits:
            if edit.vector.numel() != wanted:
                raise CheckpointError(
                    f"the edit's vector at layer {edit.layer} is {edit.vector.numel()} wide, the residual stream of "
                    f"{type(model).__name__} {wanted}; use the checkpoint that it was fitted on"
                )
            if edit.layer >= count:
                raise CheckpointError(
                    f"the edit writes to layer {edit.layer}, {type(model).__name__} has layers 0 to {count - 1}; "
                    "use the checkpoint that it was fitted on"
                )

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, every forward pass of `model` is edited; leaving removes the hooks, also after an exception."""
        self.check(model)
        steps: dict[int, list[_Step]] = {}
        for edit in self.edits:
            if not edit.null:
                steps.setdefault(edit.layer, []).append(_Step(edit))
        changes = {layer: _change(chain, self.calls) for layer, chain in steps.items()}
        with layers.changing_outputs(model, changes):
            yield

    def to_steering_vector(self) -> SteeringVector:
        """The edits as a `steering_vectors.SteeringVector`, which holds no positions: its user chooses them again.

        Raises ConfigError if an edit is not a plain addition: the format has no other form.
        """
        from steering_vectors import SteeringVector

        summed: dict[int, torch.Tensor] = {}
        for edit in self.edits:
            if edit.operator != "add" or edit.first is not None or edit.half_life is not None or edit.gate is not None:
                raise ConfigError(
                    f"operator={edit.operator!r} at layer {edit.layer}: a SteeringVector only adds, without a schedule "
                    "or a gate"
                )
            delta_D = edit.strength * edit.vector
            summed[edit.layer] = summed[edit.layer] + delta_D if edit.layer in summed else delta_D
        return SteeringVector(summed, "decoder_block")

    @classmethod
    def from_steering_vector(
        cls, vector: SteeringVector, strength: float = 1.0, write: str = "every"
    ) -> ActivationEdit:
        """A `SteeringVector` of block outputs as an edit. Raises ConfigError if it is of another site."""
        if vector.layer_type != "decoder_block":
            raise ConfigError(f"layer_type={vector.layer_type!r}: only vectors of decoder_block outputs can be read")
        rows = vector.layer_activations.items()
        return cls(tuple(Edit(int(layer), value.reshape(-1), "add", strength, write) for layer, value in rows))


class _Step:
    """One edit in a running hook. Its tensors are converted once per device and dtype."""

    def __init__(self, edit: Edit) -> None:
        self.edit, self.operator, self.write = edit, OPERATORS[edit.operator], edit.write
        self.scheduled = edit.first is not None or edit.half_life is not None
        self._key: tuple[torch.device, torch.dtype] | None = None
        self._prepared: _Prepared | None = None

    def prepared(self, hidden: torch.Tensor) -> _Prepared:
        key = (hidden.device, hidden.dtype)
        if self._prepared is None or key != self._key:
            precision = torch.promote_types(hidden.dtype, torch.float32)
            direction = self.edit.direction
            reader = direction if self.edit.encoder is None else self.edit.encoder
            scaled = (self.edit.strength * direction).to(hidden.device, precision)
            gate = None if self.edit.gate is None else self.edit.gate.to(hidden.device, precision)
            reader = reader.to(hidden.device, precision)
            self._prepared = _Prepared(scaled, reader, self.edit, self.edit.target or 0.0, gate)
            self._key = key
        return self._prepared

    def __call__(
        self, hidden: torch.Tensor, where: positions.ForwardPositions | None, calls: HookCalls
    ) -> torch.Tensor | None:
        """The hidden states [B, T, D] after this edit; None if it writes to no token of this pass."""
        if where is None:
            if self.write != "every" or self.scheduled:
                raise RuntimeError(
                    f"an edit with write={self.write!r} ran in a forward pass without known positions: run it "
                    "inside elicit.policy.positions.forward_positions, or sample with elicit.sampling"
                )
            extent = "all"
        else:
            extent = where.extent(self.write)
            if extent == "none":
                if calls.counting:
                    calls.count(where, self.write, None)
                return None
            if hidden.shape[:2] != where.positions_B_T.shape:
                raise RuntimeError(
                    f"positions {tuple(where.positions_B_T.shape)} for a block output {tuple(hidden.shape)}: "
                    "forward_positions has to describe exactly the tokens of this pass"
                )
        prepared = self.prepared(hidden)
        wide = hidden.to(prepared.scaled_D.dtype)
        delta = self.operator(wide, prepared)
        if self.scheduled:
            delta = delta * where.schedule(self.edit.first, self.edit.half_life, hidden.device)  # type: ignore[union-attr]
        changed = (wide + delta).to(hidden.dtype)
        open_B_T_1 = None if prepared.gate_D is None else prepared.open(wide)
        if open_B_T_1 is not None:
            changed = torch.where(open_B_T_1, changed, hidden)
        if calls.counting and where is not None:
            calls.count(where, self.write, open_B_T_1)
        return changed if extent == "all" else torch.where(where.mask(self.write, hidden.device), changed, hidden)  # type: ignore[union-attr]


def _change(chain: Sequence[_Step], calls: HookCalls) -> Callable[[torch.Tensor], torch.Tensor | None]:
    def change(hidden: torch.Tensor) -> torch.Tensor | None:
        calls.fired += 1
        where, result = positions.current(), None
        for step in chain:
            changed = step(hidden, where, calls)
            if changed is not None:
                calls.written += 1
                hidden = result = changed
        return result

    return change


@no_grad
def residual_norms(model: nn.Module, rows: Iterable[Sequence[int]], chosen: Sequence[int]) -> dict[int, float]:
    """RMS over tokens of the L2 norm of each chosen layer's output. Position 0 is left out: its norm is an outlier.

    rows: token ids, one text per row, at least two tokens each. Raises DataError if there is no such token.
    """
    totals, count = dict.fromkeys(chosen, 0.0), 0
    device = next(model.parameters()).device
    with layers.reading_outputs(model, chosen) as read:
        for row in rows:
            model(input_ids=torch.tensor([list(row)], device=device), use_cache=False)
            count += len(row) - 1
            for layer in chosen:
                totals[layer] += read[layer][0, 1:].double().square().sum().item()
    if count < 1:
        raise DataError("residual norms of no tokens: give at least one text of two tokens")
    return {layer: math.sqrt(total / count) for layer, total in totals.items()}


def relative_norms(edit: ActivationEdit, norms: Mapping[int, float]) -> dict[int, float | None]:
    """By layer, the norm of the added vector over the norm of the residual stream (`residual_norms`).

    0.01 has hardly any effect, 3 breaks a model. None for a layer with a clamp or an ablation: what these add depends
    on the residual stream itself. Raises DataError for a layer without a norm.
    """
    out: dict[int, float | None] = {}
    for layer in sorted({e.layer for e in edit.edits}):
        edits = [e for e in edit.edits if e.layer == layer]
        if layer not in norms:
            raise DataError(f"no residual norm of layer {layer}; measure it with residual_norms")
        plain = all(e.operator == "add" for e in edits)
        out[layer] = sum(e.strength * e.vector for e in edits).norm().item() / norms[layer] if plain else None  # type: ignore[union-attr]
    return out
