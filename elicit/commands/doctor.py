"""`elicit doctor`: what this machine has, which servers answer, whether each kind of intervention works.

ok     a fact or a check that passed          fix    a check that failed, and what to do
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elicit.commands.arguments import Command
from elicit.config.build import plugins
from elicit.config.compose import Composer, check_methods_package, config_dirs
from elicit.console import Console
from elicit.errors import ElicitError
from elicit.experiment.provenance import versions
from elicit.track import has_key, reachable, resolve_mode

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Task

DOCTOR = Command("doctor: settings only, such as model=organism", names=0, overrides=("model",))
Line = tuple[bool, str, str]
"""(passed, what, fix)"""


def doctor(words: list[str]) -> int:
    """Print every check; exit code 1 if one failed."""
    given = DOCTOR.read(words)
    failed, console = 0, Console()
    for check in (_python, _packages, _space, _configs, _network, lambda: _model(given.overrides)):
        for passed, what, fix in _safely(check):
            failed += not passed
            console.say(f"{'ok ' if passed else 'fix'}  {what}" + ("" if passed else f"\n     -> {fix}"))
    return 1 if failed else 0


def _safely(check: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """The lines of a check; an error in the check itself is a line too: the others are still reported."""
    try:
        yield from check()
    except ElicitError as fault:
        yield False, type(fault).__name__, str(fault)
    except Exception as fault:
        yield (
            False,
            f"{getattr(check, '__name__', 'check')}: {type(fault).__name__}: {fault}",
            "read the error; reinstall with `make`",
        )


def _python() -> Iterator[Line]:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield fits, f"Python {version}", "use Python 3.11-3.13 (3.14 crashes hydra 1.3): make clean; make PYTHON=python3.12"
    threads, cores = os.environ.get("OMP_NUM_THREADS", "unset"), os.cpu_count()
    yield (
        True,
        f"{cores} cores, OMP_NUM_THREADS {threads} (set it to 1 next to other programs)",
        "",
    )


def _packages() -> Iterator[Line]:
    optional = {"elicit-workbench"}
    for name, version in versions().items():
        yield (
            version is not None or name in optional,
            f"{name} {version or 'not installed'}",
            "make (installs under constraints.txt)",
        )
    pinned = {"latex2sympy2_extended": "1.10", "hydra-core": "1.3"}
    for name, start in pinned.items():
        version = versions()[name]
        if version and not version.startswith(start):
            yield (
                False,
                f"{name} {version}",
                f"pip install '{name}=={start}.*': another version grades or composes differently",
            )


def _space() -> Iterator[Line]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield free > 2, f"{free:.1f} GiB free on disk here", "free some space, or set root= to a folder on another disk"
    try:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError, AttributeError):
        return
    yield memory > 1, f"{memory:.1f} GiB of memory free", "close other programs, or choose a smaller model"


def _configs() -> Iterator[Line]:
    check_methods_package()
    yield True, f"configs in {', '.join(str(folder) for folder in config_dirs())}", ""
    yield True, f"plug-ins: {', '.join(plugins()) or 'none'}", ""


def _network() -> Iterator[Line]:
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        yield True, "hub: HF_HUB_OFFLINE=1, cached models and local folders only", ""
    else:
        answer = "answers" if reachable(hub, 3) else "does not answer: the organism, local folders and GGUF files work"
        yield True, f"hub: {hub} {answer}", ""
    mode, why = resolve_mode("auto")
    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    yield True, f"wandb: {mode} ({why}); key {'present' if has_key(url) else 'absent'}", ""


def _model(overrides: Sequence[str]) -> Iterator[Line]:
    """The chosen checkpoint: its layers, and two tokens under each kind of intervention."""
    import torch

    from elicit.policy.checkpoint import load_checkpoint
    from elicit.policy.layers import blocks

    yield True, _device_line(), ""
    chosen = Composer().settings(overrides)
    checkpoint = load_checkpoint(chosen.model)
    info = checkpoint.info()
    layers = len(blocks(checkpoint.model))
    facts = f"{info['n_parameters']:,} parameters, {layers} layers, width {info['width']}, {info['dtype']}"
    yield True, f"model {info['name']}: {facts}, {info['attention']}", ""
    for note in info["notes"]:
        yield True, f"model: {note}", ""
    yield (
        bool(checkpoint.eos_ids),
        f"end-of-text tokens: {sorted(checkpoint.eos_ids)}",
        "the tokenizer defines none: completions end at stop strings or the token limit",
    )
    torch.manual_seed(0)
    for name, passed in _smoke(checkpoint, chosen.task):
        yield (
            passed,
            f"smoke test, two tokens: {name}",
            "the edit had no effect or was not undone: report the model's architecture",
        )


def _smoke(checkpoint: Checkpoint, task: Task) -> Iterator[tuple[str, bool]]:
    """Each kind of intervention changes the logits (decoding: writes two tokens) and leaves the model as it was."""
    import torch

    from elicit.policy import policy as policies
    from elicit.policy.activations import ActivationEdit, Edit
    from elicit.policy.decoding import PickRule, Regime
    from elicit.policy.layers import blocks
    from elicit.policy.weights import WeightEdit
    from elicit.sampling.sample import sample

    base = policies.Policy(checkpoint)
    items, greedy = task.items("dev", 1), Regime("greedy", PickRule(temperature=0.0))

    def two_tokens(policy: Policy) -> list[float]:
        return sample(policy, items, [0], greedy, task, max_new_tokens=2)[0][2].path.logprobs

    before = two_tokens(base)
    width = checkpoint.model.get_input_embeddings().weight.shape[1]
    push = torch.randn(width) * 10
    inside = {id(parameter) for parameter in blocks(checkpoint.model)[0].parameters()}
    name, weight = next((n, p) for n, p in checkpoint.model.named_parameters() if p.ndim == 2 and id(p) in inside)
    edits: dict[str, Intervention] = {
        "activations": ActivationEdit((Edit(0, push, "add", 1.0, "onward"),)),
        "weights": WeightEdit({name: torch.randn(weight.shape) * weight.detach().float().std().cpu()}),
    }
    for kind, edit in edits.items():
        changed = two_tokens(base.with_intervention(edit)) != before
        yield f"{kind} act and are undone", changed and two_tokens(base) == before
    yield "decoding writes tokens", bool(before)


def _device_line() -> str:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        return f"GPU {properties.name}, {memory}, CUDA {torch.version.cuda}, torch {torch.__version__}"
    return f"no GPU in use (torch {torch.__version__}, {torch.get_num_threads()} threads)"
