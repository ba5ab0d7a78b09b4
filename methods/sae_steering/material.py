"""What SAE steering starts from: own samples on pages, their activations, dictionaries, codes, quality cards.

A method and its placebos need the same material. It is kept on the shelf of its checkpoint, under the hash of
everything that it depends on, and goes when the checkpoint goes: the command holds the checkpoint until its last job.
Using it again is booked in the ledger like making it. Knows nothing of scores or strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from elicit.files import content_hash, write_json
from elicit.policy.residuals import layer_numbers
from elicit.sampling.contrast import in_context_rows, prompt_pair
from elicit.sampling.own import Completion, own_completions
from methods.sae_steering.dictionary import Codes, Dictionary, codes
from methods.sae_steering.loading import load
from methods.sae_steering.quality import Gate, QualityCard, quality
from methods.sae_steering.store import ActivationStore, collect
from methods.sae_steering.training import train

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from methods.sae_steering.method import SaeSteering

READS = ("in_context", "first_generated")
CARD_ROWS = 32
CARD_TOKENS = 8192
"""pages on which a quality card measures cross-entropy, at most"""
KEPT = 2
"""pages, and materials, kept per checkpoint"""
Value = TypeVar("Value")


@dataclass(frozen=True)
class FitInputs:
    """The three arguments of `fit`, for the steps that need all of them."""

    policy: Policy
    ledger: Ledger
    context: Context


@dataclass(frozen=True)
class Pages:
    """Own samples as rows of tokens, with the position at which each is read."""

    completions: tuple[Completion, ...]
    rows: tuple[tuple[int, ...], ...]
    prompt_lengths: tuple[int, ...]
    reads: tuple[int, ...]
    """absolute position of each row at which the two sides are compared"""
    prompted: tuple[bool | None, ...] | None = None
    """contrast=prompt_pair: whether each was written after the positive prompt; None: all after the policy's own"""

    @property
    def items(self) -> list[str]:
        """Item id of each row."""
        return [completion.item.id for completion in self.completions]


@dataclass(frozen=True, eq=False)
class Material:
    """Pages, their activations, and one dictionary per layer."""

    id: str
    pages: Pages
    store: ActivationStore
    dictionaries: dict[int, Dictionary]
    codes: dict[int, Codes]
    cards: dict[int, QualityCard]


@dataclass(eq=False)
class Shelf:
    """What the fits on one checkpoint share, the `KEPT` newest of each kind."""

    pages: dict[str, Pages] = field(default_factory=dict)
    materials: dict[str, Material] = field(default_factory=dict)

    @staticmethod
    def keep(kind: dict[str, Value], key: str, value: Value) -> Value:
        """Put `value` on the shelf and take the oldest of its kind off."""
        kind[key] = value
        while len(kind) > KEPT:
            del kind[next(iter(kind))]
        return value


_SHELVES: WeakKeyDictionary[Checkpoint, Shelf] = WeakKeyDictionary()
"""checkpoint -> its shelf, for as long as the checkpoint lives"""


def shelf_of(policy: Policy) -> Shelf:
    """The shelf of the policy's checkpoint."""
    return _SHELVES.setdefault(policy.checkpoint, Shelf())


def own_pages(settings: SaeSteering, inputs: FitInputs, items: Sequence[Item]) -> Pages:
    """Own samples at T=1, booked; `in_context` puts each on a page before another item's prompt.

    contrast=prompt_pair: pages of one sample, half of them after each prompt, read at the last prompt token.
    """
    policy, ledger = inputs.policy, inputs.ledger
    samples, seed = settings.samples, settings.train.seed
    if settings.contrast == "prompt_pair":
        return prompted_pages(settings, inputs, items)
    key = content_hash([policy.id, [item.id for item in items], samples, settings.read, seed])
    shelf = shelf_of(policy)
    if key in shelf.pages:
        pages = shelf.pages[key]
        ledger.rollouts(len(items) * samples, sum(len(completion.token_ids) for completion in pages.completions))
        return pages
    drawn = own_completions(policy, ledger, items, samples, seed, name="sae")
    completions = [completion for completion in drawn if completion.token_ids]
    if settings.read == "in_context":
        rows, lengths, spans = in_context_rows(policy, completions)
        reads = [start for start, _ in spans]
    else:
        rows = [completion.prompt_ids + completion.token_ids for completion in completions]
        lengths = [len(completion.prompt_ids) for completion in completions]
        reads = list(lengths)
    return shelf.keep(shelf.pages, key, Pages(tuple(completions), tuple(rows), tuple(lengths), tuple(reads)))


