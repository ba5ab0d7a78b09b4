"""Laws of prompts: a method is compared with rung B1 at its own dev-best prompt, and fitted at `fit.prompt`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from elicit.cli import main
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.experiment.bench import Bench
from elicit.experiment.plan import plan
from elicit.experiment.run_folder import RunFolder
from elicit.files import content_hash, read_rows, shards
from elicit.ledger import load_rows
from elicit.policy.checkpoint import Checkpoint
from elicit.policy.policy import Policy
from elicit.tasks.task import make_item
from tests.test_run import GREEDY, SMALL, elicit

PROMPTS = ["eval.prompts=[few_shot,check]", "eval.prompt_limit=12", "eval.prompt_n=1"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("asked")
    code, result = elicit(*GREEDY, *SMALL, *PROMPTS, cwd=folder)
    assert code == 0
    return folder, result["comparisons"][0]


def method_lines(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for line in comparison["lines"] if line["role"] == "method"]


def dev_accuracy(folder: Path, policy: str, test_items: set[str]) -> float:
    """Share of right dev answers of a policy, straight from its grade shards."""
    rows = read_rows(shards(folder / "runs" / "store" / "grades" / policy / "compare-chain"))
    grades = [row["strict"] for row in rows if row["item"] not in test_items]
    return sum(grades) / len(grades)


def test_a_method_is_measured_at_the_prompt_it_is_best_at_on_dev(asked: tuple[Path, dict[str, Any]]) -> None:
    from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
    from elicit.policy.policy import Policy, load_intervention
    from elicit.tasks.formal.task import FormalTask

    folder, comparison = asked
    (manifest,) = folder.glob("runs/*greedy*/manifest.json")
    run, task = RunFolder(manifest.parent), FormalTask()
    checkpoint = load_checkpoint(CheckpointConfig(path=run.config()["model"]["path"], device="cpu", dtype="float32"))
    greedy = load_intervention(run.intervention, checkpoint)
    test_items = set(comparison["solves"]["items"])
    accuracy = {
        name: dev_accuracy(folder, Policy(checkpoint, (greedy,), task.prompts[name]).id, test_items)
        for name in ("bare", "few_shot", "check")
    }
    own = method_lines(comparison)[0]["own_prompt"]
    assert accuracy[own] == max(accuracy.values())
    assert {line["prompt"] for line in method_lines(comparison)} == {"bare", own}


def test_choosing_a_prompt_on_dev_is_paid_for_in_select_bits(asked: tuple[Path, dict[str, Any]]) -> None:
    for line in asked[1]["lines"]:
        chosen = line["prompt"] not in ("bare", "forced")
        assert line["ledger"].get("select_bits", 0) == (3 * 12 if chosen else 0), line["name"]


def test_a_method_may_be_fitted_on_another_prompt_and_its_exemplars_are_foreign_text(tmp_path: Path) -> None:
    vector = ["method=contrastive_v", "method.items=4", "method.samples=2", "method.dev_items=2"]
    few = ["method.layers=[0.5]", "method.strengths=[1.0]", "fit.prompt=few_shot"]
    code, result = elicit(*vector, *few, *SMALL, cwd=tmp_path)
    run = RunFolder(tmp_path / result["runs"][0]["run"])
    assert code == 0 and run.manifest["data_class"] == "T"
    assert {row.stage for row in load_rows(run.ledger) if row.foreign_tokens} == {"prompt"}
    assert method_lines(result["comparisons"][0])[0]["prompt"] == "bare"


VECTOR = [
    *("method=contrastive_v", "method.items=4", "method.samples=2", "method.dev_items=2", "placebos=one"),
    *("method.layers=[0.5]", "method.strengths=[1.0]", "eval.prompt=few_shot"),
    *("eval.prompts=[few_shot]", "eval.support_n=4", "eval.ceilings=[C1]"),
]


@pytest.fixture(scope="module")
def few_shot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A vector and its placebo, compared with the base at the few-shot prompt; B1 is chosen from few-shot alone."""
    code, result = elicit(*SMALL, *VECTOR, cwd=tmp_path_factory.mktemp("few_shot"))
    assert code == 0, result
    return dict(result["comparisons"][0])


def test_base_method_placebo_and_c1_are_asked_with_the_prompt_of_the_comparison(few_shot: dict[str, Any]) -> None:
    asked = {(line["role"], line["name"]): line["prompt"] for line in few_shot["lines"]}
    bare = {name for name, prompt in asked.items() if prompt == "bare"}
    assert bare == {("prompt", "bare")} and asked[("base", "base")] == "few_shot"
    few = {role for (role, _), prompt in asked.items() if prompt == "few_shot"}
    assert few == {"base", "method", "placebo", "ceiling"}
    assert method_lines(few_shot)[0]["values"]["ctrl/gain"].get("refused") is None
    assert few_shot["rungs"]["b0"] != next(line["id"] for line in few_shot["lines"] if line["name"] == "bare")


