"""Configuration: hydra composes YAML, `build` makes frozen dataclasses, all faults are reported at once."""

from elicit.config.settings import ARMS, GROUPS, EvalPlan, Experiment, FitPlan, Settings, Sweep

__all__ = ["ARMS", "GROUPS", "EvalPlan", "Experiment", "FitPlan", "Settings", "Sweep"]
