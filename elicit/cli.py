"""The command line: one table of commands (`commands/words.py`), everything else is a list of overrides.

Nothing heavy is imported before it is needed: `elicit --help` answers in well under a second. Exit
codes: 0 ok, 1 a run failed, 2 a bad configuration, 3 a sweep partly failed. An `ElicitError` is one
line on stderr and no traceback; anything else is a bug and keeps its own.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from elicit.commands.words import HELP, WORDS
from elicit.errors import ConfigError, ElicitError, near

MULTIRUN = ("-m", "--multirun")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] == "help" or {"-h", "--help"} & set(arguments):
        print(help_of(arguments[0] if arguments else ""), end="")
        return 0
    try:
        return dispatch(arguments)
    except ElicitError as fault:
        print(f"elicit: {fault}", file=sys.stderr)
        return fault.exit_code
    except BrokenPipeError:  # `elicit show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("elicit: interrupted", file=sys.stderr)
        return 130


def help_of(word: str) -> str:
    """The lines of one command, or the whole page for anything else."""
    if word not in WORDS:
        return HELP
    lines = [line for line in HELP.splitlines() if line.startswith(f"  elicit {word} ")]
    return "\n".join([*lines, "", HELP[HELP.index("Groups:") :]])


def dispatch(arguments: list[str]) -> int:
    """A command with its words, or the jobs of a list of overrides. Raises ConfigError with near matches."""
    first, *rest = arguments
    if first in WORDS and not set(MULTIRUN) & set(rest):
        module, _, function = WORDS[first].partition(":")
        return getattr(importlib.import_module(f"elicit.commands.{module}"), function)(rest)
    overrides = [word for word in arguments if word not in MULTIRUN]
    many = len(overrides) < len(arguments)
    if not many and "=" not in first and not first.startswith("~"):
        raise ConfigError(f"{first!r} is no command; {near(first, WORDS)} (or overrides: key=value; elicit --help)")
    from elicit.commands.experiment import run

    return run(overrides, many, argv=arguments)


if __name__ == "__main__":
    sys.exit(main())
