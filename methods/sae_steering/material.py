"""What every arm of SAE steering is made of: own samples on pages, their activations, dictionaries, quality cards.

Placebos of the same command need the very same material, so it is kept for the process under the hash of what it
depends on; taking it over is booked in the ledger like making it. Knows nothing of scores or strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from elicit.files import content_hash, write_json
from elicit.sampling.contrast import in_context_rows
from elicit.sampling.own import Completion, own_completions
from methods.sae_steering.codes import Codes, codes
from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.loading import SourceConfig, load
from methods.sae_steering.quality import Gate, QualityCard, quality
from methods.sae_steering.store import ActivationStore, collect
from methods.sae_steering.training import TrainConfig, train

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item

READS = ("in_context", "first_generated")
CARD_ROWS = 32
KEPT = 2
"""materials kept in the process"""


@dataclass(frozen=True)
class Pages:
    """Own samples as rows of tokens, and where each is read."""

    completions: tuple[Completion, ...]
    rows: tuple[tuple[int, ...], ...]
    prompt_lengths: tuple[int, ...]
    reads: tuple[int, ...]
    """absolute position of each row at which the two sides are compared"""

    @property
    def items(self) -> list[str]:
        """Item id of each row."""
        return [completion.item.id for completion in self.completions]


@dataclass(frozen=True, eq=False)
class Material:
    """Pages, their activations, and one dictionary a layer."""

    id: str
    pages: Pages
    store: ActivationStore
    dictionaries: dict[int, Dictionary]
    codes: dict[int, Codes]
    cards: dict[int, QualityCard]


_pages: dict[str, Pages] = {}
_materials: dict[str, Material] = {}


def own_pages(policy: Policy, ledger: Ledger, items: Sequence[Item], samples: int, read: str, seed: int) -> Pages:
    """Own samples at T=1, booked; `in_context` puts each on a page before another item's prompt."""
    key = content_hash([policy.id, [item.id for item in items], samples, read, seed])
    if key in _pages:
        pages = _pages[key]
        ledger.rollouts(len(items) * samples, sum(len(completion.token_ids) for completion in pages.completions))
        return pages
    drawn = own_completions(policy, ledger, items, samples, seed, name="sae")
    completions = [completion for completion in drawn if completion.token_ids]
    if read == "in_context":
        rows, lengths, spans = in_context_rows(policy, completions)
        reads = [start for start, _ in spans]
    else:
        rows = [completion.prompt_ids + completion.token_ids for completion in completions]
        lengths = [len(completion.prompt_ids) for completion in completions]
        reads = list(lengths)
    pages = Pages(tuple(completions), tuple(rows), tuple(lengths), tuple(reads))
    return _keep(_pages, key, pages)


def material(
    policy: Policy,
    reader: Policy,
    ledger: Ledger,
    context: Context,
    pages: Pages,
    sides: Sequence[bool | None],
    layers: Sequence[int],
    source: SourceConfig,
    config: TrainConfig,
    gate: Gate,
    memory_mb: int,
) -> Material:
    """Collect, train or load, and measure. `reader` is the policy whose activations are read: the policy itself, or
    for a placebo its randomly initialised twin."""
    key = content_hash([policy.id, reader.id, pages.rows, list(layers), source, config])
    if key in _materials:
        made = _materials[key]
        made = replace(made, store=made.store.labelled(sides))
        ledger.activations(len(made.store), stage="train")
        if source.given:
            load(source, reader, ledger)
    else:
        dictionaries = load(source, reader, ledger) if source.given else {}
        layers = sorted(dictionaries) or list(layers)
        folder = context.folder / f"activations-{key}"
        store = collect(reader, pages.rows, pages.prompt_lengths, sides, layers, folder, memory_mb)
        ledger.activations(len(store), stage="train")
        for layer in layers if not dictionaries else ():
            context.say(f"sae: training on {len(store)} activations of layer {layer}")
            place = context.folder / f"sae-{key}" / f"layer-{layer}"
            checkpoint = reader.checkpoint
            dictionaries[layer] = train(store, layer, config, place, checkpoint.device, checkpoint.name)
        rows = pages.rows[:: max(1, len(pages.rows) // CARD_ROWS)][:CARD_ROWS]
        found = {layer: codes(each, store) for layer, each in dictionaries.items()}
        cards = {layer: quality(each, found[layer], policy, rows) for layer, each in dictionaries.items()}
        made = _keep(_materials, key, Material(key, pages, store, dictionaries, found, cards))
    report(made, gate, context)
    return made


def report(made: Material, gate: Gate, context: Context) -> None:
    """Log and save the quality cards; say which dictionary is not good enough, and why."""
    for layer, card in made.cards.items():
        plain = card.plain(gate)
        numbers = {f"sae/card/{name}": value for name, value in plain.items() if isinstance(value, (int, float))}
        context.log({"sae/card/layer": layer, **numbers, "sae/card/good": not plain["faults"]})
        if plain["faults"]:
            context.say(f"sae: dictionary of layer {layer} not good enough: {'; '.join(plain['faults'])}")
    folder = context.folder / f"sae-{made.id}"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "quality.json", [card.plain(gate) for card in made.cards.values()])


def _keep(shelf: dict[str, Any], key: str, value: Any) -> Any:
    shelf[key] = value
    while len(shelf) > KEPT:
        del shelf[next(iter(shelf))]
    return value
