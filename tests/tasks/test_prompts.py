"""Laws of prompts that a YAML or a command line adds to those of a task."""

from __future__ import annotations

import pytest

from elicit.commands.choices import show_choice
from elicit.config.build import Builder
from elicit.config.compose import Composer
from elicit.errors import ConfigError
from elicit.experiment.plan import plan
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.task import PromptFormat

TEMPLATE = "It's a riddle: {question}\nThink, then say 'The answer is', (a) or {{b}}:"


def added(value: str, name: str = "mine", task: str = "chain") -> dict[str, PromptFormat]:
    return Composer().settings([f"task={task}", f"task.prompts.{name}={value}"]).task.prompts


@pytest.mark.parametrize("task", ["chain", "gsm8k", "countdown", "small_math"])
def test_a_prompt_of_the_command_line_is_one_more_and_the_others_stay(task: str) -> None:
    fixed = Composer().settings([f"task={task}"]).task.prompts
    prompts = added(TEMPLATE, task=task)
    assert list(prompts) == [*fixed, "mine"] and {name: prompts[name] for name in fixed} == fixed
    question = "1 + 1?"
    assert prompts["mine"].render(question) == TEMPLATE.format(question=question)


@pytest.mark.parametrize(
    "text", ["{question}", "a, b: {question}", "{question}\\", 'say "{question}"', "=~{question}'"]
)
def test_a_template_needs_no_quotes_for_the_grammar_of_overrides(text: str) -> None:
    assert added(text)["mine"].template == text


def test_a_yaml_gives_exemplars_and_a_prefix() -> None:
    node = {
        "_class_": "elicit.tasks.formal.task.FormalTask",
        "prompts": {"mine": {"template": "Q: {question}\nA:", "exemplars": [["1 + 1?", "2."]], "prefix": " Well,"}},
    }
    builder = Builder()
    task = builder.value(node, FormalTask, "task")
    builder.raise_faults()
    assert task.prompts["mine"] == PromptFormat("mine", "Q: {question}\nA:", (("1 + 1?", "2."),), " Well,")
    assert task.prompts["mine"].render("3?") == "Q: 1 + 1?\nA: 2.\n\nQ: 3?\nA: Well,"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("bare", "{question}", "the task has a prompt of this name"),
        ("forced", "{question}", "the task has a prompt of this name"),
        ("mine", "no question", "does not hold the question"),
        ("mine", "{question} {b}", "every other brace twice"),
        ("mine", "{question}\\nAnswer:", "no line break"),
    ],
)
def test_a_prompt_that_can_not_be_asked_is_refused_in_the_plan(name: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan([["method=contrastive", f"task.prompts.{name}={value}", "dry_run=true"]])


def test_a_backslash_of_latex_is_no_line_break() -> None:
    assert added("Is $a \\neq b$? {question}")["mine"].template == "Is $a \\neq b$? {question}"


@pytest.mark.parametrize(
    "word", ["eval.prompts=[bare,step_bystep]", "eval.prompt=step_bystep", "fit.prompt=step_bystep"]
)
def test_an_unknown_prompt_is_refused_in_the_plan_with_near_matches(word: str) -> None:
    with pytest.raises(ConfigError, match=r"step_bystep.*did you mean step_by_step"):
        plan([["method=contrastive", word]])


def test_the_setting_is_shown_under_the_name_that_one_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_choice(["task=chain"]) == 0
    shown = capsys.readouterr().out
    assert "  prompts: " in shown and "added:" not in shown


def test_a_pickled_task_keeps_its_added_prompts() -> None:
    import pickle

    task = Gsm8k(added={"mine": "{question}!"})
    assert pickle.loads(pickle.dumps(task)).prompts == task.prompts
