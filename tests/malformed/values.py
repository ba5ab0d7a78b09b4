"""Values in files that are well formed, and bytes that changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.malformed import files
from tests.malformed.case import Case
from tests.malformed.files import file_case


def _label_case(label: str) -> Case:
    def try_it(folder: Path) -> Any:
        from elicit.tasks.natural.jsonl import Jsonl

        return Jsonl(path="x.jsonl", label=label)

    return Case("names", f"label={label[:40]!r}", try_it, "label")


def value_cases() -> Iterator[Case]:
    """Values in files that are well formed, and bytes that changed."""
    for label in ("../../x", "/x", "", ".", "a/b", "x" * 300, "a\0"):
        yield _label_case(label)
    rows = {
        "one question, two answers": [{"question": "q", "answer": "1"}, {"question": "q", "answer": "2"}],
        "gold NaN as text": [{"question": "q", "answer": "NaN"}],
        "gold -Infinity": [{"question": "q", "answer": "-Infinity"}],
        "cluster an object": [{"question": "q", "answer": "1", "cluster": {"a": 1}}],
        "cluster a list": [{"question": "q", "answer": "1", "cluster": [1]}],
        "cluster true": [{"question": "q", "answer": "1", "cluster": True}],
        "split unknown": [{"question": "q", "answer": "1", "split": "tset"}],
        "split a list": [{"question": "q", "answer": "1", "split": ["test"]}],
        "question blank": [{"question": "  ", "answer": "1"}],
        "answer blank": [{"question": "q", "answer": " "}],
        "answer true": [{"question": "q", "answer": True}],
        "no answer": [{"question": "q"}],
        "no question": [{"problem": "q", "answer": "1"}],
        **{
            f"answer {value!r}": [{"question": "q", "answer": value}]
            for value in ("\frac{1}{2}", "\boxed{1}", "3 \times 4", "\text{a}", "\right)")
        },
        "question with an eaten backslash": [{"question": "Simplify \frac{2}{4}.", "answer": "1"}],
    }
    for name, content in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in content).encode()
        yield file_case("values", "questions.jsonl", name, "questions.jsonl", text, files.read_questions)
    claim = files.MAPPINGS["claim.yaml"][1]
    for old, new in (
        ("tolerance: 0.05", "tolerance: -1"),
        ("tolerance: 0.05", "tolerance: .nan"),
        ("0.3", "'0.3'"),
        ("statement: s", "statement: 7"),
        ("policy: p", "policy: [p]"),
        ("same: {model: true}", "same: [model]"),
        ("same: {model: true}", "same: {model: 3}"),
        ("quantity: gain", "quantity: gian"),
        ("quantity: gain", "quantity: [gain]"),
        ("source: s\n", ""),
    ):
        text = claim.replace(old, new).encode()
        yield file_case("values", "claim.yaml", new or f"no {old.strip()}", "claim.yaml", text, files.read_claim)
    for name in ("flipped", "cut", "empty", "text", "header only"):
        yield Case("bytes", f"shard: {name}", lambda folder, name=name: _shard(folder, name), "shard-x.parquet")
    for name, header in (
        ("no JSON", b"{"),
        ("a list", b"[]"),
        ("no offsets", b'{"a": {}}'),
        ("too long", b'{"a'),
        ("offsets of text", b'{"a": {"data_offsets": ["x", "y"]}}'),
    ):
        yield Case("bytes", f"safetensors: {name}", lambda folder, h=header: _header(folder, h), "model.safetensors")
    for name in ("a NaN weight", "cut", "text"):
        yield Case("bytes", f"tensors: {name}", lambda folder, name=name: _weights(folder, name), "tensors.safetensors")


def _shard(folder: Path, defect: str) -> Any:
    from elicit.files import read_rows, write_rows

    file = folder / "shard-x.parquet"
    write_rows(file, [{"item": f"{i:06d}", "j": i, "strict": i % 3 == 0} for i in range(4000)])
    content = bytearray(file.read_bytes())
    if defect == "flipped":  # in the packed booleans of the last data page
        import pyarrow.parquet as pq

        chunk = pq.ParquetFile(file).metadata.row_group(0).column(2)
        content[chunk.data_page_offset + chunk.total_compressed_size - 40] ^= 1
    file.write_bytes(
        {
            "flipped": content,
            "cut": content[: len(content) // 2],
            "empty": b"",
            "text": b"a,b\n1,2\n",
            "header only": b"PAR1",
        }[defect]
    )
    return read_rows([file])


def _header(folder: Path, header: bytes) -> Any:
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    length = len(header) + (10**9 if header == b'{"a' else 0)
    (folder / "model.safetensors").write_bytes(length.to_bytes(8, "little") + header)
    return files.read_checkpoint(folder)


def _weights(folder: Path, defect: str) -> Any:
    import torch
    from safetensors.torch import save_file

    file = folder / "tensors.safetensors"
    save_file({"a": torch.tensor([1.0, float("nan") if defect == "a NaN weight" else 1.0])}, file)
    if defect != "a NaN weight":
        file.write_bytes(file.read_bytes()[:20] if defect == "cut" else b"abc")
    (folder / "spec.json").write_text(json.dumps({"kind": "weights", "id": "x", "fields": {"lora": {}}}))
    return files.read_spec(folder)


def gguf_cases() -> Iterator[Case]:
    """Defects of the header of a GGUF file: magic, version, counts, lengths, types, nesting, alignment, text."""

    def text(value: bytes) -> bytes:
        return len(value).to_bytes(8, "little") + value

    def header(body: bytes, keys: int = 1, tensors: int = 0, version: int = 3, magic: bytes = b"GGUF") -> bytes:
        return magic + version.to_bytes(4, "little") + struct.pack("<QQ", tensors, keys) + body

    def key(kind: int, value: bytes, name: bytes = b"a.b") -> bytes:
        return text(name) + kind.to_bytes(4, "little") + value

    nested = struct.pack("<IQ", 9, 1)
    tensor = text(b"x") + struct.pack("<IQIQ", 1, 64, 0, 0)
    defects = {
        "empty": b"",
        "text": b"abc",
        "another magic": header(b"", 0, magic=b"GGML"),
        "version 1": header(b"", 0, version=1),
        "version 9": header(b"", 0, version=9),
        "cut in the counts": header(b"")[:12],
        "more keys than bytes": header(key(4, b"\1\0\0\0"), keys=2**60),
        "more tensors than bytes": header(b"", 0, tensors=2**60),
        "a key of 2^60 bytes": header(struct.pack("<Q", 2**60) + b"a"),
        "a key that is no UTF-8": header(key(4, b"\1\0\0\0", b"\xff\xfe")),
        "a text that is no UTF-8": header(key(8, text(b"\xff\xfe"))),
        "an unknown type": header(key(99, b"\0" * 8)),
        "an array of an unknown type": header(key(9, struct.pack("<IQ", 99, 1))),
        "an array of 2^60 numbers": header(key(9, struct.pack("<IQ", 4, 2**60))),
        "an array of 2^60 texts": header(key(9, struct.pack("<IQ", 8, 2**60))),
        "arrays nested 100,000 deep": header(key(9, nested * 100_000 + struct.pack("<IQ", 4, 0))),
        "alignment 0": header(key(4, struct.pack("<I", 0), b"general.alignment")),
        "alignment as text": header(key(8, text(b"wide"), b"general.alignment")),
        "alignment as a list": header(key(9, struct.pack("<IQI", 4, 1, 32), b"general.alignment")),
        "a tensor that is cut": header(tensor, 0, 1),
        "a tensor of an unknown type": header(text(b"x") + struct.pack("<IQIQ", 1, 64, 999, 0), 0, 1),
        "a tensor of 2^30 dimensions": header(text(b"x") + struct.pack("<I", 2**30), 0, 1),
        "a tensor of 2^62 values": header(text(b"x") + struct.pack("<IQIQ", 1, 2**62, 0, 0), 0, 1),
        "a tensor beyond the file": header(text(b"x") + struct.pack("<IQIQ", 1, 1, 0, 2**62), 0, 1),
    }
    for name, content in defects.items():
        yield file_case("GGUF headers", "model.gguf", name, "model.gguf", content, read_gguf)
    yield Case("GGUF headers", "model.gguf: no file", read_gguf, "model.gguf")
    yield Case("GGUF headers", "model.gguf: a folder", _gguf_folder, "model.gguf")


def _gguf_folder(folder: Path) -> Any:
    (folder / "model.gguf").mkdir()
    return read_gguf(folder)


def read_gguf(folder: Path) -> Any:
    from elicit.policy.gguf.header import read_header

    return read_header(folder / "model.gguf")
