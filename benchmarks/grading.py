"""Grading against Math-Verify called one by one: the same answers, the same verdicts.

    python benchmarks/grading.py [--answers 10000] [--sample 400] [--workers 1] [--repeats 1] [--out grading]

Two mixtures of completions as a comparison grades them, 16 samples per item, each with its own working:

    plain    numbers (right, wrong, with units and separators, cut off, without an answer) and boxed expressions; the
             expressions are eight golds and the wrong answers are of eight too, so few pairs differ in the whole set
    varied   every item has its own gold and its own few wrong answers, written in several ways, half of the expressions
             of other kinds (sets, intervals, equations, cube roots, functions, matrices: the first three and the last
             are taken apart, the others go to SymPy), answers in boxes, in sentences, and in neither

Arm one is the grader of training and evaluation (`tasks.grader.Grader`: exact path, cache, pool) on all answers with
an empty cache; the start of its processes counts. Arm two is `math_verify.parse` and `verify` of the gold and the
completion, one after the other, on a random sample of the same answers, extrapolated; its imports do not count.
Both arms' clock is processor time, the pool's processes included. Target: 20 times as fast on the plain mixture.
Each repeat draws other answers (seed + repeat); the facts are those of the first.
`lenient_agreement` is the share of that sample for which our lenient verdict equals arm two's.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Task, make_item

MATH = (r"\frac{1}{2}", "2x+3", r"\sqrt{2}", "(1, 2)", r"\frac{\pi}{4}", "x^2-1", r"3\sqrt{5}", "12")
WRONG_MATH = (r"\frac{1}{3}", "2x-3", r"\sqrt{3}", "(2, 1)", r"\frac{\pi}{3}", "x^2+1", r"5\sqrt{3}", "13")
GOLDS = (  # (gold, another notation of it, a wrong one) of three integers
    ("{a}", "{a}.0", "{b}"), (r"\frac{{{a}}}{{{p}}}", r"\dfrac{{{a}}}{{{p}}}", r"\frac{{{p}}}{{{a}}}"),
    (r"{a}\sqrt{{{p}}}", r"\sqrt{{{p}}}\cdot {a}", r"{b}\sqrt{{{p}}}"), ("{a}x+{b}", "{b} + {a}x", "{b}x+{a}"),
    ("x^2-{a}x+{b}", "x^2 + {b} - {a}x", "x^2+{a}x+{b}"), (r"\frac{{{a}\pi}}{{{p}}}", r"{a}\pi/{p}", r"{a}\pi"),
    ("({a}, {b})", r"\left({a},{b}\right)", "({b}, {a})"), (r"\{{{a}, {b}\}}", r"\{{{b},{a}\}}", r"\{{{a}\}}"),
    ("[{a}, {c})", r"\left[{a}, {c}\right)", "({a}, {c}]"), ("y={a}x+{b}", "y = {b}+{a}x", "y={a}x-{b}"),
    (r"{a}\sqrt[3]{{{p}}}", r"{a} \cdot {p}^{{1/3}}", r"{b}\sqrt[3]{{{p}}}"),
    (r"{a}\cos {b}^\circ", r"{a}\cos({b}^\circ)", r"{a}\sin {b}^\circ"),
    (r"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}", r"\begin{{pmatrix}} {a} \\ {b} \end{{pmatrix}}",
     r"\begin{{pmatrix}}{b}\\{a}\end{{pmatrix}}"),
)  # fmt: skip
BOXED = ("the value is \\boxed{{{}}}.", "$\\boxed{{{}}}$.", "Hence $v = \\boxed{{{}}}$ and that is all.")
STATED = ("The answer is ${}$.", "So it must be ${}$")


def numbers(count: int, rng: random.Random) -> list[GradeRequest]:
    """Completions of word problems with a numeric gold; 16 samples per item."""
    jobs = []
    while len(jobs) < count:
        gold = rng.choice((rng.randint(1, 99), rng.randint(100, 99_999)))
        item = make_item("gsm8k", "test", f"Problem {len(jobs)}: how many?", str(gold))
        for _ in range(16):
            given = gold if rng.random() < 0.4 else gold + rng.randint(1, 9)
            work = f" By step {rng.randrange(10**6)}: {given - 1} + 1 = {given}. "
            text = rng.choice((
                f"{work}The answer is {given}.", f"{work}The answer is ${given:,}.",
                f"{work}The answer is {given} apples.", f"{work}So it is \\boxed{{{given}}}.",
                f"{work}That makes {given}", " I do not know how.",
            ))  # fmt: skip
            jobs.append(GradeRequest(item, text, rng.random() < 0.95))
    return jobs[:count]


def expressions(count: int, rng: random.Random) -> list[GradeRequest]:
    """Completions of problems with a symbolic gold; 16 samples per item."""
    jobs = []
    while len(jobs) < count:
        k = rng.randrange(len(MATH))
        item = make_item("math", "test", f"Problem {len(jobs)}: evaluate.", MATH[k])
        for _ in range(16):
            given = MATH[k] if rng.random() < 0.5 else rng.choice(WRONG_MATH)
            text = f" By step {rng.randrange(10**6)} the value is \\boxed{{{given}}}."
            jobs.append(GradeRequest(item, text, True))
    return jobs[:count]


def varied_numbers(count: int, rng: random.Random) -> list[GradeRequest]:
    """The same with lines of working, tags, prices, fractions and asides after the answer."""
    jobs = []
    while len(jobs) < count:
        gold = rng.choice((rng.randint(1, 99), rng.randint(100, 99_999)))
        item = make_item("gsm8k", "test", f"Problem {len(jobs)}: how much is it?", str(gold))
        wrong = [gold + rng.randint(1, 30) for _ in range(4)]
        for _ in range(16):
            given, by = (gold if rng.random() < 0.4 else rng.choice(wrong)), rng.randint(2, 9)
            work = f" Each has {by}, so {by} * {given} = {by * given}.\nThen {by * given} / {by} = {given}. "
            text = work + rng.choice((
                f"The answer is {given}.", f"The answer is ${given:,}.00.", f"The answer is {given} apples a day.",
                f"#### {given}", f"So it is \\boxed{{{given}}}.", f"So they have {given} apples left.",
                f"So it costs ${given} in {by} weeks.", f"That is {given}/{by} of it, or {given} dollars", "Who knows?",
            ))  # fmt: skip
            jobs.append(GradeRequest(item, text, rng.random() < 0.95))
    return jobs[:count]


def varied_expressions(count: int, rng: random.Random) -> list[GradeRequest]:
    """Every item with a gold of its own, two ways to write it, and three wrong answers."""
    jobs = []
    while len(jobs) < count:
        a, p = rng.randint(2, 40), rng.choice((7, 11, 13, 17, 19))
        sides = [{"a": a, "b": b, "c": a + b, "p": p} for b in (a + 1, a + rng.randint(2, 9), a + rng.randint(10, 50))]
        gold, other, wrong = rng.choice(GOLDS)
        item = make_item("math", "test", f"Problem {len(jobs)}: evaluate.", gold.format(**sides[0]))
        answers = [side.format(**sides[0]) for side in (gold, other)], [wrong.format(**side) for side in sides]
        for _ in range(16):
            end = rng.choice(BOXED if rng.random() < 0.8 else STATED)
            given = rng.choice(answers[rng.random() < 0.6])
            jobs.append(GradeRequest(item, f" By step {rng.randrange(10**6)}, $n = {p}$: {end.format(given)}", True))
    return jobs[:count]


MIXTURES = {"plain": (numbers, expressions), "varied": (varied_numbers, varied_expressions)}


def processor() -> float:
    """Processor seconds of this process and of the child processes that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def one_by_one(jobs: list[GradeRequest]) -> list[bool]:
    """Math-Verify as it is usually called."""
    from math_verify import parse, verify

    return [bool(verify(parse(f"${job.item.gold}$"), parse(job.text))) for job in jobs]


