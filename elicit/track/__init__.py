"""Where curves and results are logged: wandb, or nowhere. A sink: nothing is read back."""

from elicit.track.sink import NoTracker, Run, WandbTracker, has_key, reachable, resolve_mode

__all__ = ["NoTracker", "Run", "WandbTracker", "has_key", "reachable", "resolve_mode"]
