"""A table of malformed inputs, made by kind: kind of file x defect, overrides, values. `case` says what is judged."""

from tests.malformed.case import Case, judged
from tests.malformed.exchange import exchange_cases
from tests.malformed.files import file_cases
from tests.malformed.overrides import override_cases
from tests.malformed.values import gguf_cases, value_cases
from tests.malformed.words import study_cases, word_cases

__all__ = ["Case", "cases", "judged"]


def cases() -> list[Case]:
    """The whole table."""
    return [
        *file_cases(),
        *override_cases(),
        *value_cases(),
        *gguf_cases(),
        *exchange_cases(),
        *word_cases(),
        *study_cases(),
    ]
