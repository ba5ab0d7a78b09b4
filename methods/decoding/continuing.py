"""Going on from a path: which of its own tokens are kept when more is written behind them.

Nothing is decoded and encoded again: what is carried on are the model's own token ids, so no text surgery can change
how a text is cut into tokens. An EOS is dropped, and so are the tokens of a stop string. A token that holds the last
characters before it and only its beginning (".\\n" before "\\nQuestion:") is kept whole; one that holds all of it is
not.
"""

from __future__ import annotations

from elicit.policy.decoding import Loop, Path
from elicit.records import Finish
from elicit.tasks.task import StopRules


def own_tokens(loop: Loop, path: Path, stop: StopRules) -> tuple[int, ...]:
    """The ids of a path without what ended it."""
    if path.finish == Finish.LENGTH:
        return tuple(path.token_ids)
    length, spans = len(path.text), loop.offsets(path.token_ids)
    own = [token for token, (start, _) in zip(path.token_ids, spans, strict=True) if start < length]
    while own and any(string in loop.decode(own) for string in stop.strings):
        own.pop()
    return tuple(own)
