"""A soak test: commands that are killed, starved and disturbed at seeded moments, then resumed and compared.

    python benchmarks/soak.py FOLDER [--trials 490] [--seed 0] [--only KIND ...] [--fits FIT ...]

One uninterrupted command per fit is the reference. A trial disturbs the same command in a folder of its own, resumes
it until it ends, and compares the comparison with the reference: everything but times must be equal.

    kill      SIGKILL at a seeded moment, one to three times           term     SIGTERM; the exit code has to be 143
    two       killed, then resumed by two processes at once            clock    killed, then resumed a year earlier
    handles   at most a seeded number of open files                    size     a seeded limit on the size of files
    full      a file system of 2 to 8 MiB (with the right to mount)    ro       the root becomes read-only half-way (so)
    memory    a seeded limit on the address space                      wandb    a wandb server that answers 500
    silent    a wandb server that takes requests and never answers

490 trials hold 203 kills. FOLDER/trials.jsonl has one line per finished trial: the same command again continues after
the last one. The result file (FOLDER/soak.json) counts trials and faults by kind and fit, and lists every fault. The
exit code is 1 if a result differs, samples were lost, or an error had a traceback. On two cores a trial takes about a
minute.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.same_comparison import content, differences
from elicit.files import write_json
from elicit.results import read_comparison

HOUSE = Path(__file__).resolve().parent.parent

SHARED = ["model=organism", "task=chain", "eval=quick", "eval.limit=4", "eval.n=2", "eval.prompts=[bare]",
          "eval.bootstrap_draws=50", "placebos=one", "root=runs", "group=soak"]  # fmt: skip
RL = ["method.steps=6", "method.prompts=4", "method.samples=8", "method.micro_batch=16", "method.dev_every=0",
      "method.kl_every=0", "method.save_every=2", "method.max_new_tokens=40"]  # fmt: skip
FITS = {
    "contrastive": ["method.items=24", "method.samples=8", "method.layers=[1,2]", "method.strengths=[1.0,2.0]",
                    "method.dev_items=8", "method.halvings=0", "method.dose_items=0"],
    "sae_steering": ["method.items=8", "method.samples=4", "method.dev_items=4", "method.halvings=0",
                     "method.dose_items=2", "method.strengths=[1.0]", "method.chosen=2", "method.candidates=8",
                     "method.probes=2"],
    "rlvr": RL,
    "rl_steering": RL,
    "critique_ft": ["method.items=24", "method.sft.steps=8"],
}  # fmt: skip
KINDS = (
    "kill", "term", "kill", "two", "kill", "clock", "kill", "handles", "kill", "size", "kill", "full", "kill", "ro",
    "memory", "wandb", "silent",
)  # fmt: skip
"""in turn; every fit meets every kind, for their numbers have no common divisor"""
LONGEST = 1800.0
"""seconds after which a command counts as hanging"""


@dataclass
class Trial:
    """One disturbed command."""

    number: int
    kind: str
    fit: str
    folder: Path
    seconds: float
    """of the reference"""
    rng: random.Random
    faults: list[str]

    @property
    def root(self) -> Path:
        return self.folder / "runs"

    def moment(self) -> float:
        """A moment of the command, seconds after its start."""
        return self.rng.uniform(0.05, 1.0) * self.seconds


def start(words: list[str], folder: Path, *, offset: float = 0.0, **options: Any) -> subprocess.Popen[str]:
    """`elicit WORDS` in `folder`, its output appended to log.txt; `offset`: seconds that its clock is ahead."""
    program = f"import time; now = time.time; time.time = lambda: now() + {offset}; import sys; "
    program += "from elicit.cli import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    log = (folder / "log.txt").open("a", encoding="utf-8")
    log.write(f"$ elicit {' '.join(words)}\n")
    log.flush()
    command = [sys.executable, "-P", "-c", program, *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, text=True, **options)


def ended(process: subprocess.Popen[str], trial: Trial) -> int:
    """The exit code; a command that does not end in time is a fault."""
    try:
        return process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        trial.faults.append("hang")
        return process.wait()


def command_of(fit: str, *tracker: str) -> list[str]:
    return [f"method={fit}", *FITS[fit], *SHARED, *(tracker or ["tracker=none"])]


def limited(kind: int, value: int) -> Callable[[], None]:
    """For `preexec_fn`: a soft limit of the system."""
    return lambda: resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


# the disturbances: each starts the command, or lets it be killed first, and leaves the trial to be resumed


def kill(trial: Trial, number: int = signal.SIGKILL, times: int | None = None) -> int:
    """The command, signalled at a seeded moment; what was planned by then is resumed and signalled again."""
    code = 0
    for _ in range(trial.rng.randint(1, 3) if times is None else times):
        process = start(next_command(trial), trial.folder)
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(trial.moment())
        process.send_signal(number)
        code = ended(process, trial)
    return code


def term(trial: Trial) -> None:
    code = kill(trial, signal.SIGTERM, 1)
    if code not in (0, 143, -signal.SIGTERM):  # the last: it had not begun to listen
        trial.faults.append(f"exit code {code} after SIGTERM")


def two(trial: Trial) -> None:
    kill(trial, times=1)
    words = next_command(trial)
    if words[0] == "resume":
        both = [start(words, trial.folder) for _ in range(2)]
        trial.faults += [f"exit code {code} of one of two" for process in both if (code := ended(process, trial))]


def clock(trial: Trial) -> None:
    kill(trial, times=1)
    year = 365 * 86_400
    ended(start(next_command(trial), trial.folder, offset=-trial.rng.uniform(0.1, 1.0) * year), trial)


def handles(trial: Trial) -> None:
    limit = limited(resource.RLIMIT_NOFILE, trial.rng.randint(12, 120))
    ended(start(next_command(trial), trial.folder, preexec_fn=limit), trial)


def size(trial: Trial) -> None:
    limit = limited(resource.RLIMIT_FSIZE, int(10 ** trial.rng.uniform(3, 6.5)))
    ended(start(next_command(trial), trial.folder, preexec_fn=limit), trial)


def memory(trial: Trial) -> None:
    limit = limited(resource.RLIMIT_AS, trial.rng.randint(1000, 3500) * 2**20)
    ended(start(next_command(trial), trial.folder, preexec_fn=limit), trial)


def full(trial: Trial) -> None:
    with mounted(trial.root, f"size={trial.rng.randint(2, 8)}m") as works:
        if works:
            ended(start(next_command(trial), trial.folder), trial)
            keep(trial.root)
    restore(trial.root)


def ro(trial: Trial) -> None:
    with mounted(trial.root, "size=256m") as works:
        if works:
            process = start(next_command(trial), trial.folder)
            with suppress(subprocess.TimeoutExpired):
                process.wait(trial.moment())
            subprocess.run(["mount", "-o", "remount,ro", str(trial.root)], check=False, capture_output=True)
            ended(process, trial)
            keep(trial.root)
    restore(trial.root)


def wandb(trial: Trial, answers: bool = True) -> None:
    with useless_server(answers) as url:
        environment = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "k" * 40}
        words = command_of(trial.fit, "tracker=wandb", "tracker.mode=online", "tracker.patience=5")
        if code := ended(start(words, trial.folder, env=environment), trial):
            trial.faults.append(f"exit code {code} with a server that {'answers 500' if answers else 'never answers'}")


def silent(trial: Trial) -> None:
    wandb(trial, answers=False)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A file system in memory at `folder`; False if this user may not mount."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def keep(root: Path) -> None:
    """Copy what lies on the file system that is about to go."""
    shutil.copytree(root, root.with_name("kept"), dirs_exist_ok=True)


def restore(root: Path) -> None:
    kept = root.with_name("kept")
    if kept.exists():
        shutil.rmtree(root)
        kept.rename(root)


@contextmanager
def useless_server(answers: bool) -> Iterator[str]:
    """A server that answers every request with 500, or never."""
    over = threading.Event()

    class Useless(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not answers:
                over.wait()
            self.send_error(500)

        do_GET = do_PUT = do_POST

        def log_message(self, *arguments: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Useless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


DISTURBANCES: dict[str, Callable[[Trial], Any]] = {
    "kill": kill, "term": term, "two": two, "clock": clock, "handles": handles, "size": size, "memory": memory,
    "full": full, "ro": ro, "wandb": wandb, "silent": silent,
}  # fmt: skip


def runs_of(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/manifest.json") if (path.parent / "config.yaml").exists())


def next_command(trial: Trial) -> list[str]:
    """Resume what has been planned completely, else the command itself: nothing was sampled before."""
    runs = runs_of(trial.root)
    whole = bool(runs) and len(runs) == json.loads((runs[0] / "manifest.json").read_text())["of"]
    if runs and not whole:
        shutil.rmtree(trial.root)
    return ["resume", str(runs[0]), "root=runs"] if whole else command_of(trial.fit)


def samples_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.glob("store/samples/*/*/shard-*.parquet")}


def judged(trial: Trial, reference: Path) -> dict[str, Any]:
    """Disturb, resume, compare: the trial's line."""
    began = time.monotonic()
    DISTURBANCES[trial.kind](trial)
    before = samples_of(trial.root)
    if code := ended(start(next_command(trial), trial.folder), trial):
        trial.faults.append(f"exit code {code} of the undisturbed resume")
    if lost := before - samples_of(trial.root):
        trial.faults.append(f"{len(lost)} shards lost")
    ours = trial.root / "comparisons" / "soak" / "comparison.json"
    if ours.exists():
        both = (content(read_comparison(path)) for path in (reference, ours))
        trial.faults += list(differences(*both))[:5]
    if "Traceback" in (trial.folder / "log.txt").read_text(encoding="utf-8", errors="replace"):
        trial.faults.append("traceback")
    seconds = round(time.monotonic() - began, 1)
    return {"trial": trial.number, "kind": trial.kind, "fit": trial.fit, "seconds": seconds, "faults": trial.faults}


