"""The log of curves and results: wandb, or none. A sink: nothing is read back."""

from elicit.track.sink import NoTracker, Run, Tracker, WandbTracker, has_key, reachable, resolve_mode

__all__ = ["NoTracker", "Run", "Tracker", "WandbTracker", "has_key", "reachable", "resolve_mode"]
