"""The grade stage: rows for rows, resumable, and no completion can hang, crash or be called wrong for it."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from elicit import files
from elicit.errors import DataError, StageError
from elicit.evaluate.stages import grade as stage
from elicit.evaluate.stages.grade import grade, grade_file
from elicit.ledger import Ledger
from elicit.records import Finish, Sample
from elicit.tasks.factorial import FactorialSmallMath, FactorialTask
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest, GradingPool
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.natural.small_math import SmallMath
from elicit.tasks.task import make_item

HERE = Path(__file__).parent
CHAIN = FormalTask("chain", n_train=5, n_dev=5, n_test=12)


class Harsh(FormalTask):
    """Asks as its parent does and judges everything wrong."""

    def grade(self, item, text, finished):
        return replace(super().grade(item, text, finished), strict=False)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    sys.modules.pop("slow_task", None)
    import slow_task

    return slow_task


def sample(item, j: int, text: str, finish: str = Finish.EOS) -> Sample:
    return Sample("p", "compare", item.id, j, 0, "h", [1], text, finish, [0.0], None, 1, 0, 0)


def store(folder: Path, task, items, texts=None) -> Path:
    """Three shards: gold, corrupted and truncated completions of the items."""
    for j, (name, finish) in enumerate((("gold", Finish.EOS), ("wrong", Finish.STOP), ("cut", Finish.LENGTH))):
        texts = [task.corrupted_completion(i) if name == "wrong" else task.gold_completion(i) for i in items]
        rows = [sample(item, j, text, finish) for item, text in zip(items, texts, strict=True)]
        files.write_rows(folder / f"shard-{name}.parquet", rows)
    return folder


def rows_of(folder: Path) -> dict:
    return {path.name: files.read_rows([path]) for path in files.shards(folder)}


def by_id(items):
    return {item.id: item for item in items}


def item_of(gold: str):
    return make_item("t", "test", "q", gold)


def test_every_sample_has_one_grade_under_the_same_shard_and_key(tmp_path):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    out = grade(samples, CHAIN, by_id(items), tmp_path / "grades")
    graded = rows_of(out)
    for name, rows in rows_of(samples).items():
        assert [(r["item"], r["j"]) for r in graded[name]] == [(r["item"], r["j"]) for r in rows]
    assert all(r["strict"] and r["valid"] for r in graded["shard-gold.parquet"])
    assert all(r["strict"] is False and r["violation"] == "wrong_conclusion" for r in graded["shard-wrong.parquet"])
    assert all(r["strict"] is False and r["lenient"] and r["answer"] is None for r in graded["shard-cut.parquet"])
    assert files.read_json(out / "manifest.json")["rows"] == 36


def test_a_stopped_run_resumes_to_the_same_rows(tmp_path, monkeypatch):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    whole = rows_of(grade(samples, CHAIN, by_id(items), tmp_path / "whole"))
    write, written = files.write_rows, []

    def dies_after_one(path, rows):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, rows)

    monkeypatch.setattr(files, "write_rows", dies_after_one)
    with pytest.raises(KeyboardInterrupt):
        grade(samples, CHAIN, by_id(items), tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "manifest.json").exists()
    monkeypatch.setattr(files, "write_rows", write)
    kept = (tmp_path / "stopped" / written[0].name).stat().st_mtime_ns
    assert rows_of(grade(samples, CHAIN, by_id(items), tmp_path / "stopped")) == whole
    assert (tmp_path / "stopped" / written[0].name).stat().st_mtime_ns == kept
    one, other = (files.read_json(tmp_path / name / "manifest.json") for name in ("stopped", "whole"))
    assert one == other


def test_a_finished_stage_is_skipped_and_new_shards_are_added(tmp_path):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    out = grade(samples, CHAIN, by_id(items), tmp_path / "grades")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix in (".parquet", ".json")}
    grade(samples, CHAIN, by_id(items), out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    files.write_rows(samples / "shard-more.parquet", [sample(items[0], 9, CHAIN.gold_completion(items[0]))])
    grade(samples, CHAIN, by_id(items), out)
    assert len(rows_of(out)) == 4 and files.read_json(out / "manifest.json")["rows"] == 37
    assert (out / "shard-gold.parquet").stat().st_mtime_ns == before[out / "shard-gold.parquet"]


def test_samples_that_changed_under_their_name_are_graded_again(tmp_path):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    out = grade(samples, CHAIN, by_id(items), tmp_path / "grades")
    files.write_rows(samples / "shard-gold.parquet", [sample(i, 0, CHAIN.corrupted_completion(i)) for i in items])
    assert not any(r["strict"] for r in rows_of(grade(samples, CHAIN, by_id(items), out))["shard-gold.parquet"])


def test_another_grader_refuses_the_folder_and_names_the_mend(tmp_path, monkeypatch):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    out = grade(samples, CHAIN, by_id(items), tmp_path / "grades")
    monkeypatch.setattr(stage, "GRADER_VERSION", 999)
    with pytest.raises(StageError, match=r"another grader; to redo it: delete .*elicit score"):
        grade(samples, CHAIN, by_id(items), out)


@pytest.mark.parametrize(
    ("task", "other_words"),
    [
        (CHAIN, FactorialTask("chain", n_train=5, n_dev=5, n_test=12)),
        (SmallMath(family="symbols", n_test=12), FactorialSmallMath(family="symbols", n_test=12)),
    ],
    ids=["formal", "small arithmetic"],
)
def test_a_task_that_only_asks_in_other_words_shares_the_grades_of_its_parent(task, other_words, tmp_path):
    items = task.items("test")
    samples = store(tmp_path / "samples", task, items)
    grade(samples, task, by_id(items), tmp_path / "grades")
    before = rows_of(tmp_path / "grades")
    grade(samples, other_words, by_id(items), tmp_path / "grades")
    assert rows_of(tmp_path / "grades") == before


def test_a_task_that_judges_by_its_own_rules_refuses_the_grades_of_its_parent(tmp_path):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    grade(samples, CHAIN, by_id(items), tmp_path / "grades")
    with pytest.raises(StageError, match="task"):
        grade(samples, Harsh("chain", n_train=5, n_dev=5, n_test=12), by_id(items), tmp_path / "grades")


def test_samples_of_other_items_are_passed_over_but_never_all_of_them(tmp_path):
    items = CHAIN.items("test")
    samples = store(tmp_path / "samples", CHAIN, items)
    out = grade(samples, CHAIN, by_id(items[:4]), tmp_path / "grades")
    assert {len(rows) for rows in rows_of(out).values()} == {4}
    assert {len(rows) for rows in rows_of(grade(samples, CHAIN, by_id(items), out)).values()} == {12}
    with pytest.raises(DataError, match="no sample of these"):
        grade(samples, CHAIN, by_id(CHAIN.items("dev")), tmp_path / "other")
    with pytest.raises(StageError, match="no sample shards"):
        grade(tmp_path / "empty", CHAIN, by_id(items), tmp_path / "none")


def test_a_hanging_grade_is_killed_and_ungraded_and_the_pool_goes_on(tmp_path, slow):
    task = slow.SlowTask()
    items = [item_of("7"), item_of("8")]
    texts = ["The answer is 7.", "hang", "The answer is 8.", "crash", "raise", "The answer is 7. Really."]
    rows = [sample(items[0], j, text) for j, text in enumerate(texts)]
    files.write_rows(tmp_path / "samples" / "shard-0.parquet", rows)
    began = time.monotonic()
    out = grade(tmp_path / "samples", task, by_id(items), tmp_path / "grades", workers=2, timeout_s=1.5)
    graded = files.read_rows(files.shards(out))
    assert time.monotonic() - began < 300, "half of the time that a hang takes: nobody waited for its end"
    assert [row["strict"] for row in graded] == [True, None, False, None, None, True]
    reasons = [row["ungraded"] for row in graded]
    assert reasons[1].startswith("timeout: killed") and reasons[3].startswith("crash") and "told to" in reasons[4]
    manifest = files.read_json(out / "manifest.json")
    assert manifest["ungraded"] == 3 and manifest["shards"]["shard-0.parquet"]["retry"] == 2


def test_a_grade_that_hangs_while_fitting_is_unknown_and_the_fit_goes_on(tmp_path, slow):
    path = tmp_path / "train.jsonl"
    path.write_text('{"question": "1 + 1?", "answer": "2", "split": "train"}\n')
    task = slow.SlowTask(path=str(path))
    ledger = Ledger(task, "m", grader=Grader(task, workers=1, timeout_s=1.5))
    (item,) = ledger.items("train", limit=1)
    try:
        assert ledger.grade(item, " hang") is None
        assert ledger.grade(item, " The answer is 77.") is False
    finally:
        ledger.close()
    assert ledger.spent.labels == 2


def test_ungraded_rows_are_tried_again_by_the_next_call(tmp_path, slow, monkeypatch):
    items = [item_of("7")]
    files.write_rows(tmp_path / "samples" / "shard-0.parquet", [sample(items[0], 0, "hang. The answer is 7.")])
    out = grade(tmp_path / "samples", slow.SlowTask(), by_id(items), tmp_path / "grades", workers=1, timeout_s=1.5)
    assert files.read_rows(files.shards(out))[0]["strict"] is None
    monkeypatch.setattr(GradingPool, "judge", lambda self, jobs: [_right() for _ in jobs])
    assert files.read_rows(files.shards(grade(tmp_path / "samples", slow.SlowTask(), by_id(items), out)))[0]["strict"]


def _right():
    from elicit.tasks.grading.pool import Verdict
    from elicit.tasks.task import Judgement

    return Verdict(Judgement(True, True, "7", "7"), None)


def test_a_hang_in_the_lenient_reading_leaves_the_strict_verdict(tmp_path, slow):
    items = [item_of("\\cos x")]
    files.write_rows(tmp_path / "samples" / "shard-0.parquet", [sample(items[0], 0, "It may be $\\cos(x)$ here.")])
    out = grade(tmp_path / "samples", slow.SlowLenient(), by_id(items), tmp_path / "grades", workers=1, timeout_s=1.5)
    (row,) = files.read_rows(files.shards(out))
    assert row["strict"] is False and row["lenient"] is None and row["ungraded"].startswith("lenient: timeout")


def test_what_is_exact_never_starts_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(GradingPool, "_start", lambda self: pytest.fail("a process was started"))
    items = CHAIN.items("test")
    grade(store(tmp_path / "samples", CHAIN, items), CHAIN, by_id(items), tmp_path / "grades")


def test_equal_completions_of_an_item_are_judged_once():
    task, calls = Jsonl(answers="math"), []

    class Counting(stage.Grader):
        def __init__(self):
            super().__init__(task)
            self._pool.judge = lambda jobs: calls.append(len(jobs)) or [_right() for _ in jobs]

    with Counting() as grader:
        job = GradeRequest(item_of(r"\sqrt{2}"), r"\boxed{2^{1/2}}", True)
        assert len(grader.judge([job] * 5)) == 5
        grader.judge([job])
    assert calls == [1, 0]


def test_a_grade_is_what_the_task_itself_says(tmp_path):
    task = Jsonl(answers="math")
    golds = ["1/2", "7", r"\sqrt{2}", "(1,2)"]
    outputs = [r"\boxed{0.5}", "It is 7", r"\boxed{2^{1/2}}", r"\boxed{(2,1)}"]
    items = [item_of(gold) for gold in golds]
    rows = [sample(item, 0, text) for item, text in zip(items, outputs, strict=True)]
    files.write_rows(tmp_path / "samples" / "shard-0.parquet", rows)
    graded = files.read_rows(files.shards(grade(tmp_path / "samples", task, by_id(items), tmp_path / "grades")))
    for row, item, text in zip(graded, items, outputs, strict=True):
        alone = task.grade(item, text, True)
        assert (row["strict"], row["lenient"], row["answer"], row["answer_class"]) == (
            *(alone.strict, alone.lenient),
            *(alone.answer, alone.answer_class),
        )


def write_lines(path: Path, rows: list) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_grading_a_file_counts_agreement_and_both_kinds_of_error(tmp_path):
    rows = [
        {"gold": "72", "output": "The answer is 72.", "expected": True},
        {"gold": 72, "output": "The answer is 71.", "expected": True},
        {"gold": "72", "output": "The answer is 72.", "expected": False},
        {"gold": "72", "output": "so 72", "expected": False},
        {"gold": "72", "output": r"\boxed{9^{9^{9}}}", "expected": False},
        {"gold": "72", "output": "#### 72"},
    ]
    said: list[str] = []
    counts = grade_file(write_lines(tmp_path / "rows.jsonl", rows), Jsonl(answers="math"), say=said.append)
    assert [line.split(":")[0] for line in said] == ["line 2", "line 3", "line 5"]
    assert "read '71', gold '72'" in said[0] and "right, expected wrong" in said[1] and "ungraded (guard" in said[2]
    assert counts == {"n": 6, "agreement": 0.5, "false_positive": 1, "false_negative": 1, "ungraded": 1}
    assert grade_file(write_lines(tmp_path / "bare.jsonl", rows[-1:]), Jsonl(answers="math"))["agreement"] is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON"),
        ({"output": "x"}, "line 2: gold is None"),
        ({"gold": "1"}, "line 2: output is None"),
        ({"gold": "1", "output": "1", "expected": "yes"}, "line 2: expected is 'yes'"),
    ],
)
def test_a_broken_row_of_a_file_is_named(tmp_path, row, message):
    path = write_lines(tmp_path / "rows.jsonl", [{"gold": "1", "output": "1"}, row])
    with pytest.raises(DataError, match=message):
        grade_file(path, Jsonl(answers="math"))


def test_the_golden_file_is_graded_without_a_disagreement(tmp_path):
    golden = HERE.parent / "fixtures" / "golden_grades.jsonl"
    rows = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    rows = [{**row, "expected": row["strict"]} for row in rows if row["kind"] == "math"]
    counts = grade_file(write_lines(tmp_path / "golden.jsonl", rows), Jsonl(answers="math"))
    assert counts["agreement"] == 1.0 and counts["n"] >= 300
    assert counts["ungraded"] == sum(row["strict"] is None for row in rows)


def test_a_task_that_workers_cannot_import_is_a_clear_error():
    class Local(Jsonl):
        pass

    with pytest.raises(DataError, match="Local"), GradingPool(Local()) as pool:
        pool.judge([GradeRequest(item_of("1"), "x", True)])


def test_a_file_of_a_formal_task_is_graded_by_its_answers(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [("7", " Working. 3 + 4 = 7. So the answer is 7.", True), ("7", " The answer is 8.", False)]
    path.write_text("".join(json.dumps({"gold": g, "output": o, "expected": e}) + "\n" for g, o, e in rows))
    found = grade_file(path, CHAIN)
    assert (found["n"], found["agreement"], found["ungraded"]) == (2, 1.0, 0)