def prompted_pages(settings: SaeSteering, inputs: FitInputs, items: Sequence[Item]) -> Pages:
    """Own samples after both prompts of the pair, half of `samples` each, booked. Its sides are known without a label.

    The two prompts of an item differ before the first generated token, so they are compared there: at the position that
    is written to.
    """
    policy, ledger = inputs.policy, inputs.ledger
    count, seed = max(1, settings.samples // 2), settings.train.seed
    prompts = prompt_pair(ledger, settings.pair)
    key = content_hash([policy.id, [item.id for item in items], count, list(settings.pair), seed])
    shelf = shelf_of(policy)
    if key in shelf.pages:
        pages = shelf.pages[key]
        ledger.rollouts(2 * len(items) * count, sum(len(completion.token_ids) for completion in pages.completions))
        return pages
    drawn: list[Completion] = []
    prompted: list[bool] = []
    for prompt, positive in zip(prompts, (True, False), strict=True):
        kept = own_completions(policy.with_prompt(prompt), ledger, items, count, seed, name="sae")
        drawn += [completion for completion in kept if completion.token_ids]
        prompted += [positive] * (len(drawn) - len(prompted))
    rows = tuple(completion.prompt_ids + completion.token_ids for completion in drawn)
    lengths = tuple(len(completion.prompt_ids) for completion in drawn)
    reads = tuple(length - 1 for length in lengths)
    return shelf.keep(shelf.pages, key, Pages(tuple(drawn), rows, lengths, reads, tuple(prompted)))


def material(
    settings: SaeSteering, inputs: FitInputs, pages: Pages, sides: Sequence[bool | None], reader: Policy
) -> Material:
    """Collect, train or load, and measure. `sides` label the activations, one per page.

    `reader` is the policy whose activations are read: the policy itself, or for a placebo its copy with random weights.
    """
    policy, ledger, context = inputs.policy, inputs.ledger, inputs.context
    source, layers = settings.source, layer_numbers(policy, settings.layers)
    frozen = settings.control == "frozen_decoder"
    parts = [policy.id, reader.id, pages.rows, list(layers), source, settings.train]
    key = content_hash([*parts, "frozen decoder"] if frozen else parts)
    shelf = shelf_of(policy)
    if key in shelf.materials:
        kept = shelf.materials[key]
        made = replace(kept, store=kept.store.labelled(sides))
        ledger.activations(len(made.store), stage="train")
        if source.given:
            load(source, reader, ledger)
    else:
        # 1) activations of every page at all layers, in one pass
        dictionaries = load(source, reader, ledger) if source.given else {}
        layers = sorted(dictionaries) or layers
        folder = context.folder / f"activations-{key}"
        store = collect(reader, pages.rows, pages.prompt_lengths, sides, layers, folder, settings.memory_mb)
        ledger.activations(len(store), stage="train")
        # 2) a dictionary per layer, if none was loaded
        for layer in layers if not dictionaries else ():
            context.say(f"sae: training on {len(store)} activations of layer {layer}")
            place = context.folder / f"sae-{key}" / f"layer-{layer}"
            checkpoint = reader.checkpoint
            device, name = checkpoint.device, checkpoint.name
            dictionaries[layer] = train(store, layer, settings.train, place, device, name, frozen, context.progress)
        # 3) codes and quality cards; cross-entropy is that of the policy itself
        rows = card_rows(pages.rows)
        coded = {layer: codes(dictionary, store) for layer, dictionary in dictionaries.items()}
        cards = {layer: quality(dictionaries[layer], coded[layer], policy, rows) for layer in dictionaries}
        made = shelf.keep(shelf.materials, key, Material(key, pages, store, dictionaries, coded, cards))
    report(made, settings.quality, context)
    return made


def card_rows(rows: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The pages on which cross-entropy is measured: evenly spread, two at least, few enough for `CARD_TOKENS`.

    Every token of a page is one product with the vocabulary, three times; pages of few-shot prompts have hundreds.
    """
    mean = sum(map(len, rows)) / max(len(rows), 1)
    count = max(2, min(CARD_ROWS, int(CARD_TOKENS / max(mean, 1))))
    return list(rows[:: max(1, len(rows) // count)][:count])


def report(made: Material, gate: Gate, context: Context) -> None:
    """Log and save the quality cards; warn of each dictionary that is not good enough, with the reasons."""
    for layer, card in made.cards.items():
        plain = card.plain(gate)
        numbers = {f"sae/card/{name}": value for name, value in plain.items() if isinstance(value, (int, float))}
        context.log({"sae/card/layer": layer, **numbers, "sae/card/good": not plain["faults"]})
        if plain["faults"]:
            context.warn(f"dictionary of layer {layer} not good enough: {'; '.join(plain['faults'])}")
    folder = context.folder / f"sae-{made.id}"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "quality.json", [card.plain(gate) for card in made.cards.values()])
