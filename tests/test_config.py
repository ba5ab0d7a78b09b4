"""Laws of configuration: data only, strict, all faults at once, every shipped YAML builds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from elicit.config import EvalPlan, Experiment, Sweep
from elicit.config import compose as config
from elicit.config.build import Builder, build
from elicit.config.compose import build_settings, choices, compose, sweep_jobs
from elicit.errors import ConfigError
from elicit.experiment.plan import plan

ROOT = Path(__file__).parents[1]
FILES = sorted(str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml"))
QUIET = ["tracker=none"]


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    rate: float = 0.5
    names: tuple[str, ...] = ()
    limit: int | None = None


@pytest.mark.parametrize("name", [f for f in FILES if f.split("/")[0] not in ("config.yaml", "experiment", "sweep")])
def test_every_yaml_builds(name: str) -> None:
    node = yaml.safe_load((ROOT / "configs" / name).read_text())
    node.pop("defaults", None)
    node = {key: "given" if value == "???" else value for key, value in node.items()}
    assert build(node, name) is not None


@pytest.mark.parametrize("name", [name for name in choices("experiment") if not name.startswith("study/")])
def test_every_experiment_composes_into_jobs_with_a_control_each(name: str) -> None:
    comparisons = plan([[f"experiment={name}", *(() if name == "anchors" else ("model.path=given",)), *QUIET]])
    # each published figure has its own base; headroom compares tasks, without a method
    assert len(comparisons) == 1 or name in ("anchors", "headroom")
    for comparison in comparisons if name != "headroom" else ():
        methods = {job.name for job in comparison.jobs if job.role == "method"}
        controlled = {job.parent for job in comparison.jobs if job.role == "placebo"}
        if name == "threshold":  # every method at three budgets, METHOD-BUDGET, with its control at one of them
            assert controlled < methods and len(methods) == 3 * len(controlled)
            methods, controlled = ({one.rsplit("-", 1)[0] for one in names if one} for names in (methods, controlled))
        assert methods and methods == controlled
    assert Builder().instance(Experiment, compose([f"experiment={name}", "model.path=x"])["experiment"], "e")


@pytest.mark.parametrize("name", choices("sweep"))
def test_every_sweep_multiplies_jobs(name: str) -> None:
    axes = yaml.safe_load(choices("sweep")[name].read_text())
    sweep = Builder().instance(Sweep, axes, "sweep")
    expected = len(list(itertools.product(*sweep.axes.values())))
    assert len(sweep_jobs([f"sweep={name}"])) == expected


@pytest.mark.parametrize("typo", ["method.item=3", "+method.item=3", "++method.item=3"])
def test_a_typo_is_refused_with_its_near_match_however_it_came_in(typo: str) -> None:
    with pytest.raises(ConfigError, match=r"method\.item: .*did you mean .*items"):
        build_settings(compose(["method=contrastive", typo]))


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as fault:
        build_settings(
            compose(["method=contrastive", "method.typo=1", "eval.n=many", "task.familly=add", "placebos=two"])
        )
    for part in ("4 faults", "method.typo", "eval.n='many'", "task.familly", "placebos='two'"):
        assert part in str(fault.value)


def test_an_unknown_choice_names_near_matches() -> None:
    with pytest.raises(ConfigError, match="did you mean contrastive"):
        compose(["method=contrastve"])
    with pytest.raises(ConfigError, match="no such setting"):
        build_settings(compose(["plcebos=one"]))


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "elicit.errors.near", "methodsx.evil.Class"])
def test_only_dataclasses_of_known_packages_are_built(name: str) -> None:
    with pytest.raises(ConfigError):
        build({"_class_": name}, "method")


def test_an_unknown_package_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="allow_classes"):
        build({"_class_": "planted_module.Thing"}, "method")


def test_values_are_checked_against_the_types_of_the_fields() -> None:
    built = Builder().instance(Outer, {"inner": {"width": 3}, "rate": 1, "names": ["a"], "limit": None}, "o")
    assert built == Outer(Inner(3), 1.0, ("a",), None)
    builder = Builder()
    builder.instance(Outer, {"inner": {"width": "wide"}, "rate": "high", "names": "a", "limit": 1.5}, "o")
    assert len(builder.faults) == 4


def test_defaults_stand_in_the_dataclass_and_overrides_reach_fields_that_no_yaml_states() -> None:
    chosen = build_settings(compose(["method=contrastive", "method.dev_items=7", "eval.limit=null"]))
    assert chosen.method.dev_items == 7 and chosen.eval == EvalPlan(limit=None, prompt_limit=200, prompt_n=4)


def test_a_fault_of_a_constructor_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="eval: n=0"):
        build_settings(compose(["eval.n=0"]))


def test_a_placebo_of_a_method_is_one_of_its_own() -> None:
    named = build_settings(compose(["method=contrastive", "method.placebo=labels_permuted"]))
    assert named.arm == "placebo:labels_permuted"
    with pytest.raises(ConfigError, match=r"placebo='labels_permutd'.*labels_permuted"):
        build_settings(compose(["method=contrastive", "method.placebo=labels_permutd"]))


@pytest.mark.parametrize(
    "override", ["seed=1,2", "method.name=right, and wrong", "eval.n=range(1,3)", "method=contrastive,decoding"]
)
def test_several_values_without_a_sweep_are_an_error_that_names_the_ways_to_write_them(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["method=contrastive", override])
    words, key = str(caught.value), override.partition("=")[0]
    assert words.startswith(f"{override}: several values") and "elicit -m" in words
    assert "Ambiguous" not in words and "++" not in words
    assert key == "method" or f"{key}=\"'a, b'\"" in words


def test_a_sweep_is_the_product_of_its_axes() -> None:
    jobs = sweep_jobs(["seed=1,2", "eval.n=4,8", "method=contrastive"])
    assert len(jobs) == 4 and ["seed=2", "eval.n=4", "method=contrastive"] in jobs


def test_seeds_share_a_name_and_an_arm_and_other_settings_do_not() -> None:
    (seeds,) = plan(sweep_jobs(["method=contrastive", "seed=1,2", *QUIET]))
    assert len({job.name for job in seeds.jobs}) == 1 and len({job.arm for job in seeds.jobs}) == 1
    (cells,) = plan(sweep_jobs(["method=contrastive", "method.items=8,16", *QUIET]))
    assert len({job.name for job in cells.jobs}) == 2 and len({job.arm for job in cells.jobs}) == 2


def test_arms_of_one_method_are_named_after_what_differs_and_tasks_name_their_comparisons() -> None:
    (critics,) = plan(sweep_jobs(["method=critique_ft", "method/critic=self,program", "placebos=one", *QUIET]))
    assert [job.name for job in critics.jobs if job.role == "method"] == ["critique_ft-self", "critique_ft-program"]
    assert {job.parent for job in critics.jobs if job.role == "placebo"} == {"critique_ft-self", "critique_ft-program"}
    (items,) = plan(sweep_jobs(["method=contrastive", "method.items=8,16", *QUIET]))
    assert [job.name for job in items.jobs] == ["contrastive-items8", "contrastive-items16"]
    tasks = plan(sweep_jobs(["method=contrastive", "task=chain,add", "group=g", "tracker=none"]))
    assert [comparison.group for comparison in tasks] == ["g-chain", "g-add"]
    limits = plan(sweep_jobs(["method=contrastive", "eval.limit=8,9", "group=g", "tracker=none"]))
    assert len({comparison.group for comparison in limits}) == 2


def test_the_draws_of_a_placebo_are_one_row_and_share_its_samples() -> None:
    (drawn,) = plan([["method=contrastive", "seed=2", "placebos=one", "placebo_seeds=3", "eval.n=16", *QUIET]])
    method, *placebos = drawn.jobs
    assert (method.role, method.n) == ("method", 16) and [job.role for job in placebos] == ["placebo"] * 3
    assert [job.settings.seed for job in placebos] == [2, 1002, 2002]
    assert len({(job.name, job.arm) for job in placebos}) == 1 and [job.n for job in placebos] == [6, 6, 6]
    with pytest.raises(ConfigError, match="placebo_seeds=0"):
        plan([["method=contrastive", "placebo_seeds=0", *QUIET]])


def test_a_foreign_methods_package_is_refused_with_both_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = [str(tmp_path)]  # noqa: RUF012

    monkeypatch.setattr(config.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(ConfigError) as fault:
        config.check_methods_package()
    assert str(tmp_path) in str(fault.value) and str(ROOT / "methods") in str(fault.value)


def test_comparisons_of_other_methods_are_other_groups() -> None:
    def group(*names: str) -> str:
        return plan([["method=decoding", f"method/strategy={name}", *QUIET] for name in names])[0].group

    assert group("greedy", "cot_decoding") == "greedy+cot_decoding-chain-organism"
    many = ("greedy", "cot_decoding", "best_of_n", "deepconf")
    assert group(*many) != group(*many[:3], "modulo") and group(*many).startswith("4-methods-")


def test_a_configuration_is_composed_inside_a_running_hydra_application() -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(config_dir=str(ROOT / "configs"), version_base="1.3"):
        application = GlobalHydra.instance().hydra
        assert compose(["seed=3"])["seed"] == 3
        with pytest.raises(ConfigError):
            compose(["~nothing"])
        assert GlobalHydra.instance().hydra is application


def test_a_glob_of_a_sweep_takes_the_choices_that_match() -> None:
    jobs = sweep_jobs(["method=glob(rl*)", "model=organism", "task=chain"])
    wanted = [f"method={name}" for name in choices("method") if name.startswith("rl")]
    assert wanted and [job[0] for job in jobs] == wanted


@pytest.mark.parametrize("path", ["~/mine.jsonl", "data/epoch=9.jsonl", "data/größe.jsonl", "a b/x.jsonl"])
def test_paths_need_no_quotes_for_the_grammar_of_overrides(path: str) -> None:
    assert compose(["model=organism", "task=jsonl", f"task.path={path}"])["task"]["path"] == path
