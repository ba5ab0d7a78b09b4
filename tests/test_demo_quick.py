"""Laws of `elicit demo quick`: the samples are small, name no machine, and give the comparison by themselves."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from elicit.commands.demo import ARCHIVE, GROUP
from elicit.evaluate.entry import Entry
from elicit.files import read_json, read_rows
from elicit.results import read_comparison
from elicit.tasks.formal.task import FormalTask

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The root of one `elicit demo quick`, and what it printed."""
    folder = tmp_path_factory.mktemp("quick")
    command = [sys.executable, "-m", "elicit.cli", "demo", "quick", "root=quick"]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "quick", done.stdout


def test_a_report_is_written_and_the_last_lines_name_it(quick: tuple[Path, str]) -> None:
    root, shown = quick
    page = root / "comparisons" / GROUP / "report" / "report.html"
    assert page.stat().st_size > 100_000
    assert f"open {page.relative_to(root.parent)} in a browser" in shown.splitlines()[-2]


def test_the_accuracies_are_those_of_the_samples_read_one_by_one(quick: tuple[Path, str]) -> None:
    root, _ = quick
    folder = root / "comparisons" / GROUP
    items, task = read_json(folder / "inputs.json")["items"], FormalTask()
    known = {item.id: item for item in task.items("test")}
    lines = {line.id: line for line in read_comparison(folder / "comparison.json").lines if line.role == "method"}
    entries = [Entry.of(plain, root) for plain in read_json(folder / "inputs.json")["entries"]]
    checked = 0
    for entry in (entry for entry in entries if entry.role == "method" and entry.policy in lines):
        right = {item: [] for item in items}
        for row in read_rows(sorted(entry.samples.glob("shard-*.parquet")), ["item", "text", "finish"]):
            if row["item"] in right:
                verdict = task.grade(known[row["item"]], row["text"], row["finish"] != "length")
                right[row["item"]].append(bool(verdict.strict))
        mean = sum(sum(values) / len(values) for values in right.values()) / len(items)
        assert lines[entry.policy].values["acc/strict"].point == pytest.approx(mean)
        checked += 1
    assert checked >= 7


def test_the_archive_is_small_and_names_no_machine() -> None:
    assert ARCHIVE.stat().st_size < 1_500_000
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            content = file.read() if file is not None else b""
            assert not any(word in content for word in (b"/tmp/", b"/home/", b"/root/", b"/work/")), member.name
            assert (member.uid, member.uname) == (0, "") and not member.name.startswith(("/", ".."))
