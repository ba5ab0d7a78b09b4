"""Laws of the rungs and ceilings that cost extra: measured like everything else, refused with a reason, made once.

Whole runs on the shipped twin, a few items each.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from elicit.cli import main
from elicit.config import EvalPlan
from elicit.config.compose import build_settings, compose
from elicit.errors import ConfigError
from elicit.evaluate.entry import Entry
from elicit.experiment.ceilings import renders
from elicit.experiment.plan import plan
from elicit.experiment.run import frozen_plan
from elicit.files import read_json
from elicit.policy.checkpoint import wrap
from methods.decoding.budget_forcing import ForcedTo
from methods.decoding.plain import Greedy
from tests.sampling.models import tiny_model, tokenizer
from tests.test_run import SMALL, elicit

CONFIGS = Path(__file__).parents[1] / "configs"
EXTRA = [
    *SMALL, "eval.prompts=[bare,step_by_step]", "eval.prompt_limit=2", "eval.prompt_n=1", "eval.own_prompts=false",
    "eval.b2._class_=methods.decoding.forced_to.ForcedTo", "eval.ceilings=[C3,C4]", "eval.sibling=organism",
    "eval.c3._class_=elicit.training.sft.gold.GoldSft", "eval.c3.items=4", "eval.c3.sft={steps: 2, batch: 2}",
    "eval.annotate=true", "eval.annotate_limit=3", "eval.annotate_n=1", "group=extra",
    "method=decoding", "method/strategy=self_consistency", "method.strategy.n=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("extra")
    code, result = elicit(*EXTRA, cwd=folder)
    assert code == 0, result
    return folder, result["comparisons"][0]


def by_name(comparison: dict[str, Any]) -> dict[str, Any]:
    return {line["name"]: line for line in comparison["lines"]}


def test_b2_c2_and_c3_are_rows_and_their_gaps_are_divided_by(measured: Any) -> None:
    found = by_name(measured[1])
    method, (b2,) = found["self_consistency"], [name for name in found if name.startswith("B2")]
    assert set(measured[1]["ceilings"]) == {"C1", "C2", "C3", "C4"} and {"C2", "C3"} <= set(found)
    assert (method["notes"]["split/against"], method["notes"]["split/b2"]) == ("B2", b2)
    spent = [line["values"]["cost/tokens"]["point"] for line in (found[b2], method)]
    assert spent[0] >= 0.9 * spent[1]
    assert found[b2]["prompt"] == measured[1]["rungs"]["b1_prompt"] and measured[1]["rungs"]["b2"] == [found[b2]["id"]]
    assert {"ef/B0/C2", "ef/B1/C2", "ef/B0/C3", "ef/B1/C3"} <= set(method["values"])
    assert (found["C2"]["data_class"], found["C3"]["data_class"]) == ("T", "T") and found["C3"]["ledger"]["label_bits"]
    assert found["base"]["notes"]["kl/n_items"] == 3 and method["values"]["kl/bound"]


def test_resumed_nothing_is_fitted_or_sampled_again(measured: Any) -> None:
    folder, before = measured
    kept = {path: path.stat().st_mtime_ns for name in ("tensors.safetensors", "shard-*.parquet")
            for path in folder.rglob(name) if "grades" not in path.parts}  # fmt: skip
    run = next(folder.glob("runs/*self_consistency*"))
    code, after = elicit("resume", str(run), "output=json", cwd=folder)
    assert code == 0 and kept and all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert [line["curves"] for line in after["comparisons"][0]["lines"]] == [line["curves"] for line in before["lines"]]


def test_a_run_knows_its_rung_and_can_be_compared_elsewhere(measured: Any) -> None:
    folder, _ = measured
    run = next(folder.glob("runs/*self_consistency*"))
    (entry,) = [Entry.of(plain) for plain in read_json(run / "manifest.json")["entries"]]
    assert str(entry.b2).startswith("B2")
    again = folder / "runs" / "comparisons" / "extra" / "inputs.json"
    assert {Entry.of(plain).b2 for plain in read_json(again)["entries"]} == {None, entry.b2}


C1 = [*SMALL, "eval.ceilings=[C1]", "eval.support_n=4", "eval.prompt_limit=2", "eval.prompt_n=1"]


def sampled(comparison: dict[str, Any]) -> tuple[str, str, str]:
    """C1's prompt and policy, and the policy of the base."""
    found = by_name(comparison)
    return found["C1"]["prompt"], found["C1"]["id"], found["base"]["id"]


