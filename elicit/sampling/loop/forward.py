"""One forward pass of a causal language model: ids, positions and mask in, logits out.

`ForwardCall` gives a model only the arguments that its class accepts and states the position of each token for the
hooks (`forward_positions`). `prefill` reads prefixes in one pass, right-padded, and gives the logits after each. N
prefixes, B rows, T tokens, V vocabulary, C scalars, F forced tokens. Knows nothing of slots, steps or picking.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from elicit.policy.attention import GROUPED
from elicit.policy.positions import forward_positions
from elicit.sampling.loop.pick import SCALARS, precise, scalars

Prefix = tuple[tuple[int, ...], tuple[int, ...]]
"""(prompt ids, forced completion ids): the tokens that are computed before the first free one"""


class ForwardCall:
    """A causal language model as a function of ids, positions and mask; passes only arguments its class accepts."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.takes = set(inspect.signature(model.forward).parameters)
        self.device = next(model.parameters()).device
        config = model.config.get_text_config()
        self.config = config
        self.limit = _learned_positions(model, config)

    def __call__(
        self,
        ids_B_T: torch.Tensor,
        positions_B_T: torch.Tensor,
        prompt_lengths_B: torch.Tensor,
        mask: torch.Tensor,
        keep: int = 0,
        **more: Any,
    ) -> torch.Tensor:
        """Logits [B, keep, V] of the last `keep` tokens (0: all). `positions_B_T`: host tensor, -1 on padding."""
        if "position_ids" in self.takes:
            more["position_ids"] = positions_B_T.clamp(min=0).to(self.device, non_blocking=True)
        if "logits_to_keep" in self.takes:
            more["logits_to_keep"] = keep
        more = {name: value for name, value in more.items() if name != "cache_position" or name in self.takes}
        with forward_positions(positions_B_T, prompt_lengths_B):
            logits = self.model(input_ids=ids_B_T, attention_mask=mask, **more).logits
        return logits[:, -keep:]


def _learned_positions(model: Any, config: Any) -> int | None:
    """Rows of a learned position table (a longer text has no embedding); None if positions are computed."""
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not limit or limit < 0:
        return None
    tables = [table for table in model.modules() if isinstance(table, torch.nn.Embedding)]
    others = [table.num_embeddings for table in tables if table is not model.get_input_embeddings()]
    return int(limit) if any(limit <= size <= limit + 8 for size in others) else None


def can_cache(model: Any) -> bool:
    """Whether the model keeps plain keys and values per layer, with at most a sliding window as its mask."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    default = getattr(model, "_supports_default_dynamic_cache", lambda: True)
    return (
        not getattr(model, "_is_stateful", False)
        and bool(default())
        and kinds <= {"full_attention", "sliding_attention"}
        and not getattr(config, "num_kv_shared_layers", 0)
        and not getattr(config, "attention_chunk_size", None)
    )


def ready_mask(model: Any, longest: int) -> bool:
    """Whether the model takes a finished [B, 1, 1, K] mask: its class passes one through (it builds masks with
    `create_causal_mask`), and no sliding window acts within `longest` tokens."""
    config = model.config.get_text_config()
    body = getattr(model, model.base_model_prefix, model)
    promises = hasattr(sys.modules[type(body).__module__], "create_causal_mask")
    takes = inspect.signature(model.forward).parameters
    windowed = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    window = getattr(config, "sliding_window", None)
    return (
        promises
        and "position_ids" in takes
        and not getattr(config, "alibi", False)
        and getattr(config, "_attn_implementation", None) in ("sdpa", "eager", GROUPED)
        and not (windowed and window is not None and window < longest)
    )


def padded(call: ForwardCall, prefixes: Sequence[Prefix]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids [N, T] on the device, host positions [N, T] with -1 on padding, host prompt lengths [N]).

    Padded on the right, where no token of a causal model sees the padding; so masks are all ones, and every token sees
    at least one key (a mask row without any key gives NaN in some attention kernels, and NaN spreads).
    """
    width = max(len(prompt) + len(forced) for prompt, forced in prefixes)
    ids = np.zeros((len(prefixes), width), dtype=np.int64)
    positions = np.full((len(prefixes), width), -1, dtype=np.int64)
    for row, (prompt, forced) in enumerate(prefixes):
        length = len(prompt) + len(forced)
        ids[row, :length] = prompt + forced
        positions[row, :length] = np.arange(length)
    lengths = torch.tensor([len(prompt) for prompt, _ in prefixes])
    return torch.from_numpy(ids).to(call.device), torch.from_numpy(positions), lengths


def prefill(
    call: ForwardCall, prefixes: Sequence[Prefix], alpha: float, **more: Any
) -> tuple[torch.Tensor, list[np.ndarray]]:
    """(logits [N, V] after each prefix, scalars [C, F] of the forced tokens of each), by one pass."""
    parts = prefix_logits(call, prefixes, **more)
    forced = [forced_scalars(part[:-1], tokens, alpha) for part, (_, tokens) in zip(parts, prefixes, strict=True)]
    return precise(torch.stack([part[-1] for part in parts])), forced


def prefix_logits(call: ForwardCall, prefixes: Sequence[Prefix], **more: Any) -> tuple[torch.Tensor, ...]:
    """Logits [F + 1, V] of each prefix, before each of its F forced tokens and after the last, by one pass."""
    ids, positions, lengths = padded(call, prefixes)
    # 1) the tokens whose logits are read: the last of each prompt and the forced ones
    reads = [range(len(prompt) - 1, len(prompt) + len(forced)) for prompt, forced in prefixes]
    rows = torch.tensor([row for row, read in enumerate(reads) for _ in read], device=call.device)
    columns = torch.tensor([column for read in reads for column in read], device=call.device)
    # 2) one pass; the head computes those only
    with head_reads(call.model, rows, columns) as gather:
        logits = gather(call(ids, positions, lengths, torch.ones_like(ids), **more))
    return logits.split([len(read) for read in reads])


@contextmanager
def head_reads(model: Any, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[Callable[..., torch.Tensor]]:
    """The output head computes only tokens (rows[k], columns[k]), k < K, of a pass over [B, T] tokens.

    Of a prefill with a large vocabulary the head is most of the work, and almost all of its output is thrown away.
    Yields a function from the logits of that pass to [K, V]. If a model does not call its head as a module, all
    logits are computed, and the function picks the same ones.
    """
    narrowed = False

    def narrow(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal narrowed
        narrowed = True
        return (inputs[0][rows, columns][None], *inputs[1:])

    def gather(logits: torch.Tensor) -> torch.Tensor:
        return logits[0] if narrowed else logits[rows, columns]

    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(narrow) if head is not None else None
    try:
        yield gather
    finally:
        if hook is not None:
            hook.remove()


def forced_scalars(logits_T_V: torch.Tensor, forced: tuple[int, ...], alpha: float) -> np.ndarray:
    """Scalars [C, F] of forced tokens, from the logits before each."""
    if not forced:
        return np.zeros((len(SCALARS), 0))
    tokens = torch.tensor(forced, device=logits_T_V.device)
    return scalars(precise(logits_T_V), tokens, alpha).cpu().double().numpy()
