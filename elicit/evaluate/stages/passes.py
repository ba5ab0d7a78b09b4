"""Two small model passes for lenses: plain-text loss, and the use of a sentence by later tokens.

    <store>/probes/<policy>/<regime>/texts/       source, text, nll (sum over the text), tokens
    <store>/probes/<policy>/<regime>/sentences/   item, j, sentence, attention, suppression

Written like probe rows (`probes.py`) and read with them. Torch is imported when a pass begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import files
from elicit.evaluate.stages.probes import VERSION, probes_of
from elicit.evaluate.store import StageFolder
from elicit.records import Item

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

Look = tuple[str, int, tuple[int, ...]]
"""(item, sample, ends of its sentences in characters)"""


def run_texts(policy: Policy, samples: Path, texts: Sequence[tuple[str, str]]) -> Path:
    """NLL of each (source, text) under a policy's weights and edits, given its first token (BOS if there is one)."""

    def rows() -> list[dict[str, Any]]:
        from elicit.sampling.likelihood import likelihood

        encoded = [tuple(policy.checkpoint.encode(text)) for _, text in texts]
        scored = likelihood(policy, [((ids[0],), ids[1:]) for ids in encoded])
        return [
            {"source": source, "text": text, "nll": float(-one.logprobs.sum()), "tokens": len(one.logprobs)}
            for (source, text), one in zip(texts, scored, strict=True)
        ]

    return stored(policy, samples, "texts", list(texts), rows)


def run_sentences(policy: Policy, items: Sequence[Item], samples: Path, looks: Sequence[Look]) -> Path:
    """Attention to, and suppression of, every sentence of these samples. Raises ConfigError if the model can't."""

    def rows() -> list[dict[str, Any]]:
        from elicit.sampling.loop.text import Decoder
        from elicit.sampling.sentences import look

        by_id = {item.id: item for item in items}
        decoder = Decoder(policy.checkpoint.tokenizer, policy.checkpoint.eos_ids)
        sampled = files.read_rows(files.shards(samples), ["item", "j", "token_ids"])
        tokens = {(row["item"], row["j"]): row["token_ids"] for row in sampled}
        out = []
        for item, j, ends in looks:
            ids = tokens[item, j]
            spans = token_spans(decoder.offsets(ids), ends)
            values = look(policy, policy.prompt_ids(by_id[item].question), ids, spans)
            out += [
                {"item": item, "j": j, "sentence": k, "attention": one.attention, "suppression": one.suppression}
                for k, one in enumerate(values)
            ]
        return out

    return stored(policy, samples, "sentences", [list(entry) for entry in looks], rows)


def token_spans(offsets: Sequence[tuple[int, int]], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Token span of each sentence: the tokens whose last character lies in it.

    >>> token_spans([(0, 3), (3, 5), (5, 9)], [5, 9])
    [(0, 2), (2, 3)]
    """
    last = [sum(end <= limit for _, end in offsets) for limit in ends]
    return list(zip([0, *last[:-1]], last, strict=True))


def stored(policy: Policy, samples: Path, name: str, asked: Any, rows: Callable[[], list[dict[str, Any]]]) -> Path:
    """Write the rows of a pass as one shard, unless the same request was answered before; returns the folder."""
    out = probes_of(samples, name)
    with StageFolder(out).writing(f"delete {out} and run the lens again", version=VERSION, policy=policy.id, lens=name):
        shard = f"shard-{files.content_hash(asked)}.parquet"
        if not (out / shard).exists():
            files.write_rows(out / shard, rows())
        StageFolder(out).finish(policy=policy.id, lens=name, shards=[shard])
    return out
