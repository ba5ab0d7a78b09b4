"""Readers in compiled code, which open files without Python's audit event `open`: inside `announced` they raise it.

    pyarrow       files, memory maps, streams, the local file system, Parquet, Feather, ORC, CSV, JSON, IPC, data sets
    safetensors   safe_open, so load_file of every framework
    torch         from_file, UntypedStorage.from_file, jit.load (torch.load opens its file in Python)

pandas and datasets read through pyarrow. A function or a class of an extension module is replaced in every loaded
module that holds it, and in the modules of `READERS` when they are imported later; leaving the context puts the
originals back. Knows no ledger and no watch. What is not announced: an extension class that is taken from the extension
module itself (`pyarrow.lib.OSFile`, unlike `pyarrow.OSFile`), readers of other packages (`tokenizers`, polars, h5py),
ctypes, and files that another process opens.
"""

from __future__ import annotations

import functools
import importlib.abc
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from elicit.lazy import waiting

READERS: dict[str, tuple[str, ...]] = {
    "pyarrow.lib": ("memory_map", "input_stream", "OSFile.__new__", "MemoryMappedFile._open"),
    "pyarrow._fs": ("LocalFileSystem.open_input_file", "LocalFileSystem.open_input_stream"),
    "pyarrow._csv": ("read_csv", "open_csv"),
    "pyarrow._json": ("read_json", "open_json"),
    "pyarrow.parquet.core": ("ParquetFile.__init__", "ParquetDataset.__init__"),
    "pyarrow.dataset": ("dataset", "parquet_dataset"),
    "pyarrow.feather": ("read_table", "_read_table_internal"),
    "pyarrow.orc": ("read_table", "ORCFile.__init__"),
    "pyarrow.ipc": ("open_file", "open_stream"),
    "safetensors._safetensors_rust": ("safe_open", "_safe_open_handle"),
    "torch": ("from_file", "UntypedStorage.from_file"),
    "torch.jit": ("load",),
}
"""by module, functions and `Class.method`; each gets its path as its first argument"""
PATHS = ("path", "source", "path_or_paths", "where", "input_file", "filename", "f")
"""names of that argument, if it is passed by name"""
_HEAP_TYPE = 1 << 9
"""flag of a class that was made by a `class` statement, and can be changed"""


class Announcer(importlib.abc.MetaPathFinder):
    """The replacements of one `announced` context, and the finder that makes more when a reader is imported."""

    def __init__(self) -> None:
        self.replaced: dict[int, tuple[Any, Any]] = {}
        """id of a function or class -> (it, its replacement)"""
        self.methods: list[tuple[type, str, Any]] = []
        """(class, name, original or None for an inherited one) of classes that were changed in place"""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in READERS:
            return None
        finders = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in finders if (spec := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            self.add_when_executed(spec)
        return spec

    def add_when_executed(self, spec: ModuleSpec) -> None:
        """Replace the readers of this module right after it is executed, unless the context was left by then."""
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                self.add([module])

        loader.exec_module = execute_and_replace

    def add(self, modules: Sequence[ModuleType]) -> None:
        """Replace the readers that these modules define, here and in every module that holds them."""
        before = len(self.replaced)
        for module in modules:
            classes: dict[str, list[str]] = {}
            for reader in READERS[module.__name__]:
                name, _, method = reader.partition(".")
                original = vars(module).get(name)
                if original is None:
                    continue
                if method:
                    classes.setdefault(name, []).append(method)
                else:
                    self.replaced[id(original)] = (original, announcing(original))
            for name, methods in classes.items():
                self._add_class(vars(module)[name], methods)
        if len(self.replaced) > before:
            substitute({id(original): new for original, new in self.replaced.values()})

    def _add_class(self, original: type, methods: Sequence[str]) -> None:
        """Change a Python class in place; put a subclass in the position of an extension class, which can't change."""
        if not original.__flags__ & _HEAP_TYPE:
            self.replaced[id(original)] = (original, subclass(original, methods))
            return
        for method in methods:
            self.methods.append((original, method, vars(original).get(method)))
            setattr(original, method, announcing_method(inspect.getattr_static(original, method)))

    def undo(self) -> None:
        """Put every original back, also in modules that were imported since."""
        for owner, name, original in reversed(self.methods):
            delattr(owner, name) if original is None else setattr(owner, name, original)
        substitute({id(new): original for original, new in self.replaced.values()})


def announce(arguments: Sequence[Any], named: dict[str, Any]) -> None:
    """Raise the audit event `open` for the path (or each path of a list) that a reader was called with."""
    source = arguments[0] if arguments else next((named[name] for name in PATHS if name in named), None)
    for path in source if isinstance(source, (list, tuple)) else [source]:
        if isinstance(path, (str, bytes, os.PathLike)):
            sys.audit("open", os.fsdecode(path).removeprefix("file://"), "rb", os.O_RDONLY)


def announcing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, announcing its path before it reads."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        announce(arguments, named)
        return function(*arguments, **named)

    return call


def announcing_method(method: Any) -> Any:
    """The same for a method, whose path follows the object or the class; a static method has none of these."""
    if isinstance(method, staticmethod | classmethod):
        return type(method)(announcing(method.__func__))

    @functools.wraps(method)
    def call(owner: Any, *arguments: Any, **named: Any) -> Any:
        announce(arguments, named)
        return method(owner, *arguments, **named)

    return call


def subclass(original: Any, methods: Sequence[str]) -> Any:
    """A subclass whose methods announce; every instance of the original counts as one of it."""

    class Meta(type(original)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, original)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, original)

    body: dict[str, Any] = {}
    for method in methods:
        wrapped = announcing_method(getattr(original, method))
        body[method] = staticmethod(wrapped) if method == "__new__" else wrapped
    return Meta(original.__name__, (original,), {"__module__": original.__module__, **body})


def substitute(by_id: dict[int, Any]) -> None:
    """Put another object in the position of each of these, in every loaded module."""
    for module in list(sys.modules.values()):
        if waiting(module):  # it was not executed, so it holds none of them
            continue
        names = getattr(module, "__dict__", None)
        if type(names) is dict and not by_id.keys().isdisjoint(map(id, names.values())):
            for name, value in list(names.items()):
                # other extension modules take the memory layout of a class from the module that defines it
                if id(value) in by_id and not (isinstance(value, type) and value.__module__ == module.__name__):
                    names[name] = by_id[id(value)]


@contextmanager
def announced() -> Iterator[None]:
    """Inside, compiled readers raise the audit event `open` for the path that they are given."""
    if any(isinstance(finder, Announcer) for finder in sys.meta_path):
        yield
        return
    announcer = Announcer()
    there = [sys.modules[name] for name in READERS if name in sys.modules]
    announcer.add([module for module in there if not waiting(module)])
    for module in filter(waiting, there):
        assert module.__spec__ is not None
        announcer.add_when_executed(module.__spec__)
    sys.meta_path.insert(0, announcer)
    try:
        yield
    finally:
        sys.meta_path.remove(announcer)
        announcer.undo()
