"""What eval.annotate adds to an entry: samples at T=1 of some items, scored token by token under the base.

    entry, policy --sample in regime support--> samples --teacher-forced pass--> annotations, Entry.at_one

KL and likelihood are expectations over a policy's own draws at T=1, the regime of the comparison is another one. A
strategy draws by its own rule in any regime, so its samples at hand are annotated. Sampled and annotated is a part:
`annotate_limit` items, `annotate_n` samples each. Resumable like every stage; knows no metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from elicit.files import content_hash

if TYPE_CHECKING:
    from elicit.bench import Bench
    from elicit.evaluate.entry import Entry
    from elicit.policy.policy import Policy
    from elicit.records import Item


def annotated(bench: Bench, entry: Entry, policy: Policy) -> Entry:
    """The entry, annotated where the plan says so."""
    from elicit.evaluate.annotate import annotate
    from elicit.evaluate.generate import generate
    from elicit.policy.decoding import REGIMES

    plan, at_one = bench.plan, None
    if not plan.annotate:
        return entry
    items = some(bench.items, plan.annotate_limit)
    with bench.console.progress(f"{entry.name}: KL and likelihood") as progress:
        if policy.strategy is None and plan.regime != "support":
            at_one = generate(
                policy, bench.task, items, REGIMES["support"], plan.annotate_n, bench.store, plan.max_new_tokens
            )
        annotate(policy, bench.bare(), items, at_one or entry.samples, progress=progress, n=plan.annotate_n)
    return replace(entry, at_one=at_one)


def some(items: Sequence[Item], limit: int) -> list[Item]:
    """The same random part of these items for everybody, in their order."""
    chosen = {item.id for item in sorted(items, key=lambda item: content_hash(["annotate", item.id]))[:limit]}
    return [item for item in items if item.id in chosen]
