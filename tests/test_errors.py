"""Laws of the checks that settings make of themselves: every fault at once, with its value and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from elicit.errors import ConfigError, checked


@dataclass(frozen=True)
class Sized:
    items: int = 1
    curve: int = 0
    share: float = 0.5
    limit: int | None = 9
    keep: str = "last"
    rate: float | None = 0.1

    def __post_init__(self) -> None:
        numbers = {"items": 1, "curve": 0, "share": 0.1, "limit": 1}
        checked(self, at_least=numbers, above={"rate": 0}, one_of={"keep": ("last", "best")}, label="sized")


def test_the_smallest_allowed_values_pass() -> None:
    assert Sized(items=1, curve=0, share=0.1, limit=1, keep="best", rate=1e-9) and Sized(limit=None, rate=None)


def test_every_fault_is_named_at_once_with_its_value() -> None:
    with pytest.raises(ConfigError) as fault:
        Sized(items=0, curve=-1, share=0.0, limit=0, keep="bst", rate=0.0)
    assert str(fault.value) == (
        "sized: items=0: 1 or more; curve=-1: 0 or more; share=0.0: 0.1 or more; limit=0: null, or 1 or more; "
        "rate=0.0: must be above 0 or null; keep='bst': did you mean best?"
    )


def test_a_number_that_is_none_of_all_numbers_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="share=nan"):
        Sized(share=float("nan"))