def test_c1_is_drawn_from_b1_s_policy_and_its_choice_costs_the_same_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elicit.experiment.bench.choose_b1", lambda on_dev: "step_by_step")
    words = [*C1, "eval.prompts=[bare,step_by_step]", "eval.c1_prompt=best", "group=best"]
    code, result = elicit(*words, cwd=tmp_path)
    assert code == 0
    (comparison,) = result["comparisons"]
    prompt, policy, base = sampled(comparison)
    assert (prompt, policy) == ("step_by_step", comparison["rungs"]["b1"]) and policy != base
    rung = next(one for one in comparison["lines"] if one["role"] == "prompt")
    assert by_name(comparison)["C1"]["ledger"]["select_bits"] == rung["ledger"]["select_bits"] == 2 * 2
    page = (tmp_path / "runs" / "comparisons" / "best" / "report" / "report.html").read_text()
    assert "drawn at the prompt &ldquo;step_by_step&rdquo;" in page


def test_without_b1_c1_is_drawn_at_the_bare_prompt_from_the_samples_that_bare_would_draw(tmp_path: Path) -> None:
    drawn = []
    for chosen in ("best", "bare"):
        code, result = elicit(*C1, f"eval.c1_prompt={chosen}", f"group={chosen}", cwd=tmp_path)
        assert code == 0
        prompt, policy, base = sampled(result["comparisons"][0])
        assert prompt == "bare" and policy == base
        drawn.append(
            {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/store/samples/*/support-*/shard-*")}
        )
    assert drawn[0] == drawn[1] != {}


def test_a_plan_that_draws_c1_at_the_bare_prompt_is_frozen_as_it_was_before_there_was_a_choice(tmp_path: Path) -> None:
    frozen = {}
    for words in ((), ("eval.c1_prompt=bare",), ("eval.c1_prompt=best",)):
        (comparison,) = plan([[*C1, *words]])
        bench = cast(Any, SimpleNamespace(comparison=comparison, checkpoint=SimpleNamespace(id="base"), items=[]))
        frozen[words] = frozen_plan(bench)["eval"]
    assert frozen[()] == frozen["eval.c1_prompt=bare",] and "c1_prompt" not in frozen[()]
    assert frozen["eval.c1_prompt=best",] == {**frozen[()], "c1_prompt": "best"}


def test_every_preset_of_a_real_base_draws_c1_at_b1_s_prompt_or_at_one_with_exemplars() -> None:
    drawn = {}
    for name in sorted(path.stem for path in CONFIGS.glob("experiment/*.yaml")):
        needed = ["model.path=a.gguf"] if name == "real_smoke" else []
        chosen = build_settings(compose([f"experiment={name}", *needed]))
        if chosen.eval.support_n is not None and "C1" in chosen.eval.ceilings:
            organism = str(chosen.model.path).startswith("organism")
            drawn[name] = (organism, chosen.eval.prompt, chosen.eval.c1_prompt)
    assert {"demo", "real_base", "headroom", "five_methods_day"} <= set(drawn)
    right = {(True, "bare", "bare"), (False, "bare", "best"), (False, "few_shot", "bare")}
    assert set(drawn.values()) <= right, drawn


def test_a_sibling_that_can_not_read_the_prompt_is_refused_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elicit.experiment.ceilings.renders", lambda checkpoint, text: False)
    code, result = elicit(*SMALL, "eval.sibling=organism", "eval.ceilings=[C4]", cwd=tmp_path)
    assert code == 0 and "can't render the prompt" in result["comparisons"][0]["ceilings"]["C2"]["refused"]


def test_a_task_without_steps_in_its_gold_has_no_c3(tmp_path: Path) -> None:
    lines = "".join(f'{{"question": "What is {i} + 1?", "answer": "{i + 1}"}}\n' for i in range(60))
    (tmp_path / "mine.jsonl").write_text(lines)
    code, result = elicit(
        *SMALL, "task=jsonl", f"task.path={tmp_path / 'mine.jsonl'}", "eval.ceilings=[C3]", cwd=tmp_path
    )
    assert code == 0 and "no steps to learn" in result["comparisons"][0]["ceilings"]["C3"]["refused"]


def test_a_tokenizer_renders_what_comes_back_from_it() -> None:
    checkpoint = wrap(tiny_model(), tokenizer())
    assert renders(checkpoint, "Question: Add 4.\nAnswer:")
    checkpoint.decode = lambda ids: "<unk>"  # type: ignore[method-assign]
    assert not renders(checkpoint, "Question: Add 4.\nAnswer:")


def test_settings_that_are_no_strategy_or_method_are_refused() -> None:
    assert EvalPlan(b2=ForcedTo()).b2 == ForcedTo()
    for wrong, lacking in (({"b2": Greedy()}, "tokens"), ({"c3": ForcedTo()}, "fit")):
        with pytest.raises(ConfigError, match=lacking):
            EvalPlan(**wrong)
    assert main(["show", "eval=full"]) == 0
