"""Grading against Math-Verify called one by one: the same answers, the same verdict asked for.

    python benchmarks/grading.py [--answers 10000] [--sample 400] [--out grading]

Mixed completions as a comparison grades them: GSM8K-like numbers (right, wrong, with units and separators, cut off,
without an answer) and MATH-like expressions, 16 samples an item with their own words and few different answers.
Arm one is the grader of training and evaluation (`tasks.grader.Grader`: exact path, pool, cache) on all answers,
with an empty cache and a pool that is running. Arm two is `math_verify.parse` and `verify` of the gold and the
completion, one after the other, on a random sample of the very same answers, extrapolated. Both arms' clock is
processor time, the pool's processes included; starting them is counted in `with_start`. Target: 20 times as fast.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import time
from pathlib import Path

from elicit.tasks.gsm8k import Gsm8k
from elicit.tasks.jsonl import Jsonl
from elicit.tasks.pool import Job
from elicit.tasks.task import Task, make_item

try:
    from elicit.tasks.grader import Grader
except ImportError:  # before the grader moved to the tasks
    from elicit.evaluate.grade import Grader  # type: ignore[no-redef]

MATH = (r"\frac{1}{2}", "2x+3", r"\sqrt{2}", "(1, 2)", r"\frac{\pi}{4}", "x^2-1", r"3\sqrt{5}", "12")
WRONG_MATH = (r"\frac{1}{3}", "2x-3", r"\sqrt{3}", "(2, 1)", r"\frac{\pi}{3}", "x^2+1", r"5\sqrt{3}", "13")


def numbers(count: int, rng: random.Random) -> list[Job]:
    """Completions of word problems with a numeric gold; 16 samples an item."""
    jobs = []
    while len(jobs) < count:
        gold = rng.choice((rng.randint(1, 99), rng.randint(100, 99_999)))
        item = make_item("gsm8k", "test", f"Problem {len(jobs)}: how many?", str(gold))
        for _ in range(16):
            said = gold if rng.random() < 0.4 else gold + rng.randint(1, 9)
            work = f" By step {rng.randrange(10**6)}: {said - 1} + 1 = {said}. "
            text = rng.choice((
                f"{work}The answer is {said}.", f"{work}The answer is ${said:,}.",
                f"{work}The answer is {said} apples.", f"{work}So it is \\boxed{{{said}}}.",
                f"{work}That makes {said}", " I do not know how.",
            ))  # fmt: skip
            jobs.append(Job(item, text, rng.random() < 0.95))
    return jobs[:count]


def expressions(count: int, rng: random.Random) -> list[Job]:
    """Completions of problems with a symbolic gold; 16 samples an item."""
    jobs = []
    while len(jobs) < count:
        place = rng.randrange(len(MATH))
        item = make_item("math", "test", f"Problem {len(jobs)}: evaluate.", MATH[place])
        for _ in range(16):
            said = MATH[place] if rng.random() < 0.5 else rng.choice(WRONG_MATH)
            text = f" By step {rng.randrange(10**6)} the value is \\boxed{{{said}}}."
            jobs.append(Job(item, text, True))
    return jobs[:count]


def processor() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def started(task: Task, workers: int) -> float:
    """Processor seconds that it takes to start the pool and grade one completion in it."""
    began = processor()
    with Grader(task, workers) as grader:
        grader.judge([Job(make_item(task.name, "test", "?", "x+1"), " It is 1 apple, x+2.", True)])
    return processor() - began


def one_by_one(jobs: list[Job]) -> list[bool]:
    """Math-Verify as people call it."""
    from math_verify import parse, verify

    return [bool(verify(parse(f"${job.item.gold}$"), parse(job.text))) for job in jobs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("answers", 10_000), ("sample", 400), ("workers", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    share = args.answers * 4 // 5
    mixed = [(Gsm8k(), numbers(share, rng)), (Jsonl(path="math.jsonl"), expressions(args.answers - share, rng))]
    everything = [job for _, jobs in mixed for job in jobs]
    began, wall, verdicts = processor(), time.perf_counter(), []
    for task, jobs in mixed:
        with Grader(task, args.workers) as grader:
            verdicts += grader.judge(jobs)
    whole, wall = processor() - began, time.perf_counter() - wall
    ours = whole - sum(started(task, args.workers) for task, _ in mixed)
    chosen = rng.sample(range(len(everything)), min(args.sample, len(everything)))
    one_by_one(everything[:5])  # imports and first parse
    began = processor()
    theirs = one_by_one([everything[place] for place in chosen])
    each = (processor() - began) / len(chosen)
    judged = [verdicts[place].judgement for place in chosen]
    same = sum(j is not None and bool(j.lenient) == verdict for j, verdict in zip(judged, theirs, strict=True))
    facts = {
        "answers": len(everything), "workers": args.workers, "seconds": ours, "with_start": whole, "wall_seconds": wall,
        "answers_per_second": len(everything) / ours,
        "math_verify_per_second": 1 / each, "ratio": each * len(everything) / ours,
        "ungraded": sum(v.judgement is None or v.judgement.strict is None for v in verdicts),
        "lenient_agreement": same / len(chosen), "machine": platform.processor() or platform.machine(),
    }  # fmt: skip
    for name, value in facts.items():
        print(f"{name:26} {value:.3f}" if isinstance(value, float) else f"{name:26} {value}")
    if args.out:
        file = Path(__file__).parent / "results" / f"{args.out}.json"
        file.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
