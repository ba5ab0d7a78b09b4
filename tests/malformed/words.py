"""Malformed words after a command: names, settings and values that no command may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.malformed.case import Case


def _case(words: str, names: str) -> Case:
    def try_it(folder: Path) -> Any:
        from elicit.cli import dispatch

        (folder / "empty").mkdir()
        (folder / "file").write_text("x")
        (folder / "broken").mkdir()
        (folder / "broken" / "manifest.json").write_text("{}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return dispatch(words.split(" "))

    return Case("words", words, try_it, names)


CASES: dict[str, str] = {
    "list nothing": "nothing", "list models tasks": "list", "list models root=x": "root",
    "show": "show", "show nothing=x": "nothing", "show method=nothing": "nothing", "show method": "method",
    "show method=star seed": "seed",
    "fetch nothing": "nothing", "fetch a b": "fetch", "fetch gemma3-270m from=/no/such": "/no/such",
    "fetch gemma3-270m from=file": "file", "fetch gemma3-270m form=x": "form",
    "doctor x": "doctor", "doctor task=chain": "task",
    "resume": "resume", "resume /no/such": "/no/such", "resume empty": "empty", "resume file": "file",
    "resume broken": "broken", "resume a b": "resume", "resume empty seed=1": "seed",
    "score": "score", "score nothing": "nothing", "score ../x": "x", "score empty": "empty", "score broken": "broken",
    "score nothing rot=x": "rot", "score nothing root=file": "nothing",
    "compare": "compare", "compare nothing": "nothing", "compare /no/such /no/such2": "/no/such",
    "compare broken broken": "broken", "compare nothing output=xml": "nothing",
    "report": "report", "report nothing": "nothing", "report nothing template=nothing": "nothing",
    "report a b": "a:", "report nothing root=/no/such": "nothing", "report nothing root=": "root",
    "export": "export", "export nothing": "nothing", "export nothing format=xml": "xml",
    "export nothing format=": "format", "export broken format=peft": "broken", "export file format=gguf": "file",
    "export nothing format=plain": "nothing",
    "lens": "lens", "lens nothing": "nothing", "lens nothing nolens": "nolens", "lens nothing run=maybe": "run",
    "lens nothing text=/no/such": "nothing",
    "escalate": "escalate", "escalate nothing": "nothing", "escalate nothing levels=x": "nothing",
    "escalate a b": "escalate",
    "workspace x": "x", "workspace save=maybe": "save", "workspace gruop=x": "gruop",
    "grade": "grade", "grade /no/such": "/no/such", "grade file": "file", "grade empty": "empty",
    "grade file task=nothing": "nothing", "grade file task=jsonl task.answers=nothing": "nothing",
    "grade file a": "grade", "grade file tusk=x": "tusk",
    "calibrate x": "calibrate", "calibrate simulated=maybe": "simulated", "calibrate seeds=x": "seeds",
    "calibrate seeds=": "seeds", "calibrate models=nothing": "nothing", "calibrate simulated=true worlds=x": "worlds",
    "contamination x": "contamination", "contamination model=organism task=chain twins=nothing": "nothing",
    "contamination model=organism task=chain share=nan": "share",
    "contamination model=organism task=chain share=2": "share",
    "contamination model=organism task=nothing": "nothing",
    "headroom x": "headroom", "headroom experiment=nothing": "nothing", "headroom model=nothing": "nothing",
    "completion": "completion", "completion tcsh": "tcsh", "completion bash zsh": "completion",
    "organism": "organism", "organism nothing": "nothing", "organism build kind=nothing folder=x": "nothing",
    "organism build kind=positive folder=x steps=many": "steps",
    "organism build kind=positive folder=x rate=nan": "rate",
    "organism build kind=positive folder=x rate=-1": "rate",
    **{
        f"organism build kind=positive folder=x {name}={value}": name
        for name, values in {
            "steps": (0, -20, 19, "null"), "last_step": (-1, 5), "width": (0, 7, 129), "layers": (0, -1),
            "heads": (0, 3), "skill_share": (1, -0.1, "nan", 2), "learning_rate": (0, -1, "inf", "nan"),
            "final_learning_rate": (0, "nan"), "question_weight": (-1, "nan"), "seed": (-1, 2**64, "x"),
            "device": ("nothing", "cuda:99"), "start": ("nothing",),
        }.items()
        for value in values
    },
    "organism build positive steps=0": "positive",
    "organism build kind=positive": "folder", "organism check x": "x",
    "experiment=study/nothing": "nothing", "experiment=study/all scale=huge": "huge",
    "experiment=study/length scale=": "scale", "experiment=study/length seed=x": "seed",
    "experiment=study/length eval.n=0": "n=0",
    "-m experiment=study/length,study/shift": "study",
    "method=star on=/no/such": "/no/such", "method=star on=empty": "empty", "method=star on=file": "file",
    "method=star on=broken": "broken", "method=star on=7": "7", "method=star on={a:1}": "on",
    "method=star on=[empty,empty]": "empty", "on=empty": "empty",
    "engine=nothing": "nothing", "engine.kind=nothing": "nothing", "engine.kind=7": "kind",
    "engine.slots=x": "slots", "engine={_class_:methods.star.method.Star}": "engine",
    "method=given": "method.path", "method=given method.path=": "method.path", "method=given placebos=all": "path",
    "method=given method.path=empty": "empty", "method=given method.path=file": "file",
    "method=given method.path=broken": "broken",
    "method=given method.path=/no/such": "/no/such", "method=given method.path=empty method.scale=nan": "scale",
    "method=given method.path=empty method.write=nothing": "write",
    "method=given method.path=empty method.control=nothing": "control",
    "nothing": "nothing", "--version": "--version", "-m": "-m", "runn method=star": "runn",
}  # fmt: skip
"""what is typed after `elicit` -> what the message has to name"""


def word_cases() -> Iterator[Case]:
    """One command line each, in a folder with an empty folder, a file, and a run folder that is broken."""
    for words, names in CASES.items():
        plain = words.startswith(("method=", "engine", "on=")) or words.startswith("experiment=study")
        extra = " model=organism task=chain tracker=none dry_run=true" if plain and "study" not in words else ""
        yield _case(words + extra, names)


STUDY: dict[str, Any] = {
    "claim": "c", "source": "s", "checked": "no", "asked": "a", "not_shown": "n", "would_change": "w",
    "endpoints": {"near": {"title": "t", "read": "line acc/strict", "policies": ["base"]}},
    "rule": [{"endpoint": "near", "above": 0.3}], "quick": {"cost": "c"}, "full": {"cost": "c"},
}  # fmt: skip
STUDIES: dict[str, dict[str, Any]] = {
    "claim": {"a number": 7, "a list": ["c"], "empty": "  "},
    "endpoints": {
        "empty": {}, "a list": [], "text": "near", "of numbers": {"near": 7}, "no title": {"near": {"read": "line a"}},
        "an unknown source": {"near": {"title": "t", "read": "table a", "policies": ["base"]}},
        "no key": {"near": {"title": "t", "read": "line", "policies": ["base"]}},
        "a line without policies": {"near": {"title": "t", "read": "line acc/strict"}},
        "a pair with policies": {"near": {"title": "t", "read": "pair a - b", "policies": ["base"]}},
        "policies text": {"near": {"title": "t", "read": "line acc/strict", "policies": "base"}},
        "an unknown unit": {"near": {"title": "t", "read": "line a", "policies": ["base"], "unit": "miles"}},
        "a lens without column": {"near": {"title": "t", "read": "lens length", "policies": ["base"]}},
    },
    "rule": {
        "empty": [], "a mapping": {}, "text": "near", "an unknown endpoint": [{"endpoint": "naer", "above": 1}],
        "no bound": [{"endpoint": "near"}], "bounds reversed": [{"endpoint": "near", "above": 2, "below": 1}],
        "a bound of text": [{"endpoint": "near", "above": "high"}],
        "a bound that is NaN": [{"endpoint": "near", "above": float("nan")}],
        "an unknown field": [{"endpoint": "near", "over": 1}], "a list": [[1]],
    },
    "quick": {
        "a number": 7, "no cost": {}, "no seed": {"cost": "c", "seeds": []}, "seeds text": {"cost": "c", "seeds": "1"},
        "overrides text": {"cost": "c", "overrides": "eval.n=1"},
        "jobs flat": {"cost": "c", "jobs": ["method=star"]}, "an unknown field": {"cost": "c", "sedes": [1]},
    },
    "published": {"a list": [1], "of numbers": {"a": 1}},
    "lenses": {"text": "length", "a mapping": {"length": 1}, "numbers": [1]},
    "preconditions": {"an unknown endpoint": [{"endpoint": "naer", "above": 1}], "text": "near"},
}  # fmt: skip
"""field of a study -> kind of defect -> its value"""


def study_cases() -> Iterator[Case]:
    """Presets that hold a broken study."""
    for field, defects in STUDIES.items():
        for name, value in defects.items():
            yield Case("studies", f"{field} {name}", lambda folder, f=field, v=value: _study(f, v), field[:-1])
    for field in STUDY:
        yield Case("studies", f"no {field}", lambda folder, f=field: _study(f, None), field)


def _study(field: str, value: object) -> Any:
    from elicit.config.build import build
    from elicit.studies.study import Study

    node = {**STUDY, field: value}
    if value is None:
        del node[field]
    return build(node, "experiment.study", Study)
