"""Laws of templates from strangers: each fault is one error that names the template; none hangs or fills the memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import FileSystemLoader, StrictUndefined

from elicit.errors import DataError
from elicit.files import write_json
from elicit.report import report, sandbox, sources
from elicit.report.sandbox import BoundedEnvironment, render

SQUARES = "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}"
DOUBLES = "{% set n = namespace(x='abcdefgh') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
BOMBS = {
    "nested loops": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "iterations"),
    "loops over text": ("{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}", "loop"),
    "a recursive loop": ("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "without end"),
    "a power": ("{{ 9 ** (9 ** 9) }}", "bits"),
    "a power of powers": (SQUARES, "bits"),
    "a repetition": ("{{ 'x' * 10 ** 9 }}", "length"),
    "a repetition of a list": ("{{ 1000000000 * [1] }}", "length"),
    "a range": ("{{ range(10 ** 9) }}", "Range too big"),
    "itself": ("{% include 'evil.md.j2' %}", "without end"),
    "itself as parent": ("{% extends 'evil.md.j2' %}", "without end"),
    "a macro of itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end"),
    "division by zero": ("\n{{ 1 / 0 }}", "line 2: ZeroDivisionError"),
    "a missing name": ("{{ nothing }}", "'nothing' is undefined"),
    "a missing key": ("{{ x.nothing }}", "nothing"),
    "a missing template": ("{% include 'nothing.j2' %}", "no template 'nothing.j2'"),
    "a syntax error": ("{% for %}", "line 1: "),
    "private attributes": ("{{ ''.__class__.__mro__ }}", "unsafe"),
    "a wrong type": ("{{ 1 + 'a' }}", "TypeError"),
    "no UTF-8": ("\udcff", "UnicodeDecodeError"),
}  # fmt: skip
MEMORY = {
    "a text that doubles": DOUBLES,
    "a wide number": "{{ '%0999999999d' | format(1) }}",
    "a centred word": "{{ 'x' | center(4000000000) }}",
}  # fmt: skip


def rendered(folder: Path, text: str) -> str:
    (folder / "evil.md.j2").write_text(text, encoding="utf-8", errors="surrogateescape")
    environment = BoundedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined)
    return render(environment, "evil.md.j2", {"x": "x" * 2000}, "compare with the built-in one")


@pytest.mark.parametrize("name", BOMBS)
def test_a_fault_of_a_template_is_one_clear_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_STEPS", 20_000)
    text, reason = BOMBS[name]
    with pytest.raises(DataError, match=r"template evil\.md\.j2.*compare with the built-in one") as fault:
        rendered(tmp_path, text)
    assert reason in str(fault.value)


@pytest.mark.skipif(sys.platform != "linux", reason="the system's limit on memory is Linux's")
@pytest.mark.parametrize("name", MEMORY)
def test_a_template_that_fills_the_memory_is_stopped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MAX_BYTES", 2**27)
    with pytest.raises(DataError, match="MiB of memory"):
        rendered(tmp_path, MEMORY[name])


def test_seconds_of_computation_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", -1.0)
    with pytest.raises(DataError, match="s of computation"):
        rendered(tmp_path, "{% for a in x %}{% endfor %}")


def test_steps_are_loop_iterations_and_calls(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text(
        "{% macro m() %}x{% endmacro %}{% for i in [1, 2] %}{% for j in 'abc' %}{{ m() }}{% endfor %}{% endfor %}"
    )
    environment = BoundedEnvironment(loader=FileSystemLoader(tmp_path))
    for _ in range(2):
        assert render(environment, "a.j2", {}, "") == "x" * 6
        assert environment.steps == 2 + 6 + 6


def test_the_built_in_pages_are_far_below_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.report.example import on_disk

    monkeypatch.setattr(sandbox, "MAX_STEPS", sandbox.MAX_STEPS // 20)
    report(on_disk(tmp_path / "c", small=True) / "comparison.json", tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()


def test_a_circle_of_runs_that_took_over_each_other_s_fit_ends(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "b")):
        write_json(tmp_path / name / "manifest.json", {"fit_from": other})
        (tmp_path / name / "log.jsonl").touch()
    found = sources._log("a", tmp_path, None)
    assert found is not None and found.parent.name in "bc"
    write_json(tmp_path / "a" / "manifest.json", {"fit_from": "../../elsewhere/b"})
    found = sources._log("a", tmp_path, None)
    assert found is not None and found.parent.parent == tmp_path