def test_the_exemplars_of_the_shared_prompt_are_text_of_the_base_and_no_addition_of_a_method(
    few_shot: dict[str, Any],
) -> None:
    by_role = {line["role"]: line for line in few_shot["lines"]}
    assert (by_role["base"]["data_class"], by_role["prompt"]["data_class"]) == ("T", "Z")
    assert by_role["method"]["data_class"] == by_role["placebo"]["data_class"] == "V"
    assert by_role["base"]["ledger"]["foreign_tokens"] and not by_role["method"]["ledger"]["foreign_tokens"]
    assert any("asked with the prompt few_shot" in line for line in few_shot["warnings"])


def test_only_exemplars_in_the_prompt_are_excused_not_the_same_text_in_training() -> None:
    from elicit.ledger import beyond_prompt
    from elicit.records import LedgerRow
    from elicit.tasks.formal.task import FormalTask

    shared = FormalTask().prompts["few_shot"]
    text = shared.exemplars[0][0]
    rows = [
        LedgerRow("m", stage, "people", content_hash(content), "-", 0, 0, 9, 0, 0)
        for stage, content in (("prompt", text), ("prompt", "another text"), ("train", text))
    ]
    assert beyond_prompt(rows, shared) == rows[1:]
    assert beyond_prompt(rows, FormalTask().prompts["bare"]) == rows


def test_a_decoding_strategy_ignores_the_prompt_to_fit_on_and_its_exemplars(tmp_path: Path) -> None:
    code, result = elicit(*GREEDY, *SMALL, "fit.prompt=few_shot", cwd=tmp_path)
    run = RunFolder(tmp_path / result["runs"][0]["run"])
    assert code == 0 and run.manifest["data_class"] == "Z" and load_rows(run.ledger) == []


def test_an_unknown_prompt_to_fit_on_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*GREEDY, *SMALL, "fit.prompt=few_shots"]) == 2
    assert "fit.prompt='few_shots': did you mean few_shot?" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_prompt_of_rung_b1_is_named_with_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*GREEDY, *SMALL, "eval.prompts=[chekc]"]) == 2
    assert "eval.prompts='chekc': did you mean check?" in capsys.readouterr().err


@pytest.mark.parametrize(("made_for", "words"), [(None, 0), (40, 20), (40, 31), (40, 500), (2048, 500)])
def test_texts_beyond_the_positions_of_a_model_are_announced(made_for: int | None, words: int) -> None:
    (comparison,) = plan([["task=gsm8k", "tracker=none", "eval.max_new_tokens=10"]])
    printed: list[str] = []
    config = SimpleNamespace(max_position_embeddings=made_for)
    config.get_text_config = lambda *more: config
    bench = Bench(
        comparison,
        cast(Checkpoint, SimpleNamespace(name="twin", model=SimpleNamespace(config=config))),
        cast(Console, SimpleNamespace(say_once=printed.append)),
    )
    policy = cast(Policy, SimpleNamespace(prompt_ids=lambda question: question.split()))
    bench._warn_of_positions(policy, [make_item("t", "test", "word " * words + "?", "1")])
    if made_for and words + 1 + 10 > made_for:
        assert f"make {words + 11} tokens, twin was made for {made_for} positions" in printed[0]
    else:
        assert printed == []


@pytest.mark.parametrize("template", [None, "{{ messages }}"])
def test_the_prompt_chat_is_refused_by_name_if_the_tokenizer_has_no_template(template: str | None) -> None:
    def bench(*overrides: str) -> Bench:
        (comparison,) = plan([["task=gsm8k", "tracker=none", *overrides]])
        tokenizer = SimpleNamespace(chat_template=template)
        return Bench(comparison, cast(Checkpoint, SimpleNamespace(name="twin", tokenizer=tokenizer)), console)

    printed: list[str] = []
    console = cast(Console, SimpleNamespace(say_once=printed.append))
    if template:
        assert {"raw", "chat"} <= set(bench().prompts) and set(bench("eval.prompts=[chat]").prompts) == {"bare", "chat"}
    else:
        assert "raw" in bench().prompts and "chat" not in bench().prompts
        assert printed[0] == "prompt chat is refused: the tokenizer of twin has no chat template"
        with pytest.raises(ConfigError, match=r"eval\.prompts='chat': the tokenizer of twin has no chat template"):
            assert bench("eval.prompts=[chat]").prompts
    with pytest.raises(ConfigError, match=r"fit\.prompt='chat'"):
        bench().fitted_on("chat")
