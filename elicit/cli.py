"""The command line: one table of commands (`commands/words.py`), everything else is a list of overrides.

Nothing heavy is imported before it is needed: `elicit --help` answers in well under a second. Exit
codes: 0 ok, 1 failed, 2 a bad configuration, 3 some runs failed, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
An `ElicitError` is one line on stderr and no traceback, and so is a fault of the machine (disk, permissions,
memory); anything else is a bug and keeps its traceback. `allow_classes=[PACKAGE]` is permission to run code, so
every command takes it from its own words, and from no file.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from elicit import processes, ranks
from elicit.commands.words import HELP, WORDS
from elicit.config.build import packages_in, trusting
from elicit.console import printable
from elicit.errors import ConfigError, DataError, ElicitError, near, system_fault

MULTIRUN = ("-m", "--multirun")
NO_ROOM = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
"""words of the dynamic loader"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] == "help" or {"-h", "--help"} & set(arguments):
        print(help_of(arguments[0] if arguments else ""), end="")
        return 0
    if arguments in (["--version"], ["version"]):
        print(f"elicit-workbench {_version()}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that can't show a character is no fault
    processes.keep_caches_private()
    with processes.signals_as_interrupts() as received, trusting(packages_in(arguments)):
        try:
            code = dispatch(arguments)
            sys.stdout.flush()
            return code
        except ElicitError as fault:
            return _failed(fault)
        except BrokenPipeError:  # `elicit show ... | head`
            _discard_output()
            return 0
        except OSError as fault:
            if (clear := system_fault(fault)) is None:
                raise
            if fault.filename is None:
                _discard_output()
            return _failed(clear)
        except ImportError as fault:  # of a library whose shared object the limit of this process leaves no room for
            if not any(sign in str(fault) for sign in NO_ROOM):
                raise
            return _failed(DataError(f"out of memory ({fault}); raise the limit of this process (ulimit -v)"))
        except MemoryError:
            return _failed(DataError("out of memory; sample or train in smaller batches, or choose a smaller model"))
        except KeyboardInterrupt:
            code = 128 + (received[0] if received else signal.SIGINT)
            with suppress(OSError):  # the terminal may be gone
                print("elicit: interrupted", file=sys.stderr)
            return code


def _version() -> str:
    try:
        return version("elicit-workbench")
    except PackageNotFoundError:  # a checkout that was not installed
        return "(not installed)"


def _failed(fault: ElicitError) -> int:
    """Print a fault that the user can fix; returns the exit code."""
    print(f"elicit: {printable(fault)}", file=sys.stderr)
    return fault.exit_code


def _discard_output() -> None:
    """Nothing more can be written to stdout: not what is still in its buffer either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        if first != "resume":
            ranks.refuse_several(f"elicit {first}")
        rest = [word for word in rest if not word.startswith("allow_classes=")]
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
