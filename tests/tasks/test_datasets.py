"""Tasks in words: each proves itself; data sets are found, split without leaks, and refused if broken."""

import itertools
import json
import pickle
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from elicit.errors import ConfigError, DataError
from elicit.records import Item
from elicit.tasks.natural.arithmetic import evaluate, first_error
from elicit.tasks.natural.bbh import Bbh
from elicit.tasks.natural.countdown import Countdown
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.natural.math import Math
from elicit.tasks.selfcheck import check
from elicit.tasks.splits import data_file, distinct_items, split_of
from elicit.tasks.task import PromptFormat, make_item

CONFIGS = Path(__file__).parents[2] / "configs" / "task"


def written(folder: Path, name: str, rows: list) -> str:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def gsm_rows(n: int, start: int = 0) -> list[dict]:
    answer = "{0} + 1 = <<{0}+1={1}>>{1}\n#### {1}"
    return [{"question": f"What is {i} + 1?", "answer": answer.format(i, i + 1)} for i in range(start, start + n)]


def needs(*below: str) -> None:
    if data_file(None, *below) is None:
        pytest.skip(f"{'/'.join(below)} is not there: set ELICIT_DATA to a folder that holds it")


def test_gsm8k_proves_itself_on_the_real_file_and_notes_that_its_test_split_is_carved():
    needs("gsm8k", "train.jsonl")
    task = Gsm8k()
    assert check(task, 15) == 45
    assert sum(len(task.items(split)) for split in task.splits()) > 7400
    assert "carved" in task.notes[0]


def test_the_arithmetic_validator_passes_human_solutions():
    needs("gsm8k", "train.jsonl")
    lines = data_file(None, "gsm8k", "train.jsonl").read_text(encoding="utf-8").splitlines()[:1500]
    faults = [fault.kind for fault in (first_error(json.loads(line)["answer"]) for line in lines) if fault]
    assert len(faults) < 0.02 * len(lines) and faults.count("wrong_result") < 0.003 * len(lines)


@pytest.mark.parametrize(
    "subtask", ["boolean_expressions", "date_understanding", "dyck_languages", "multistep_arithmetic_two", "navigate"]
)
def test_bbh_proves_itself(subtask):
    needs("bbh", f"{subtask}.json")
    assert check(Bbh(subtask=subtask), 20) == 60


def test_gsm8k_with_a_test_file_takes_its_training_twins_out(tmp_path):
    train = written(tmp_path, "train.jsonl", gsm_rows(60))
    written(tmp_path, "test.jsonl", gsm_rows(20, start=50))
    task = Gsm8k(path=train)
    assert len(task.items("test")) == 20 and not task.notes
    assert sum(len(task.items(split)) for split in ("train", "dev")) == 50
    assert check(task, 5)


def test_gsm8k_checks_written_arithmetic(tmp_path):
    task = Gsm8k(path=written(tmp_path, "train.jsonl", gsm_rows(5)))
    item = task.items("train")[0]
    assert task.validate(item, "So 48 / 2 = 24 and 48 + 24 = 72. The answer is 72.") is None
    assert task.validate(item, "So 48 / 2 = 25. The answer is 25.").kind == "wrong_result"
    assert task.validate(item, "Each gets 10 / 3 = 3.33 dollars. The answer is 3.33.") is None
    assert task.validate(item, "The answer is 72.").kind == "no_trace"


def test_broken_gsm8k_rows_are_named(tmp_path):
    path = written(tmp_path, "train.jsonl", [*gsm_rows(2), {"question": "no gold", "answer": "none"}])
    with pytest.raises(DataError, match="line 3"):
        Gsm8k(path=path).items("train")
    with pytest.raises(DataError, match="no such file"):
        Gsm8k(path=str(tmp_path / "other.jsonl")).items("train")


def test_math_reads_answers_and_boxed_solutions(tmp_path):
    rows = [{"problem": f"Find {i}.", "solution": rf"It is \boxed{{\sqrt{{{i}}}}}."} for i in range(2, 60)]
    rows += [{"problem": f"What is {i}?", "answer": str(i)} for i in range(40)]
    task = Math(path=written(tmp_path, "train.jsonl", rows))
    assert check(task, 4)
    assert {r"\sqrt{7}", "7"} <= {item.gold for split in task.splits() for item in task.items(split)}
    with pytest.raises(DataError, match="line 1"):
        Math(path=written(tmp_path, "bad.jsonl", [{"problem": "x", "solution": "no box"}])).items("train")


@pytest.mark.parametrize("kind", ["math", "number"])
def test_a_users_file_is_a_task(tmp_path, kind):
    rows = [{"question": f"What is {i} * 2?", "answer": 2 * i, "cluster": i % 3} for i in range(40)]
    task = Jsonl(path=written(tmp_path, "mine.jsonl", rows), answers=kind)
    assert task.name == "mine" and check(task, 5)
    assert {item.cluster for item in task.items("train")} == {"0", "1", "2"}


