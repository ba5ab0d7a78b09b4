"""The split of a gain, telescoping: only the remainder is called reasoning elicitation.

    gain       m - B0, strict                              = format + prompt + budget + remainder, exactly
    format     (m - B0) strict - (m - B0) lenient          what goes when both sides are read leniently
    prompt     B1 - B0, lenient                            the best fixed prompt, without the method
    budget     B2 - B1, lenient                            that prompt, forced to the method's tokens, without it
    remainder  m - B2, lenient

Format comes off first, so the other parts are of lenient grades: an answer that a method merely learned to declare is
no gain of theirs. m is the method at its own dev-best prompt, as B1 is the base at its own. Where a rung was not
measured its part is refused and the remainder, which then holds it too, says what it stands `against`.
Parts come from joint draws, so that they are paired. Does not know policies or files.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from elicit.evaluate.statistics.resamples import Estimate, Mean, Resamples, refusal

NO_B1 = "rung B1 was not measured: sample more than the bare prompt (eval.prompts)"
NO_B2 = "rung B2 was not measured: eval=full samples it"
PARTS = ("format", "prompt", "budget", "remainder")


class Graded(NamedTuple):
    """Joint means of one policy under both gradings."""

    strict: Mean
    lenient: Mean


def split_gain(
    resamples: Resamples, method: Graded, b0: Graded, b1: Graded | None = None, b2: Graded | None = None
) -> dict[str, Any]:
    """{"gain", "format", "prompt", "budget", "remainder": estimates, "against": "B0" | "B1" | "B2"}.

    The measured parts add up to the gain. B2 without B1 is B2 without a meaning: it is left out.
    """
    rungs = [("B0", b0), *([("B1", b1)] if b1 else []), *([("B2", b2)] if b1 and b2 else [])]
    against, last = rungs[-1]
    return {
        "gain": resamples.difference(method.strict, b0.strict),
        "format": _format(resamples, method, b0),
        "prompt": resamples.difference(b1.lenient, b0.lenient) if b1 else refusal(NO_B1),
        "budget": resamples.difference(b2.lenient, b1.lenient) if b1 and b2 else refusal(NO_B2 if b1 else NO_B1),
        "remainder": resamples.difference(method.lenient, last.lenient),
        "against": against,
    }


def _format(resamples: Resamples, method: Graded, b0: Graded) -> Estimate:
    """The strict gain without the lenient one, of the same draws."""
    point = (method.strict[0] - b0.strict[0]) - (method.lenient[0] - b0.lenient[0])
    draws_B = (method.strict[1] - b0.strict[1]) - (method.lenient[1] - b0.lenient[1])
    return resamples.interval(point, draws_B)