def reference_of(fit: str, folder: Path) -> tuple[Path, float]:
    """The comparison of the uninterrupted command and its seconds; made once per fit."""
    here, took = folder / "reference" / fit, folder / "reference" / fit / "seconds"
    file = here / "runs" / "comparisons" / "soak" / "comparison.json"
    if not took.exists():
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        began = time.monotonic()
        code = start(command_of(fit), here).wait()
        if code or not file.exists():
            raise SystemExit(f"the reference of {fit} failed with exit code {code}: {here / 'log.txt'}")
        took.write_text(str(time.monotonic() - began))
    return file, float(took.read_text())


def summed(done: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The content of the result file: trials and trials with faults by kind and by fit, and every fault."""

    def counts(key: str) -> dict[str, dict[str, int]]:
        faulty = Counter(row[key] for row in done if row["faults"])
        return {
            name: {"trials": n, "faulty": faulty[name]} for name, n in sorted(Counter(r[key] for r in done).items())
        }

    faults = [row for row in done if row["faults"]]
    return {"seed": seed, "trials": len(done), "faulty": len(faults), "seconds": round(sum(r["seconds"] for r in done)),
            "kinds": counts("kind"), "fits": counts("fit"), "faults": faults}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=490)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=sorted(DISTURBANCES), default=sorted(DISTURBANCES))
    parser.add_argument("--fits", nargs="*", choices=sorted(FITS), default=list(FITS))
    parser.add_argument("--result", type=Path, help="the file of the counts; FOLDER/soak.json")
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "trials.jsonl"
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    finished, kinds = {row["trial"] for row in done}, [kind for kind in KINDS if kind in chosen.only]
    for number in range(chosen.trials):
        if number in finished:
            continue
        fit, kind = chosen.fits[number % len(chosen.fits)], kinds[number % len(kinds)]
        reference, seconds = reference_of(fit, folder)
        here = folder / f"trial-{number}"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        row = judged(Trial(number, kind, fit, here, seconds, random.Random(f"{chosen.seed}-{number}"), []), reference)
        done.append(row)
        with lines.open("a") as file:
            file.write(json.dumps(row) + "\n")
        write_json(chosen.result or folder / "soak.json", summed(done, chosen.seed))
        if not row["faults"]:
            shutil.rmtree(here)
        print(
            f"{number + 1}/{chosen.trials} {kind} {fit}: {row['faults'] or 'equal'} ({row['seconds']:.0f} s)",
            flush=True,
        )
    for kind, count in summed(done, chosen.seed)["kinds"].items():
        print(f"{kind:8} {count['trials']:4} trials, {count['faulty']} with faults")
    return 1 if any(row["faults"] for row in done) else 0


if __name__ == "__main__":
    sys.exit(main())
