"""Reads that do not go through the ledger: the audit hook, and the compiled readers that it would not see."""

from elicit.watch.watch import HOOK, Sealed, announce_gold, door, installed_places, watching

__all__ = ["HOOK", "Sealed", "announce_gold", "door", "installed_places", "watching"]
