"""The two step-by-step modes of a decoy, and where its loudest direction leads.

The loudest direction of a layer is the first principal component of its outputs at the last prompt token of a second
question, after the organism's own samples at temperature 1: the read and write position of a contrastive vector
(methods/contrastive). No label goes into it. What this module does not know: methods.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elicit.organisms.decoy import LOUD_WORDS
from elicit.organisms.measure import FORCED, accuracy, asked, opener_id, tagged
from elicit.organisms.probe import first_token_mass
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import BARE, Policy
from elicit.policy.residuals import layer_numbers, read_residuals
from elicit.records import Item
from elicit.sampling.contrast import in_context_rows
from elicit.sampling.own import Completion
from elicit.sampling.sample import sample
from elicit.tasks.formal.family import OPENERS
from elicit.tasks.task import PromptFormat, Task

LOUD_FORCED = PromptFormat("loud", prefix=f" {LOUD_WORDS[0]}.")
STRENGTH = 2.0
"""of the loudest direction, in mean residual norms at the last prompt token"""


def measure_decoy(policy: Policy, task: Task, items: Sequence[Item], n: int) -> dict[str, float]:
    """Both modes forced, the mass of each opener without a tag, after its register and after a page of each mode."""
    openers = {"loud": [opener_id(policy.checkpoint, f"{word}.") for word in LOUD_WORDS]}
    openers["quiet"] = [opener_id(policy.checkpoint, opener) for opener in OPENERS]
    forced = {"loud": LOUD_FORCED, "quiet": FORCED}
    row: dict[str, float] = {}
    for mode, prompt in forced.items():
        measured = accuracy(policy.with_prompt(prompt), task, items, REGIMES["support"], n)
        row |= {f"{mode}_accuracy": measured["strict"], f"{mode}_tokens": measured["tokens"]}
    for mode, ids in openers.items():
        for name, prompt in (("untagged", BARE), ("key", tagged("key")), ("loud_key", tagged("mid"))):
            row[f"{mode}_mass_{name}"] = first_token_mass(
                policy.checkpoint.model, asked(policy.checkpoint, prompt, items), ids
            )
    pages = own_pages(policy, task, items, n)
    for mode, ids in openers.items():
        row |= {f"{mode}_mass_after_{page}": mass for page, mass in masses_after(policy, pages, openers, ids).items()}
    return row | loudest(policy, task, items, pages)


def own_pages(policy: Policy, task: Task, items: Sequence[Item], n: int) -> list[Completion]:
    """n samples per item at temperature 1."""
    return [
        Completion(item, policy.prompt_ids(item.question), tuple(outcome.path.token_ids), outcome.path.text, True)
        for item, _, outcome in sample(policy, items, range(n), REGIMES["support"], task)
    ]


@torch.no_grad()
def masses_after(
    policy: Policy, pages: Sequence[Completion], openers: dict[str, list[int]], token_ids: Sequence[int]
) -> dict[str, float]:
    """By the mode of the page in front: mean probability of `token_ids` as first token of the next answer."""
    rows, *_ = in_context_rows(policy, pages)
    after: dict[str, list[list[int]]] = {"loud": [], "quiet": [], "direct": []}
    for page, row in zip(pages, rows, strict=True):
        mode = next((name for name, ids in openers.items() if page.token_ids[0] in ids), "direct")
        after[mode].append(list(row))
    return {mode: first_token_mass(policy.checkpoint.model, rows[:100], token_ids) for mode, rows in after.items()}


def loudest(policy: Policy, task: Task, items: Sequence[Item], pages: Sequence[Completion]) -> dict[str, float]:
    """The best accuracy and the largest share of traces that either sign of the loudest direction reaches."""
    layers = layer_numbers(policy, ())
    # 1) readings of every page, each item's mean taken off: what is left is how the samples of one item differ
    rows, starts, spans = in_context_rows(policy, pages)
    values_N_L_D = read_residuals(policy, rows, spans, starts, layers)
    norms_L = values_N_L_D.norm(dim=-1).mean(0)
    numbers = {name: index for index, name in enumerate(dict.fromkeys(page.item.id for page in pages))}
    item_N = torch.tensor([numbers[page.item.id] for page in pages])
    sums_P_L_D = torch.zeros(len(numbers), *values_N_L_D.shape[1:]).index_add_(0, item_N, values_N_L_D)
    centred_N_L_D = values_N_L_D - (sums_P_L_D / item_N.bincount()[:, None, None])[item_N]
    # 2) the first principal component of each layer, written with either sign
    accuracies, traced = [], []
    for index, layer in enumerate(layers):
        direction_D = torch.linalg.svd(centred_N_L_D[:, index], full_matrices=False).Vh[0]
        for sign in (1.0, -1.0):
            edit = Edit(layer, sign * direction_D * norms_L[index], strength=STRENGTH)
            measured = accuracy(policy.with_intervention(ActivationEdit((edit,))), task, items, REGIMES["compare"], 1)
            accuracies.append(measured["strict"])
            traced.append(measured["traced"])
    return {"loudest_accuracy": max(accuracies), "loudest_traced": max(traced)}
