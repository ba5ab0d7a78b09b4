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

from elicit.commands.words import HELP, WORDS
from elicit.errors import ConfigError, ElicitError, near


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
        from elicit.commands.doctor import doctor

        return doctor
    return getattr(importlib.import_module(f"elicit.commands.{name}"), name)


def _run(overrides: list[str], many: bool, argv: list[str]) -> int:
    from elicit.commands.experiment import run

    return run(overrides, many, argv)


if __name__ == "__main__":
    sys.exit(main())
