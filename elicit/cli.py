"""The command line: words and overrides to the code that does the work.

Nothing heavy is imported before it is needed: `elicit --help` answers in well under a second. Exit
codes: 0 ok, 1 a run failed, 2 a bad configuration, 3 a sweep partly failed. An `ElicitError` is one
line on stderr and no traceback; anything else is a bug and keeps its own.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from elicit.errors import ConfigError, ElicitError, near

HELP = """\
elicit: how much reasoning is latent in a base checkpoint, which method gets it out, and at what price?

  elicit method=contrastive model=organism task=chain     fit and evaluate one method, with what it is compared to
  elicit -m method=contrastive,decoding seed=1,2          all combinations of the comma-separated values
  elicit experiment=demo                                  a preset

  elicit list methods|models|tasks|strategies|experiments|evals|trackers|sweeps
  elicit show method=contrastive                          the fields of a choice: meaning, default, value
  elicit doctor [model=...]                               versions, devices, space, reachability, smoke tests
  elicit resume RUN                                       go on with an interrupted or failed run and its siblings
  elicit score GROUP|RUN                                  grade again and compare again, never sample again
  elicit compare GROUP | RUN RUN ...                      compare again from the stored samples and grades
  elicit report GROUP [template=comparison|method_card|claim|organism|PATH]   render the report again
  elicit export GROUP [format=lm-eval out=FOLDER]         the comparison in the result files of another tool
  elicit escalate GROUP [levels=64,256,1024]              ask the base again about what only a method solved
  elicit calibrate simulated=true                         coverage and false positives of the statistics, simulated
  elicit calibrate [seeds=1,2,3]                          fits on the model organisms: power and false elicitation
  elicit contamination model=... task=... [eval.limit=N]  has this base seen the evaluation items?
  elicit lens GROUP [NAME ...] [run=true text=FILE]       look into traces: validity, commitment, causality, ...
  elicit report GROUP GROUP ... template=bases            methods against several base models
  elicit workspace [group=NAME save=true]                 a wandb workspace for comparing, as JSON or saved
  elicit completion bash|zsh|fish                         what your shell sources to complete these words
  elicit grade FILE [task=gsm8k]                          grade a JSONL of {gold, output, expected}
  elicit organism build kind=positive folder=... steps=... rate=...
  elicit organism check

Groups: method method/strategy method/critic method/response model task eval tracker experiment sweep.
Settings: seed=0 root=runs group=NAME placebos=none|one|all rivals=none|one|all budget.labels=N eval.limit=N eval.n=N
          output=text|json dry_run=true template=NAME|PATH; any field of a chosen class as method.FIELD=VALUE.
Exit codes: 0 ok, 1 run failed, 2 bad configuration, 3 sweep partly failed.
"""

WORDS = (
    *("list", "show", "doctor", "grade", "score", "compare", "report", "export", "lens", "organism", "resume"),
    *("escalate", "calibrate", "contamination", "completion", "workspace"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] == "help" or {"-h", "--help"} & set(arguments):
        print(_help(arguments[0] if arguments else ""), end="")
        return 0
    try:
        return _dispatch(arguments)
    except ElicitError as fault:
        print(f"elicit: {fault}", file=sys.stderr)
        return fault.exit_code
    except BrokenPipeError:  # `elicit show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("elicit: interrupted", file=sys.stderr)
        return 130


def _help(word: str) -> str:
    """The lines of one word, or the whole page for anything else."""
    if word not in WORDS:
        return HELP
    own = [line for line in HELP.splitlines() if line.startswith(f"  elicit {word} ")]
    return "\n".join([*own, "", HELP[HELP.index("Groups:") :]])


def _dispatch(arguments: list[str]) -> int:
    first, *rest = arguments
    if first in ("-m", "--multirun"):
        return _run(rest, many=True, argv=arguments)
    if "-m" in rest or "--multirun" in rest:
        return _run([word for word in arguments if word not in ("-m", "--multirun")], many=True, argv=arguments)
    if "=" in first or first.startswith("~"):
        return _run(arguments, many=False, argv=arguments)
    if first not in WORDS:
        raise ConfigError(f"{first!r} is no command; {near(first, WORDS)} (or overrides: key=value; elicit --help)")
    return _word(first)(rest)


def _word(name: str) -> Callable[[list[str]], int]:
    if name in ("list", "show"):
        from elicit.commands import choices

        return {"list": choices.list_choices, "show": choices.show_choice}[name]
    if name in ("score", "compare", "report", "grade"):
        from elicit.commands import measured

        return getattr(measured, name)
    if name == "resume":
        from elicit.commands.experiment import resume

        return resume
    if name == "doctor":
        from elicit.doctor import doctor

        return doctor
    return getattr(importlib.import_module(f"elicit.commands.{name}"), name)


def _run(overrides: list[str], many: bool, argv: list[str]) -> int:
    from elicit.commands.experiment import run

    return run(overrides, many, argv)


if __name__ == "__main__":
    sys.exit(main())
