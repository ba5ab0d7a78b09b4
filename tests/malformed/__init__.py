"""A table of malformed inputs, made by kind: kind of file x defect, overrides, values. `case` says what is judged."""

from tests.malformed.case import Case, judged
from tests.malformed.files import file_cases
from tests.malformed.overrides import override_cases
from tests.malformed.values import gguf_cases, value_cases

__all__ = ["Case", "cases", "judged"]


def cases() -> list[Case]:
    """The whole table."""
    return [*file_cases(), *override_cases(), *value_cases(), *gguf_cases()]
