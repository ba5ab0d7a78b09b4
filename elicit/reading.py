"""Reading text, JSON, JSONL and YAML that somebody else may have written: one reader per kind, one error class.

    read_text(path)             UTF-8, with or without a byte order mark
    read_json(path)             an object (or a list, if asked for)
    read_jsonl(path)            one object per line
    read_yaml(path)             a mapping of plain values
    read_record(Point, path)    a JSON object as a dataclass, all faults at once

Refused with a DataError that names the file, the fault and the remedy: bytes that are not UTF-8, NUL, NaN and infinite
numbers, numbers of thousands of digits, lone surrogates, a key that occurs twice, nesting beyond `MAX_DEPTH`, a wrong
type at the top, tags of Python, and aliases that multiply a file (the "YAML bomb"). A key that an object lacks is a
DataError, too, when it is asked for (`JsonObject`). Knows nothing about what the files mean.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints

from elicit.errors import ConfigError, DataError, MissingKey, near, system_fault

T = TypeVar("T")

MAX_DEPTH = 64
"""nesting of objects and lists: our own files have at most 12 levels"""
MAX_YAML_NODES = 200_000
"""values of a YAML file after its aliases are written out"""
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_TYPES = {dict: "an object {...}", list: "a list [...]", object: "any value"}


_EATEN = re.compile(r"[\b\f]|\t(?=imes\b|ext\b|heta\b|frac\b|o\b)|\r(?=ight\b|ho\b|angle\b)")


class JsonObject(dict[str, Any]):
    """An object of a JSON file that names the file if a key is missing."""

    place = "the file"

    def __missing__(self, key: str) -> NoReturn:
        raise MissingKey(f"{self.place}: no {key!r}; {near(str(key), self) if self else 'it is empty'}; was it edited?")

    def pop(self, key: str, *default: Any) -> Any:
        """As of a dict; a missing key without a default is named with its file."""
        return super().pop(key, *default) if default or key in self else self[key]


class _Fault(ValueError):
    """A value that JSON allows and this project does not."""


def eaten_backslash(text: str) -> str | None:
    """The clause of an error message if JSON took the backslash of a LaTeX command as that of a control character.

    In JSON "\\frac" begins with a form feed, and "\\times" with a tab; the file should have two backslashes.
    """
    if not (hit := _EATEN.search(text)):
        return None
    written = {"\b": "b", "\f": "f", "\t": "t", "\r": "r"}[hit.group()]
    return (
        f"has the control character {hit.group()!r} at position {hit.start()}, which JSON reads for \\{written}; write "
        f"two backslashes for a LaTeX command (\\\\{written}...)"
    )


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, without its byte order mark. Raises DataError that names the file and the byte."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as fault:
        raise system_fault(fault, path) or DataError(f"{path}: can't be read ({fault.strerror})") from None
    except ValueError:
        raise DataError(f"{str(path)!r}: a path can't hold a NUL character") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise DataError(
            f"{path}: byte {fault.start:,} is not UTF-8; save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 OLD > NEW)"
        ) from None
    if (at := text.find("\0")) >= 0:
        raise DataError(f"{path}: a NUL character at position {at:,}; it is no text, or it was cut: write it again")
    return text


def read_json(path: Path | str, kind: type = dict) -> Any:
    """The value of a JSON file, of type `kind` (dict, list, or object for any). Raises DataError."""
    return parse_json(read_text(path), str(path), kind)


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a JSONL file. Raises DataError with the line number of a broken row."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, parse_json(line, f"{path}, line {number}")


def parse_json(text: str, place: str, kind: type = dict) -> Any:
    """The value of a JSON text; `place` begins every message. Raises DataError."""
    made = functools.partial(_object, place)
    try:
        value = json.loads(text, object_pairs_hook=made, parse_constant=_refused, parse_float=_finite, parse_int=_whole)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
    except json.JSONDecodeError as fault:
        at = f"line {fault.lineno}: " if "\n" in text else ""
        raise DataError(f"{place}: not JSON ({at}{fault.msg}); half-written? write it again or delete it") from None
    except UnicodeEncodeError:
        raise DataError(f"{place}: half a character (a lone surrogate \\ud800-\\udfff); write it as UTF-8") from None
    except RecursionError:
        raise DataError(f"{place}: nested more than {MAX_DEPTH} levels deep; flatten it") from None
    except _Fault as fault:
        raise DataError(f"{place}: {fault}") from None
    if kind is not object and not isinstance(value, kind):
        raise DataError(f"{place}: expected {_TYPES[kind]}, got {_named(value)}; write it again or delete it")
    return value


def read_record(cls: type[T], path: Path | str) -> T:
    """A JSON file as a dataclass. Raises DataError that names every fault."""
    return record(cls, read_json(path), path)


def record(cls: type[T], content: Mapping[str, Any], place: Path | str) -> T:
    """A JSON object as a dataclass, types checked. Raises DataError that names every fault."""
    from elicit.config.build import Builder

    builder = Builder(prefixes=(), exact=True)
    try:
        value = builder.instance(cls, content, cls.__name__)
        builder.raise_faults()
    except ConfigError as fault:
        raise DataError(f"{place}: {str(fault).partition(chr(10))[2] or fault}; was it edited?") from None
    return value


def check_types(fields: type, content: Mapping[str, Any], place: Path | str) -> None:
    """Check the values of a JSON object against a TypedDict. Raises DataError that names every fault."""
    from elicit.config.build import Builder

    builder = Builder(prefixes=(), exact=True)
    for key, hint in get_type_hints(fields).items():
        if key in content:
            builder.value(content[key], hint, key)
    if builder.faults:
        raise DataError(f"{place}: {'; '.join(builder.faults)}; was it edited?")


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping of a YAML file; an empty file is an empty mapping. Raises DataError."""
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, place: str) -> dict[str, Any]:
    """The mapping of a YAML text; `place` begins every message. Raises DataError."""
    import yaml

    try:
        loader = _yaml_loader()(text)  # refuses characters that YAML does not allow
    except yaml.YAMLError as fault:
        raise DataError(f"{place}: {str(fault).splitlines()[0]}; remove it, or quote its code") from None
    try:
        node = loader.get_single_node()
        _check_aliases(node)
        value = loader.construct_document(node) if node is not None else {}
        _check_plain(value)
    except _Fault as fault:
        raise DataError(f"{place}: {fault}") from None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
        raise DataError(
            f"{place}: not YAML ({at}{problem}); values are text, numbers, lists and mappings; quote other text"
        ) from None
    except (ValueError, OverflowError) as fault:  # e.g. a date of month 13
        raise DataError(f"{place}: a value that can't be read ({fault}); quote it if it is text") from None
    except RecursionError:
        raise DataError(f"{place}: nested more than {MAX_DEPTH} levels deep; flatten it") from None
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a mapping `key: value`, got {_named(value)}")
    return value