def test_a_users_splits_are_kept_and_repeats_dropped(tmp_path):
    rows = [{"question": f"q{i}", "answer": "1", "split": "test"} for i in range(5)]
    rows += [{"question": "Q1 ", "answer": "2"}]
    task = Jsonl(path=written(tmp_path, "mine.jsonl", rows))
    assert [len(task.items(split)) for split in task.splits()] == [0, 0, 5]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "line 2: not JSON"),
        ("[1]", "line 2: expected an object"),
        ({"question": "x", "answr": "1"}, "line 2: no field 'answer'; did you mean answr"),
        ({"question": "", "answer": "1"}, "line 2: question is ''"),
        ({"question": "x", "answer": None}, "line 2: answer is None"),
        ({"question": "x", "answer": "1", "split": "tran"}, "line 2: split is 'tran'; did you mean train"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(tmp_path, row, message):
    path = written(tmp_path, "mine.jsonl", [{"question": "ok", "answer": "1"}, row])
    with pytest.raises(DataError, match=message):
        Jsonl(path=path).items("train")


@pytest.mark.parametrize("count", [3, 4])
def test_countdown_proves_itself(count):
    assert check(Countdown(count=count, n_train=40, n_dev=20, n_test=20), 10) == 30


def test_countdown_accepts_any_right_expression_and_nothing_else():
    task = Countdown(n_train=5, n_dev=5, n_test=5)
    item = task.items("train")[0]
    item.facts.update(numbers=[3, 5, 7], target=26)
    verdicts = {"7 * 3 + 5": True, "5 + 3*7 = 26": True, "5 + (3 × 7)": True, "26": False, "3 * 7 + 5 + 0": False}
    verdicts |= {"7 * 3": False, "21 + 5": False, "5 + 7 + 3": False, "7 * 3 + 5 / 0": False, "__import__('os')": False}
    for answer, right in verdicts.items():
        assert task.grade(item, f" The answer is {answer}.", True).strict is right, answer


def test_arithmetic_is_exact_and_refuses_what_it_cannot_read():
    assert evaluate("(1 + 2) * 3 / 4 - -1") == Fraction(13, 4)
    for text in ("1 +", "(1", "1 / 0", "", "2 ** 3", "a + 1", "1 2"):
        assert evaluate(text) is None, text


def test_reasoning_gym_families_prove_themselves_and_give_junk_no_credit():
    pytest.importorskip("reasoning_gym", reason="needs the package reasoning-gym")
    from elicit.tasks.natural.reasoning_gym import FAMILIES, ReasoningGym

    for family in FAMILIES:
        task = ReasoningGym(family=family, n_train=12, n_dev=6, n_test=6)
        assert check(task, 3) == 9
        for item in task.items("test"):
            near = () if task.kind == "word" else (f"{item.gold} {item.gold} x", f"{item.gold} and {item.gold}")
            for junk in (f"{item.gold} or so", "", "junk", f"x{item.gold}y", "junk 0", *near):
                assert task.grade(item, f"The answer is {junk}.", True).strict is False, (family, junk)


def test_reasoning_gym_takes_whitelisted_families_only():
    from elicit.tasks.natural.reasoning_gym import ReasoningGym

    with pytest.raises(ConfigError, match="coin_flip"):
        ReasoningGym(family="coin_flip")


def test_constructors_do_no_work_and_pickles_carry_no_items(tmp_path):
    task = Gsm8k(path=str(tmp_path / "absent.jsonl"))
    assert pickle.loads(pickle.dumps(task)) == task
    full = Gsm8k(path=written(tmp_path, "train.jsonl", gsm_rows(300)))
    before = len(pickle.dumps(full))
    full.items("train")
    assert len(pickle.dumps(full)) == before


def test_natural_prompts_are_six_and_their_exemplars_worked():
    for task in (Gsm8k(), Math(), Bbh(), Countdown(), Jsonl()):
        shots = task.prompts["few_shot"].exemplars
        assert len(task.prompts) >= 6 and next(iter(task.prompts)) == "bare" and len(shots) == 4
        for prompt in task.prompts.values():
            assert "Q {x} \\boxed{1}?" in prompt.render("Q {x} \\boxed{1}?")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_task_config_names_a_class_and_its_fields(path):
    from importlib import import_module

    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    module, _, name = settings.pop("_class_").rpartition(".")
    task = getattr(import_module(module), name)(**settings)
    assert task.name and len(task.prompts) >= 6


def test_a_prompt_that_is_added_changes_no_id_of_another():
    """Ids that samples of the first version were stored under."""
    published = {"bare": "c15cf8af96e94495", "step_by_step": "63c4953399ad969f"}
    prompts = Gsm8k().prompts
    assert {name: prompts[name].id for name in published} == published
    assert PromptFormat("bare").id != PromptFormat("bare", chat=True).id
    assert list(Gsm8k().prompts)[-2:] == ["raw", "chat"]
    assert Gsm8k().prompts["raw"].render("1 + 1?") == "1 + 1?"


def test_generated_items_are_distinct_of_their_split_in_order_and_an_exhausted_generator_is_named():
    shares = {"train": 0.5, "test": 0.5}
    numbers = itertools.cycle(range(60))

    def draw() -> Item | None:
        number = next(numbers)
        return None if number % 3 == 0 else make_item("toy", "train", f"What is {number}?", str(number), None, {})

    own = [n for n in range(60) if n % 3 and split_of(f"What is {n}?", shares) == "train"]
    found = distinct_items("toy", "train", len(own), shares, draw)
    assert [int(item.gold) for item in found] == own
    with pytest.raises(ConfigError, match=rf"toy: 50 train items asked for, {len(own)} exist: lower n_train"):
        distinct_items("toy", "train", 50, shares, draw)
