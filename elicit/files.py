"""Files as the interface between stages: hashes, atomic writes, locks, Parquet shards, manifests.

What is read was perhaps edited by hand, cut by a full disk or sent by a stranger. `reading.py` has the readers of text,
JSON and YAML; a shard carries a hash of its bytes, so changed bytes are an error and not another number.

    stage folder/
      shard-<key>.parquet     a fixed set of rows, written completely, then renamed
      manifest.json           written last: if it exists, everything before it is complete

Knows nothing about what the rows mean. No torch.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elicit.errors import DataError, StageError, system_fault
from elicit.reading import parse_json, parse_yaml, read_json, read_jsonl, read_record, read_text, read_yaml, record

__all__ = [
    "check_fingerprint", "clear_stage", "content_hash", "file_hash", "fingerprint", "locked", "ordered_time",
    "parse_json", "parse_yaml", "read_json", "read_jsonl", "read_record", "read_rows", "read_table", "read_text",
    "read_yaml", "record", "remove_tree", "replacing", "seed_of", "shards", "verified", "write_json", "write_rows",
    "write_text",
]  # fmt: skip


_SEAL, _DIGEST = b"elicit.blake2b", 16


def content_hash(value: object, length: int = 16) -> str:
    """Hex hash of a JSON-able value, independent of key order; dataclasses count as their fields.

    >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()[:length]


def file_hash(path: Path) -> str:
    """Hex hash of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def seed_of(*parts: object) -> int:
    """A 63-bit seed: the hash of what it belongs to, e.g. seed_of("fit", 0, arm)."""
    return int(content_hash(list(parts), 16), 16) >> 1


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to a temporary file next to `path`, rename it to `path` on success, remove it on failure."""
    path = Path(path)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(handle).st_mode & 0o777  # as the user's umask leaves it
        os.close(handle)
        yield temporary
        os.chmod(temporary, mode)  # safetensors replaces the file by one that only its owner can read
        os.replace(temporary, path)
    except OSError as fault:
        if clear := system_fault(fault, path):
            raise clear from None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically, keys in the order given."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n")


def is_locked(file: Path, by_several: bool = False) -> bool:
    """Whether a process holds a lock on `file`: an exclusive one, with `by_several` also one that several may hold."""
    if not file.exists():
        return False
    with file.open() as handle:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if by_several else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """One process at a time in `folder`; others wait, and `say` so. The lock is released when its process ends."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / ".lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{folder}: another process works here; waiting until it ends")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ordered_time(folder: Path) -> float:
    """Epoch seconds that never run backwards in `folder`: each answer is later than those before, whatever the clock.

    A hybrid logical clock (Kulkarni et al., Logical Physical Clocks, OPODIS 2014): the last answer is kept in a file.
    """
    with locked(Path(folder)):
        file = Path(folder) / "clock.json"
        last = read_record(_Clock, file).last if file.exists() else -math.inf
        now = max(time.time(), math.nextafter(last, math.inf))
        write_json(file, _Clock(now))
    return now


@dataclasses.dataclass(frozen=True)
class _Clock:
    last: float


def write_rows(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclass rows (or dicts) as one Parquet file, atomically. Dict-valued fields become JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = [dict(row) if isinstance(row, dict) else dataclasses.asdict(row) for row in rows]
    packed = [{k: json.dumps(v, sort_keys=True) if isinstance(v, dict) else v for k, v in row.items()} for row in plain]
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(packed), temporary, compression="zstd")
        _seal(temporary)


def read_table(path: Path, columns: list[str] | None = None, **options: Any) -> Any:
    """A Parquet file as a pyarrow table. Raises DataError if it can't be read, or if its bytes were changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(verified(path), columns=columns, **options)
    except (OSError, ValueError, pa.ArrowException) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason}); delete it and resume") from None


def verified(path: Path) -> Any:
    """The bytes of a Parquet file as a pyarrow buffer. Raises DataError if they are not those that were written."""
    import pyarrow as pa

    try:
        content = Path(path).read_bytes()
    except OSError as fault:
        raise system_fault(fault, path) or fault from None
    footer = _footer(content)
    sealed = content[footer - len(_SEAL) - _DIGEST : footer]
    if sealed.startswith(_SEAL):
        written = content[: footer - len(sealed)] + content[footer:]
        if hashlib.blake2b(written, digest_size=_DIGEST).digest() != sealed[len(_SEAL) :]:
            raise DataError(f"{path}: its bytes were changed after it was written; delete it and resume")
    return pa.BufferReader(content)


def _seal(path: Path) -> None:
    """Put a hash of the file's bytes in front of its Parquet footer, a gap that every reader skips."""
    content = path.read_bytes()
    footer, digest = _footer(content), hashlib.blake2b(content, digest_size=_DIGEST).digest()
    path.write_bytes(content[:footer] + _SEAL + digest + content[footer:])


def _footer(content: bytes) -> int:
    """Position of a Parquet file's footer, which is followed by its length and 4 letters; 0 in a file without one."""
    return max(0, len(content) - 8 - int.from_bytes(content[-8:-4], "little"))


def read_rows(paths: Iterable[Path], columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Rows of Parquet files as dicts, in the order of `paths`."""
    return [row for path in paths for row in read_table(path, columns).to_pylist()]


def shards(folder: Path) -> list[Path]:
    """The finished shards of a stage folder, in name order."""
    return sorted(Path(folder).glob("shard-*.parquet"))


def fingerprint(**parts: object) -> dict[str, str]:
    """Named hashes of a stage's inputs and settings, kept separately so that an error can name what changed."""
    return {name: content_hash(value) for name, value in sorted(parts.items())}


def check_fingerprint(folder: Path, now: dict[str, str], redo: str) -> bool:
    """True if the stage in `folder` is finished with this fingerprint, False if it has to run or continue.

    Raises StageError if the folder was started with another one; it names what changed and `redo`,
    the command that starts over.
    """
    begun = Path(folder) / "fingerprint.json"
    if begun.exists():
        old = read_json(begun)
        changed = [name for name in sorted(set(old) | set(now)) if old.get(name) != now.get(name)]
        if changed:
            raise StageError(f"{folder} was made with another {', '.join(changed)}; to redo it: {redo}")
    else:
        write_json(begun, now)
    return (Path(folder) / "manifest.json").exists()


def clear_stage(folder: Path) -> None:
    """Remove the files that a stage writes, if the folder has its fingerprint, and nothing else.

    The folder's name may come from a file that a stranger wrote, so it is no permission to remove a tree.
    """
    if not (Path(folder) / "fingerprint.json").exists():
        return
    for name in ("shard-*.parquet", "manifest.json", "fingerprint.json"):
        for path in Path(folder).glob(name):
            path.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a folder tree if it exists.

    By absolute paths: `shutil.rmtree` opens names relative to a folder, which the audit hook of a fit can't resolve.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
