"""Reads the annotations of samples by a teacher-forced pass: base log-probs, ranks, confidences, exact KL.

    <store>/annotations/<policy>/<regime>/
      shard-<keys>.parquet     one row per sample: item, j, base_logprobs, base_ranks, kl (or null), confidences
                               (top-20), certainties (self-certainty; no column in older folders)
      chains-<keys>.parquet    one row per chain of a selecting strategy: item, j, chain, tokens, base_logprob
      prompts.parquet          item, prompt_nll, prompt_tokens under the base
      manifest.json            policy, base, kind of policy; written last

Token values are flat (`Ragged`); `row_N_J` maps item and sample to a trace. Written by
`stages/annotate.py`; no torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError, StageError
from elicit.evaluate.measures.ragged import Ragged
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.files import read_rows, read_table, shards

TOKEN_VALUES = ("base_logprobs", "base_ranks", "confidences")


def annotations_of(samples: Path) -> Path:
    """The annotations folder of a samples folder <store>/samples/<policy>/<regime>-<task>."""
    return SampleFolder(samples).sibling("annotations")


@dataclass(frozen=True)
class Annotations:
    """Annotations of one policy on N items, J samples each."""

    policy: str
    base: str
    selecting: bool
    """True if the strategy selects among chains without a rule for single tokens: it has no token distribution"""
    independent: bool
    """True if those chains are independent draws of the base at T=1, which the best-of-N bound needs"""
    row_N_J: NDArray
    """index of each sample's trace, -1 if it has none"""
    base_logprobs: Ragged
    base_ranks: Ragged
    """0: the base's most probable token"""
    confidences: Ragged
    """from the policy's own raw softmax with its edits applied"""
    kl: Ragged | None
    """KL(policy || base) at each position, exact; None for selecting policies"""
    prompt_nll_N: NDArray
    """mean NLL per token of the question's prompt under the base; nan if unknown"""
    chains: dict[tuple[int, int], NDArray]
    """(item row, sample) -> [C, 2]: tokens and base log-prob of each chain"""
    own_rule: bool = False
    """True if a strategy's own token rule drew the samples, in any regime"""

    def spread(self, values_R: NDArray) -> NDArray:
        """Values by trace as [N, J], nan if there is no trace."""
        padded = np.append(np.asarray(values_R, float), np.nan)
        return padded[self.row_N_J]


def read_annotations(folder: Path, items: Sequence[str], n: int) -> Annotations:
    """The first n samples of these items. Raises StageError if the pass is not finished, DataError on damaged rows."""
    folder, stage = Path(folder), StageFolder(folder)
    if not stage.finished:
        raise StageError(f"{folder}: not annotated (no manifest.json); elicit lens GROUP run=true makes it")
    about = stage.manifest
    row_of = {item: i for i, item in enumerate(items)}
    row_N_J = np.full((len(items), n), -1)
    names = TOKEN_VALUES if about["selecting"] else (*TOKEN_VALUES, "kl")
    flat, lengths = _token_values(folder, names, row_of, row_N_J)
    prompt_nll_N = np.full(len(items), np.nan)
    for row in read_rows([folder / "prompts.parquet"], ["item", "prompt_nll"]):
        if row["item"] in row_of:
            prompt_nll_N[row_of[row["item"]]] = row["prompt_nll"]
    return Annotations(
        about["policy"],
        about["base"],
        about["selecting"],
        about["independent"],
        row_N_J,
        Ragged(flat["base_logprobs"], lengths),
        Ragged(flat["base_ranks"], lengths),
        Ragged(flat["confidences"], lengths),
        Ragged(flat["kl"], lengths) if not about["selecting"] else None,
        prompt_nll_N,
        _chains(folder, row_of, n),
        about["own_rule"],
    )


def _token_values(
    folder: Path, names: Sequence[str], row_of: dict[str, int], row_N_J: NDArray
) -> tuple[dict[str, NDArray], NDArray]:
    """Flat values by name and the lengths of the traces; fills `row_N_J` with the trace of each sample."""
    import pyarrow.compute as pc

    parts: dict[str, list[NDArray]] = {name: [] for name in names}
    lengths: list[NDArray] = []
    count = 0
    for path in shards(folder):
        table = read_table(path, columns=["item", "j", *names])
        sizes = pc.fill_null(pc.list_value_length(table["base_logprobs"]), 0).to_numpy()
        for item, j in zip(table["item"].to_pylist(), table["j"].to_pylist(), strict=True):
            if item in row_of and j < row_N_J.shape[1]:
                if row_N_J[row_of[item], j] >= 0:
                    raise DataError(f"{path}: sample {j} of {item} is annotated twice; delete {folder}, annotate again")
                row_N_J[row_of[item], j] = count
            count += 1
        lengths.append(sizes)
        for name, into in parts.items():
            into.append(np.asarray(pc.list_flatten(table[name]).to_numpy(zero_copy_only=False), np.float32))
    flat = {name: np.concatenate(into) if into else np.zeros(0, np.float32) for name, into in parts.items()}
    for name, values in flat.items():
        if np.isnan(values).any():
            raise DataError(f"{folder}: {np.isnan(values).sum()} {name} are NaN; delete it and annotate in float32")
    return flat, np.concatenate(lengths) if lengths else np.zeros(0, np.int64)


def _chains(folder: Path, row_of: dict[str, int], n: int) -> dict[tuple[int, int], NDArray]:
    by_sample: dict[tuple[int, int], list[tuple[int, float, float]]] = {}
    columns = ["item", "j", "chain", "tokens", "base_logprob"]
    for row in read_rows(sorted(folder.glob("chains-*.parquet")), columns):
        if row["item"] in row_of and row["j"] < n:
            sample = (row_of[row["item"]], row["j"])
            by_sample.setdefault(sample, []).append((row["chain"], row["tokens"], row["base_logprob"]))
    return {sample: np.array([chain[1:] for chain in sorted(chains)]) for sample, chains in by_sample.items()}
