"""Overrides that no plan may be made of: names, control characters, numbers, classes, secrets, grammar."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.malformed.case import Case


@functools.cache
def composer() -> Any:
    """One for all cases: they share a composition, so that each costs milliseconds."""
    from elicit.config.compose import Composer

    return Composer()


def _override_case(family: str, *words: str, names: str = "", many: bool = False) -> Case:
    def try_it(folder: Path) -> Any:
        from elicit.config.compose import sweep_jobs
        from elicit.experiment.plan import plan

        return plan(sweep_jobs(words, composer()) if many else [list(words)], composer())

    return Case(family, words[-1][:60], try_it, names or words[-1].split("=")[0].lstrip("+~"))


def override_cases() -> Iterator[Case]:
    """Overrides that no plan may be made of. All start from one composition, so that each costs milliseconds."""
    base = ["method=decoding", "method/strategy=temperature", "model=organism", "task=chain", "tracker=none"]
    names = {
        "../../escaped",
        "/absolute/path",
        ".",
        "..",
        "a/b",
        "a\\\\b",
        "x" * 300,
        "~",
        "-flag",
        ".hidden",
        "é" * 100,
    }
    for name in sorted(names):
        yield _override_case("names", *base, f"group='{name}'", names="group")
    for word in ("group=''", "group='  '", "root=''", "root='  '"):
        yield _override_case("names", *base, word)
    for control in ("\x1b[31mred", "a\0b", "a\rb", "\u202eevil", "a\x07", "\ud83d"):
        for key in ("group", "root", "template"):
            yield _override_case("control characters", *base, f"{key}='{control}'", names=key)
    for key in ("method.strategy.temperature", "method.strategy.top_p"):
        for value in ("nan", "inf", "-inf", "1e999", "text", "[1]", "{a: 1}", "null", "true", "''"):
            yield _override_case("numbers", *base, f"{key}={value}", names=key)
    for key in ("seed", "eval.n", "eval.limit", "parallel", "placebo_seeds", "eval.workers", "eval.bootstrap_draws"):
        for value in ("-1", "nan", "0.5", "text", "[1]", "true", "{a: 1}"):
            yield _override_case("numbers", *base, f"{key}={value}", names=key.rpartition(".")[2])
    yield _override_case("numbers", *base, "seed=18446744073709551616", names="seed")
    tasks, method = "elicit.tasks.natural.gsm8k.Gsm8k", "methods.decoding.method.Decoding"
    for group, classes in {
        "method": (tasks, "elicit.track.NoTracker", "elicit.policy.checkpoint.CheckpointConfig"),
        "task": (method, "elicit.track.NoTracker", "elicit.policy.checkpoint.CheckpointConfig"),
        "model": (method, tasks, "elicit.track.NoTracker"),
        "tracker": (method, tasks, "elicit.policy.checkpoint.CheckpointConfig"),
    }.items():
        for cls in classes:
            yield _override_case("classes", *base, f"{group}={{_class_: {cls}}}", names=group)
        for cls in ("os.system", "elicit.nothing.X", "elicit..X", "elicit.errors.near", "''", "7", "subprocess.Popen"):
            yield _override_case("classes", *base, f"{group}._class_={cls}", names=group)
        for value in ("7", "text", "[]", "null"):
            if (group, value) != ("method", "null"):
                yield _override_case("classes", *base, f"{group}={value}", names=group)
    for word in (
        "group=${oc.env:HF_TOKEN}",
        "root=${oc.env:WANDB_API_KEY,x}",
        "group=${oc.env:MY_PASSWORD}",
        "root=${oc.decode:${oc.env:AWS_SECRET_ACCESS_KEY}}",
    ):
        yield _override_case("secrets", *base, word, names="root" if "decode" in word else "a secret")
    for secret in ("'https://user:hunter22@host/x'", "hf_abcdefghijklmnopqrstuvwx", "'https://h/?api_key=abcdef'"):
        yield _override_case("secrets", *base, f"template={secret}", names="a secret")
    for word in (
        "metod=x",
        "method=decodng",
        "seed",
        "seed=",
        "=1",
        "seed=1,2",
        "eval.nn=3",
        "a/b=c",
        "+",
        "~",
        "x=${y}",
        "group=${group}",
        "root=${nothing}",
        "group=${oc.env:NOT_SET_ANYWHERE}",
        "eval=[1",
        "eval={a",
        "eval.n=choice(1,2)",
        "seed=range(1,3)",
        "seed=!!python/none",
        "group=a,b",
        "eval.ceilings=C9",
        "placebos=some",
        "output=xml",
        "experiment=nothing",
        "sweep=nothing",
        "allow_classes=7",
        "node=x",
        "arm=7",
    ):
        yield _override_case("grammar", *base, word, names=word.split("=")[0].strip("+~") or word)
    for word in ("method=glob(zz*)", "seed=range(1,2,0)", "seed=choice()", "eval.n=interval(1,2)"):
        yield _override_case("grammar", *base[1:], word, names=word.split("=")[0], many=True)
    for path in ("/no/such/file.jsonl", "'~/no_such_file.jsonl'", "data/epoch=9.jsonl", "data/größe.jsonl"):
        yield _override_case("files", *base[:3], "task=jsonl", f"task.path={path}", names="no such file")
    for word in ("method.dose_items=0", "method.items=1", "method.halvings=-1", "method.strengths=[]"):
        yield _override_case("numbers", "method=sae_steering", *base[2:], word, names=word.split("=")[0][7:])
    for word in (f"tracker.tags=[{'t' * 70}]", "tracker.tags=['']", "tracker.timeout=0", "tracker.patience=-1"):
        yield _override_case("numbers", *base[:-1], "tracker=wandb", word, names="tracker")
