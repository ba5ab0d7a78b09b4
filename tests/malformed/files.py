"""Malformed files: every file that is read back x every defect of its kind. Each reader is the project's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.malformed.case import Case

# what is read: name of the file, its reader, and a content that the reader accepts


def read_manifest(folder: Path) -> Any:
    from elicit.experiment.run_folder import RunFolder

    return RunFolder(folder)


def read_config(folder: Path) -> Any:
    from elicit.experiment.job import job_of
    from elicit.experiment.run_folder import RunFolder

    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    return job_of(RunFolder(folder))


def read_comparison(folder: Path) -> Any:
    from elicit.results import read_comparison

    return read_comparison(folder / "comparison.json")


def read_inputs(folder: Path) -> Any:
    from elicit.evaluate.comparison.inputs import Inputs

    return Inputs.read(folder)


def read_lenses(folder: Path) -> Any:
    from elicit.report.figures.lenses import load_lenses

    return load_lenses(folder / "lenses.json")


def read_prereg(folder: Path) -> Any:
    from elicit.evaluate.comparison import prereg

    return prereg.status(folder, 1.0)


def read_claim(folder: Path) -> Any:
    from elicit.report.pages.claim import read_claim

    return read_claim(folder)


def read_notes(folder: Path) -> Any:
    from elicit.report.notes import read_or_make

    return read_or_make(folder / "notes.md", ["scorecard"])


def read_questions(folder: Path) -> Any:
    from elicit.tasks.natural.jsonl import Jsonl

    return Jsonl(path=str(folder / "questions.jsonl"), answers="number").load()


def read_grades(folder: Path) -> Any:
    from elicit.evaluate.stages.grade import grade_file
    from elicit.tasks.natural.jsonl import Jsonl

    return grade_file(folder / "outputs.jsonl", Jsonl(path="x.jsonl", answers="number"), 1)


def read_ledger(folder: Path) -> Any:
    from elicit.ledger import load_rows

    return load_rows(folder / "ledger.jsonl")


def read_checkpoint(folder: Path) -> Any:
    from elicit.policy.folder import check_folder

    return check_folder(folder, str(folder), "fetch it again, or choose another model")


def read_model_config(folder: Path) -> Any:
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return read_checkpoint(folder)


def read_model_index(folder: Path) -> Any:
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return read_checkpoint(folder)


def read_spec(folder: Path) -> Any:
    from elicit.policy.policy import load_intervention

    return load_intervention(folder)


def read_peft(folder: Path) -> Any:
    from elicit.policy.weights import WeightEdit

    return WeightEdit.from_peft(folder)


def read_samples(folder: Path) -> Any:
    from elicit.evaluate.store import SampleFolder

    return SampleFolder(folder).sets


def read_fingerprint(folder: Path) -> Any:
    from elicit.files import check_fingerprint

    return check_fingerprint(folder, {"task": "a"}, "delete the folder")


def read_timings(folder: Path) -> Any:
    from elicit.evaluate.store import SampleFolder

    (folder / "shard-x.parquet").write_bytes(b"")
    return SampleFolder(folder).timings


def read_fault(folder: Path) -> Any:
    from elicit.experiment import workers
    from elicit.experiment.run_folder import RunFolder

    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, "status": "failed"}))
    return workers.fault_of(RunFolder(folder))


MANIFEST: dict[str, Any] = {
    "status": "done",
    "role": "method",
    "name": "m",
    "method": "m",
    "parent": None,
    "twin": None,
    "arm": "a",
    "group": "g",
    "invocation": "i",
    "index": 1,
    "seed": 0,
    "argv": ["elicit"],
    "overrides": ["method=decoding"],
    "config_hash": "x",
    "items": ["a"],
    "entries": [],
}
ENTRY = {"role": "base", "name": "base", "policy": "p", "samples": "s", "grades": "g"}
ROW = {
    "method": "m",
    "stage": "train",
    "source": "s",
    "content_hash": "h",
    "licence": "-",
    "problems": 1,
    "label_bits": 1,
    "foreign_tokens": 0,
    "own_activations": 0,
    "teacher_calls": 0,
}
TIMING = {"begun": 1.0, "seconds": 1.0, "samples": 1, "tokens": 1, "items": ["a"]}
OBJECTS: dict[str, tuple[Callable[[Path], Any], dict[str, Any], tuple[str, ...]]] = {
    "manifest.json": (read_manifest, MANIFEST, ("status", "role", "name", "group", "index", "seed", "argv", "items")),
    "comparison.json": (read_comparison, {"schema": 2, "group": "g", "lines": []}, ("schema", "lines", "group")),
    "inputs.json": (
        read_inputs,
        {"schema": 1, "entries": [ENTRY], "items": ["a"], "config": {"group": "g"}},
        ("entries", "config", "items"),
    ),
    "lenses.json": (read_lenses, {"schema": 1, "lenses": {}}, ("schema",)),
    "preregistration.json": (read_prereg, {"plan": {}, "hash": "x", "frozen_at": 1.0}, ("plan", "hash")),
    "spec.json": (read_spec, {"kind": "decoding", "id": "x", "fields": {}}, ("kind", "fields")),
    "adapter_config.json": (read_peft, {"peft_type": "LORA", "lora_alpha": 1, "r": 1}, ()),
    "config.json": (read_model_config, {"model_type": "llama"}, ()),
    "model.safetensors.index.json": (read_model_index, {"weight_map": {"a": "b.safetensors"}}, ("weight_map",)),
    "manifest.json of samples": (read_samples, {"sets": {"k": {"items": ["a"], "n": 1}}}, ()),
    "fingerprint.json": (read_fingerprint, {"task": "a"}, ()),
    "timings-x.json": (read_timings, TIMING, tuple(TIMING)),
    "error.json": (read_fault, {"type": "DataError", "message": "m"}, ("type", "message")),
}
LINES: dict[str, tuple[Callable[[Path], Any], dict[str, Any], tuple[str, ...]]] = {
    "questions.jsonl": (read_questions, {"question": "1 + 1?", "answer": "2"}, ("question", "answer")),
    "outputs.jsonl": (read_grades, {"gold": "2", "output": "2", "expected": True}, ("gold", "output", "expected")),
    "ledger.jsonl": (read_ledger, ROW, tuple(ROW)),
}
MAPPINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "config.yaml": (read_config, "method: {_class_: methods.decoding.method.Decoding}\n"),
    "claim.yaml": (
        read_claim,
        "statement: s\nsource: s\npolicy: p\nquantity: gain\npublished: 0.3\ntolerance: 0.05\nsame: {model: true}\n",
    ),
}


def json_defects(valid: dict[str, Any], whole: bool) -> Iterator[tuple[str, bytes]]:
    """Defects of a JSON text; `whole`: of a file of one object, and not of one line of many."""
    text = json.dumps(valid)
    inserted = {
        "NaN": "NaN",
        "Infinity": "Infinity",
        "1e999": "1e999",
        "5001 digits": "9" * 5001,
        "lone surrogate": '"\\ud83d"',
        "nested 100,000 deep": "[" * 100_000 + "]" * 100_000,
        "nested 300 deep": "[" * 300 + "]" * 300,
        "nested objects": '{"a":' * 300 + "1" + "}" * 300,
        "single quotes": "'x'",
        "a bare word": "undefined",
        "a comment": "1 // one",
        "a trailing comma": "1,",
    }
    for name, value in inserted.items():
        yield name, (text[:-1] + f', "extra_key": {value}}}').encode()
    first = json.dumps(next(iter(valid)))
    yield "key twice", (text[:-1] + f", {first}: 1}}").encode()
    yield "cut in half", text[: len(text) // 2].encode()
    yield "not UTF-8", text.encode()[:-1] + b', "\xff\xfe": 1}'
    yield "NUL", text.encode() + b"\0" * 8
    yield "UTF-16", text.encode("utf-16")
    for name in ("null", "[]", "7", '"text"', "true"):
        yield f"top level {name}", name.encode()
    if whole:
        yield "empty", b""
        yield "blanks only", b"  \n\t"
        yield "two objects", f"{text}\n{text}".encode()


WRONG = {"a list of lists": [[]], "a negative number": -1.5, "an object": {"a": {}}}


def file_cases() -> Iterator[Case]:
    """Kind of file x defect."""
    for label, (read, valid, keys) in OBJECTS.items():
        file = label.split(" ")[0]
        for defect, content in json_defects(valid, whole=True):
            yield file_case("JSON files", label, defect, file, content, read)
        for key in keys:
            for kind, value in WRONG.items():
                if (label, key, kind) not in HARMLESS:
                    content = json.dumps({**valid, key: value}).encode()
                    yield file_case("JSON types", label, f"{key} is {kind}", file, content, read)
    for label, (read, valid, keys) in LINES.items():
        for defect, content in json_defects(valid, whole=False):
            text = json.dumps(valid).encode() + b"\n" + content + b"\n"
            yield file_case("JSON lines", label, defect, label, text, read)
        for key in keys:
            for kind, value in WRONG.items():
                if (label, key, kind) not in HARMLESS:
                    content = (json.dumps({**valid, key: value}) + "\n").encode()
                    yield file_case("JSON types", label, f"{key} is {kind}", label, content, read)
    for label, (read, text) in MAPPINGS.items():
        for defect, content in yaml_defects(text):
            yield file_case("YAML files", label, defect, label, content, read)
    for defect, content in (("not UTF-8", b"\xff\xfe\xff"), ("NUL", b"a\0b"), ("UTF-16", "abc".encode("utf-16"))):
        yield file_case("text files", "notes.md", defect, "notes.md", content, read_notes)


HARMLESS = {
    ("outputs.jsonl", "gold", "a negative number"),
    ("questions.jsonl", "answer", "a negative number"),
    ("timings-x.json", "begun", "a negative number"),
    ("timings-x.json", "seconds", "a negative number"),
}
"""key and value that are allowed"""


def file_case(family: str, label: str, defect: str, file: str, content: bytes, read: Callable[[Path], Any]) -> Case:
    def try_it(folder: Path) -> Any:
        (folder / file).write_bytes(content)
        return read(folder)

    return Case(family, f"{label}: {defect}", try_it, file)


def yaml_defects(valid: str) -> Iterator[tuple[str, bytes]]:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    defects = {
        "a list": "- a\n- b\n",
        "a scalar": "just text\n",
        "a number": "7\n",
        "a tab": "a:\n\tb: 1\n",
        "a key twice": valid + valid.splitlines()[0] + "\n",
        "a tag of Python": valid + "x: !!python/object:os.system {}\n",
        "a call of Python": valid + "x: !!python/object/apply:os.system ['true']\n",
        "an unknown tag": valid + "x: !mine 1\n",
        "a bomb of aliases": valid + bomb,
        "an alias of itself": valid + "x: &x [*x]\n",
        "an unknown alias": valid + "x: *nothing\n",
        "NaN": valid + "x: .nan\n",
        "infinity": valid + "x: -.inf\n",
        "5001 digits": valid + f"x: {'9' * 5001}\n",
        "nested 5,000 deep": valid + "x: " + "[" * 5000 + "]" * 5000 + "\n",
        "nested 200 deep": valid + "x: " + "[" * 200 + "]" * 200 + "\n",
        "an open quote": valid + 'x: "abc\n',
        "two documents": valid + "---\n" + valid,
        "a date of month 13": valid + "x: 2020-13-45\n",
        "a list as key": valid + "? [1, 2]\n: x\n",
        "a lone surrogate": valid + 'x: "\\ud83d"\n',
        "a merge of text": valid + "<<: text\n",
        "a colon too many": valid + "x: y: z\n",
    }
    for name, text in defects.items():
        yield name, text.encode("utf-8", "surrogatepass")
    yield "not UTF-8", valid.encode() + b"x: \xff\n"
    yield "NUL", valid.encode() + b"\0\0"
    yield "UTF-16 cut", valid.encode("utf-16")[:-1]
