"""Reading `WORD NAME key=value ...`: names and settings apart, unknown settings refused with near matches."""

from __future__ import annotations

from collections.abc import Sequence

from elicit.errors import ConfigError, near


def split(arguments: Sequence[str], known: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """(names, settings). Raises ConfigError for a setting that is not in `known`."""
    names = [word for word in arguments if "=" not in word]
    settings = dict(word.split("=", 1) for word in arguments if "=" in word)
    unknown = [key for key in settings if key.split(".")[0] not in known]
    if unknown:
        raise ConfigError("; ".join(f"{key}: no such setting here; {near(key, known)}" for key in unknown))
    return names, settings