def yaml_text(value: Mapping[str, Any]) -> str:
    """A mapping as YAML that `parse_yaml` reads back; characters as they are, but line ends of Unicode as codes.

    PyYAML writes U+0085, U+2028 and U+2029 unescaped if it may write Unicode, and reads them as blanks.
    """
    import yaml

    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
    if any(sign in text for sign in "\x85\u2028\u2029"):
        text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=False)
    return text


@functools.cache
def _yaml_loader() -> Any:
    """The safe loader with a refusal of keys that occur twice; made on first use, since yaml is slow to import."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            _no_repeats(keys, f"line {node.start_mark.line + 1}: ")
            return super().construct_mapping(node, deep)

    return Loader


def _check_aliases(root: Any) -> None:
    """Refuse a document whose aliases multiply, or contain themselves, before anything of it is built."""
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if node is None or isinstance(node.value, str):
            return 1
        if depth > MAX_DEPTH:
            raise _Fault(f"nested more than {MAX_DEPTH} levels deep, or an alias that contains itself; flatten it")
        if id(node) not in sizes:
            parts = (part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,)))
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in parts)
        return sizes[id(node)]

    if size(root, 0) > MAX_YAML_NODES:
        raise _Fault(f"its aliases multiply to more than {MAX_YAML_NODES:,} values; write the values out")


def _check_plain(value: Any) -> None:
    """Refuse numbers that are none, half characters and keys that are no text or number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise _Fault(f"{value} is no number that can be used; write a finite number, or null")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Fault("half a character (a lone surrogate); write it as UTF-8") from None
    for part in (
        [*value.values(), *value] if isinstance(value, dict) else value if isinstance(value, list | set) else ()
    ):
        _check_plain(part)


def _object(place: str, pairs: list[tuple[str, Any]]) -> JsonObject:
    if len(made := JsonObject(pairs)) < len(pairs):
        _no_repeats([key for key, _ in pairs])
    made.place = place
    return made


def _no_repeats(keys: Iterable[str], at: str = "") -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise _Fault(f"{at}the key {key!r} occurs twice; remove one of the two")
        seen.add(key)


def _refused(constant: str) -> NoReturn:
    raise _Fault(f"{constant} is no number that can be used; write a finite number, or null")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refused(digits)


def _whole(digits: str) -> int:
    if len(digits) > 1000:
        raise _Fault(f"a number of {len(digits):,} digits ({digits[:12]}...); at most 1,000 are read")
    return int(digits)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1
        if depth > MAX_DEPTH:
            raise _Fault(f"nested more than {MAX_DEPTH} levels deep; flatten it")


def _named(value: Any) -> str:
    names = {list: "a list", dict: "a mapping", str: "text", type(None): "nothing (null)", bool: "true or false"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
