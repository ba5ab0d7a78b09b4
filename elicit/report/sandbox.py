"""Jinja with bounds: a template of somebody else can end in an error, and not in a hang or without memory.

    steps     loop iterations and calls of one rendering, at most `MAX_STEPS`
    seconds   of the processor, at most `MAX_SECONDS`, looked at in every step
    memory    `MAX_BYTES` more than the process has when the rendering begins (the system's limit on its address space)
    values    no power or repetition whose result is larger than `MAX_BITS` or `MAX_LENGTH`; Jinja bounds `range`

Jinja's own sandbox decides what a template may call. Knows nothing of what is rendered.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from jinja2 import TemplateError, TemplateNotFound, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from elicit import processes
from elicit.errors import DataError

MAX_STEPS = 2_000_000
MAX_SECONDS = 120.0
MAX_BYTES = 2**30
MAX_BITS = 4096
MAX_LENGTH = 10_000_000

_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, OSError)
"""what a template can raise, besides MemoryError: the text of a template computes like any program"""


class _Counting(CodeGenerator):
    """Compiles every loop so that each of its iterations is a step."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        step = nodes.Call(nodes.EnvironmentAttribute("step"), [], [], None, None)
        node.body.insert(0, nodes.ExprStmt(step, lineno=node.lineno))
        super().visit_For(node, frame)


class BoundedEnvironment(SandboxedEnvironment):
    """A sandbox whose templates end. `begin` starts the count of one rendering."""

    code_generator_class = _Counting
    intercepted_binops = frozenset(("**", "*"))

    def begin(self) -> None:
        """Start the count of steps and seconds again."""
        self.steps, self.started = 0, time.process_time()

    def step(self) -> None:
        """Count one iteration or call. Raises TemplateError beyond the bounds."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateError(f"more than {MAX_STEPS:,} loop iterations and calls; shorten its loops")
        if time.process_time() - self.started > MAX_SECONDS:
            raise TemplateError(f"more than {MAX_SECONDS:.0f} s of computation; shorten its loops")

    def call(self, context: Context, function: Any, /, *arguments: Any, **named: Any) -> Any:
        """Count a call, or be one of the steps that `_Counting` has put into the loops."""
        self.step()
        return None if function == self.step else super().call(context, function, *arguments, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """A power or a product. Raises TemplateError if the result would be too large."""
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > MAX_BITS:
                raise TemplateError(f"{operator}: a number of {bits:,} bits, at most {MAX_BITS:,}")
        for text, times in ((left, right), (right, left)):
            if hasattr(text, "__len__") and isinstance(times, int) and len(text) * times > MAX_LENGTH:
                raise TemplateError(f"{operator}: a repetition of length {len(text) * times:,}, at most {MAX_LENGTH:,}")
        return super().call_binop(context, operator, left, right)


def render(environment: BoundedEnvironment, name: str, context: dict[str, Any], advice: str) -> str:
    """The text of a template. Raises DataError that names the template, its line and `advice` for any fault in it."""
    environment.begin()
    try:
        with processes.memory_limit(MAX_BYTES):
            return environment.get_template(name).render(context)
    except MemoryError:
        most = f"{MAX_BYTES / 2**20:,.0f} MiB of memory, or than the limit of this process leaves (ulimit -v)"
        raise DataError(f"template {name}: more than {most}; {advice}") from None
    except RecursionError:
        raise DataError(f"template {name}: it includes, imports or calls itself without end; {advice}") from None
    except TemplateNotFound as fault:
        raise DataError(f"template {name}: no template {fault.name!r} to include or extend; {advice}") from None
    except _FAULTS as fault:
        line = getattr(fault, "lineno", None) or _line(fault.__traceback__)
        reason = str(fault) if isinstance(fault, TemplateError) else f"{type(fault).__name__}: {fault}"
        raise DataError(f"template {name}{f', line {line}' if line else ''}: {reason}; {advice}") from fault


def _line(trace: TracebackType | None) -> int | None:
    """The line of the template in which a fault occurred: Jinja puts it into the traceback."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".j2"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