def measured(
    mixed: list[tuple[Task, list[GradeRequest]]], sample: int, workers: int, rng: random.Random
) -> dict[str, Any]:
    """Both arms on the same answers."""
    everything = [job for _, jobs in mixed for job in jobs]
    began, wall, verdicts = processor(), time.perf_counter(), []
    for task, jobs in mixed:
        with Grader(task, workers) as grader:
            verdicts += grader.judge(jobs)
    ours, wall = processor() - began, time.perf_counter() - wall
    chosen = rng.sample(range(len(everything)), min(sample, len(everything)))
    one_by_one(everything[:5])  # imports and first parse
    began = processor()
    theirs = one_by_one([everything[k] for k in chosen])
    each = (processor() - began) / len(chosen)
    judged = [verdicts[k].judgement for k in chosen]
    same = sum(j is not None and bool(j.lenient) == verdict for j, verdict in zip(judged, theirs, strict=True))
    return {
        "answers": len(everything), "seconds": ours, "wall_seconds": wall, "answers_per_second": len(everything) / ours,
        "math_verify_per_second": 1 / each, "ratio": each * len(everything) / ours,
        "ungraded": sum(v.judgement is None or v.judgement.ungraded is not None for v in verdicts),
        "lenient_agreement": same / len(chosen),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("answers", 10_000), ("sample", 400), ("workers", 1), ("seed", 0), ("repeats", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    speeds: dict[str, list[float]] = {}
    facts: dict[str, Any] = {"workers": args.workers}
    for repeat in range(args.repeats):
        for name, (words, formulas) in MIXTURES.items():
            rng, share = random.Random(args.seed + repeat), args.answers * 4 // 5
            jobs = words(share, rng), formulas(args.answers - share, rng)
            mixed: list[tuple[Task, list[GradeRequest]]] = list(
                zip((Gsm8k(), Jsonl(path="math.jsonl")), jobs, strict=True)
            )
            result = measured(mixed, args.sample, args.workers, rng)
            speeds.setdefault(f"{name}: ours", []).append(result["answers_per_second"])
            speeds.setdefault(f"{name}: Math-Verify", []).append(result["math_verify_per_second"])
            if not repeat:
                facts |= {f"{name}: {fact}": value for fact, value in result.items()}
    from benchmarks.common import report  # imported late: it needs torch, which no arm needs

    report("grading, answers per second", speeds, facts, args.out)


if __name__ == "__main__":
    main()
