"""comparison.json: written and read as `Comparison`. Knows the file's versions, not its numbers' meaning.

    {"schema": 2, "columns": [...], "lines": [...], ...}       the fields of `Comparison`, nested as the dataclasses are

Files of schema 1 are brought up to date on reading (`version1`). Raises DataError with the place and the remedy for
anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elicit.config.build import Builder
from elicit.errors import ConfigError, DataError
from elicit.files import read_json, write_json
from elicit.results.comparison import ROLES, Comparison
from elicit.results.version1 import upgraded

SCHEMA = 2


def content_of(comparison: Comparison) -> dict[str, Any]:
    """The content of the file: JSON-able, and read back by `read_comparison`."""
    return {"schema": SCHEMA, **asdict(comparison)}


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the file, whole or not at all. Fields at their defaults are written too: the file explains itself."""
    write_json(Path(path), content_of(comparison))


def read_comparison(source: Path | str | Mapping[str, Any]) -> Comparison:
    """The comparison in a file, or in its parsed content. Raises DataError if it is none, or of a newer version."""
    content = source if isinstance(source, Mapping) else read_json(Path(source))
    where = "the comparison" if isinstance(source, Mapping) else str(source)
    schema = content.get("schema") if isinstance(content, Mapping) else type(content).__name__
    if schema not in (1, SCHEMA):
        raise DataError(f"{where}: schema {schema!r}, 1 or {SCHEMA} can be read; make it again with `elicit compare`")
    if schema == 1:
        comparison = upgraded(content, where)
    else:
        comparison = _parsed({key: value for key, value in content.items() if key != "schema"}, where)
    if not comparison.lines:
        raise DataError(f"{where}: no policies; make it again with `elicit compare`")
    for number, line in enumerate(comparison.lines):
        if line.role not in ROLES:
            raise DataError(f"{where}: policy {number} has role {line.role!r}; known: {', '.join(ROLES)}")
    return comparison


def _parsed(content: Mapping[str, Any], where: str) -> Comparison:
    """The content as dataclasses; all faults at once."""
    builder = Builder(prefixes=())
    comparison = builder.instance(Comparison, content, where)
    try:
        builder.raise_faults()
    except ConfigError as fault:
        raise DataError(f"{fault}\nmake it again with `elicit compare`") from None
    assert isinstance(comparison, Comparison)
    return comparison
