"""grade: sample shards -> grade shards of the same names, by the task's own grader. No torch.

    samples/.../shard-*.parquet   records.Sample
    out/shard-*.parquet           records.Grade, one row a sample, same order
    out/{fingerprint,manifest}.json

Completions are judged by `elicit.tasks.grading.grader`, the one that training rewards come from. A grade that hangs,
crashes or trips a guard is *ungraded* with its reason: never wrong, tried again by the next call. A better grader
(`GRADER_VERSION`) means grading again, never sampling again.
What this module does not know: how an answer is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit import files
from elicit.errors import DataError, StageError
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.names import published_name
from elicit.reading import eaten_backslash
from elicit.records import FINISHED, Grade, Item
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest, Verdict
from elicit.tasks.task import Judgement, Reader, Task, make_item

GRADER_VERSION = 3
"""raised by whoever changes a verdict of any task; the golden file shows which"""

_ASKING = {"prompts", "fixed_prompts", "keys"}
"""members of a task that say how to ask and nothing of how to judge"""
_COLUMNS = ["policy", "regime", "item", "j", "text", "finish"]


@dataclass(frozen=True)
class ShardLine:
    """What the manifest records of one graded shard."""

    rows: int = 0
    """0: it holds no sample of the items in question"""
    ungraded: int = 0
    retry: int = 0
    """grades that ran out of time or crashed: they are tried again"""
    content: str | None = None
    """hash of the graded rows"""


def grade(
    samples: Path, task: Task, items: dict[str, Item], out: Path, workers: int = 2, timeout_s: float = 5.0
) -> Path:
    """Grade every shard of `samples` that `out` has no grades of. Returns `out`.

    Resumable shard by shard: a killed run goes on, new shards are added. Shards whose keys have changed, or with
    timeouts and crashes, are graded anew. Samples of other items than `items` are passed over. Raises StageError
    where `out` was begun by another grader or task, DataError where there is no sample of any item.
    """
    source, folder = SampleFolder(samples), StageFolder(out)
    if not source.shards:
        raise StageError(f"{samples}: no sample shards to grade; sample first")
    # the samples may grow (more per item) without becoming others: their fingerprint names what they were made with
    inputs = {"grader": GRADER_VERSION, "task": [grading_class(task), task.name], "samples": source.fingerprint}
    with folder.writing(f"delete {out} and run elicit score again", **inputs) as before:
        done = {name: ShardLine(**line) for name, line in before.get("shards", {}).items()}
        with Grader(task, workers, timeout_s) as grader:
            summary = {
                shard.name: _shard(shard, folder.path / shard.name, done.get(shard.name), items, grader)
                for shard in source.shards
            }
        rows = sum(part.rows for part in summary.values())
        if not rows:
            raise DataError(f"{samples}: no sample of these {len(items)} {task.name} items; another task's folder?")
        if summary != done:
            ungraded = sum(part.ungraded for part in summary.values())
            shards = {name: asdict(part) for name, part in summary.items()}
            folder.finish(grader_version=GRADER_VERSION, task=task.name, rows=rows, ungraded=ungraded, shards=shards)
    return folder.path


def grading_class(task: Task) -> str:
    """Published name of the class whose rules judge `task`: the first of its ancestry that redefines more than prompts.

    A class that only asks in other words (`elicit.tasks.factorial`) judges as its parent does, so both may share the
    grades of samples that they share. A member with a name of its own changes nothing that is inherited.
    """
    kinds = type(task).__mro__
    for place, kind in enumerate(kinds):
        inherited = {name for ancestor in (*kinds[place + 1 :], Task, Reader) for name in vars(ancestor)}
        redefined = vars(kind).keys() & inherited - _ASKING
        if any(not name.startswith("__") for name in redefined):
            return published_name(kind)
    return published_name(type(task))


def _shard(shard: Path, target: Path, done: ShardLine | None, items: dict[str, Item], grader: Grader) -> ShardLine:
    """Grade one shard unless `target` already holds its grades; returns its line of the manifest."""
    rows = [row for row in files.read_rows([shard], _COLUMNS) if row["item"] in items]
    if not rows:  # a store shared with other tasks or splits
        return ShardLine()
    content = files.content_hash(rows)
    if done and done.rows and done.content == content and not done.retry and target.exists():
        return done
    if done is None and target.exists():  # a run was killed before its manifest
        grades = [Grade(**row) for row in files.read_rows([target])]
        same = [(g.policy, g.regime, g.item, g.j) for g in grades] == [_key(row) for row in rows]
        if same and not any(_retry(g) for g in grades):
            return _line(grades, content)
    grades = _grades(rows, items, grader)
    files.write_rows(target, grades)
    return _line(grades, content)


def _grades(rows: list[dict[str, Any]], items: dict[str, Item], grader: Grader) -> list[Grade]:
    jobs = [GradeRequest(items[row["item"]], row["text"], row["finish"] in FINISHED) for row in rows]
    return [_grade(row, verdict, grader) for row, verdict in zip(rows, grader.judge(jobs), strict=True)]


def _grade(row: dict[str, Any], verdict: Verdict, grader: Grader) -> Grade:
    judged, fault = verdict.judgement, verdict.violation
    if judged is None:
        judged = Judgement(None, None, None, None, verdict.failure)
    known = grader.has_validator and verdict.failure is None
    return Grade(
        *_key(row),
        strict=judged.strict,
        lenient=judged.lenient,
        answer=judged.answer,
        answer_class=judged.answer_class,
        valid=fault is None if known else None,
        violation=fault.kind if fault else None,
        violation_step=fault.step if fault else None,
        ungraded=judged.ungraded,
        first=judged.first,
    )


def _key(row: dict[str, Any]) -> tuple[str, str, str, int]:
    return row["policy"], row["regime"], row["item"], row["j"]


def _retry(grade: Grade) -> bool:
    return grade.ungraded is not None and grade.ungraded.removeprefix("lenient: ").startswith(("timeout", "crash"))


def _line(grades: list[Grade], content: str) -> ShardLine:
    ungraded = sum(grade.strict is None for grade in grades)
    return ShardLine(len(grades), ungraded, sum(_retry(grade) for grade in grades), content)


def grade_file(
    path: Path, task: Task, workers: int = 2, timeout_s: float = 5.0, say: Callable[[str], None] = lambda line: None
) -> dict[str, int | float | None]:
    """Grade a JSONL file of {"gold", "output", "expected"?} rows, for `elicit grade`; rows count as finished.

    Returns counts {"n", "false_positive", "false_negative", "ungraded"} and "agreement", the share of graded rows
    whose strict verdict is the expected one; null where no row states one. `say` is given one line per row whose
    verdict is another one, or that was not graded. Raises DataError on a broken row.
    """
    jobs, expected, numbers = [], [], []
    for number, row in files.read_jsonl(Path(path)):
        jobs.append(
            GradeRequest(_file_item(row, task, f"{path}, line {number}"), row["output"], row.get("finished", True))
        )
        expected.append(row.get("expected"))
        numbers.append(number)
    if not jobs:
        raise DataError(f"{path}: no rows; expected JSONL with gold and output")
    with Grader(task, workers, timeout_s) as grader:
        judged = [verdict.judgement for verdict in grader.judge(jobs)]
    strict = [None if judgement is None else judgement.strict for judgement in judged]
    for number, job, judgement, want in zip(numbers, jobs, judged, expected, strict=True):
        if judgement is None or judgement.strict is None:
            say(f"line {number}: ungraded ({judgement.ungraded if judgement else 'its process ended'})")
        elif want is not None and judgement.strict != want:
            what = "right, expected wrong" if judgement.strict else "wrong, expected right"
            say(f"line {number}: {what}: read {judgement.answer!r}, gold {job.item.gold!r}")
    pairs = [(got, want) for got, want in zip(strict, expected, strict=True) if got is not None and want is not None]
    return {
        "n": len(jobs),
        "agreement": sum(got == want for got, want in pairs) / len(pairs) if pairs else None,
        "false_positive": sum(bool(got and not want) for got, want in pairs),
        "false_negative": sum(bool(want and not got) for got, want in pairs),
        "ungraded": sum(got is None for got in strict),
    }


def _file_item(row: dict[str, Any], task: Task, place: str) -> Item:
    gold, output, expected = row.get("gold"), row.get("output"), row.get("expected")
    if isinstance(gold, bool) or not isinstance(gold, str | int | float) or not str(gold).strip():
        raise DataError(f"{place}: gold is {gold!r}, expected text or a number")
    if clause := eaten_backslash(str(gold)):
        raise DataError(f"{place}: gold {clause}")
    if not isinstance(output, str):
        raise DataError(f"{place}: output is {output!r}, expected text")
    if expected is not None and not isinstance(expected, bool):
        raise DataError(f"{place}: expected is {expected!r}, use true or false")
    if not isinstance(row.get("facts", {}), dict) or not isinstance(row.get("finished", True), bool):
        raise DataError(f"{place}: `facts` is an object and `finished` true or false")
    return make_item(task.name, "file", str(row.get("question", "")), str(gold), None, row.get("facts"))
