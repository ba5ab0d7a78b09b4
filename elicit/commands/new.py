"""`elicit new method|task|strategy NAME`: a small package with a class, its YAML, its entry point and its test.

The text is that of the files in `scaffold/`, a working example of the kind: names are put in, nothing else. Knows no
method, task or strategy.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from elicit.commands.arguments import Command
from elicit.config.compose import choices
from elicit.errors import ConfigError, near

KINDS = {"method": "method", "task": "task", "strategy": "method/strategy"}
"""kind -> group of its YAML"""
SCAFFOLD = Path(__file__).with_name("scaffold")
NEW = Command("new method|task|strategy NAME: what to make, and its name", {"out": "", "output": "text"}, names=2)


def new(words: list[str]) -> int:
    """Write the package into a new folder and print what to do next. Raises ConfigError for a name that is taken."""
    given = NEW.read(words)
    kind, name = (*given.names, "")[:2]
    if kind not in KINDS or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        what = near(kind, KINDS) if kind not in KINDS else f"{name!r} is no name: small letters, digits and _"
        raise ConfigError(f"elicit new {' '.join(given.names)}: {what}; such as elicit new method my_method")
    group, package = KINDS[kind], f"elicit_{name}"
    if name in choices(group):
        raise ConfigError(f"elicit new {kind} {name}: there is a {kind} of this name; choose another")
    folder = Path(given["out"] or package)
    if folder.exists():
        raise ConfigError(f"elicit new {kind} {name}: {folder} exists; choose another name, or out=FOLDER")
    cls = "".join(part.capitalize() for part in name.split("_"))
    names = {"kind": kind, "name": name, "package": package, "project": package.replace("_", "-"), "cls": cls}
    files = {
        "pyproject.toml": text("pyproject.toml", names),
        f"{package}/__init__.py": f'"""A {kind} for the elicitation workbench."""\n',
        f"{package}/{kind}.py": text(f"{kind}.py", names),
        f"{package}/configs/__init__.py": "",
        f"{package}/configs/{group}/{name}.yaml": f"# Say what it does.\n_class_: {package}.{kind}.{cls}\n",
        f"tests/test_{name}.py": text(f"{kind}_test.py", names),
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    chosen = {"method": f"method={name}", "task": f"task={name} method=contrastive",
              "strategy": f"method=decoding method/strategy={name}"}[kind]  # fmt: skip
    console = given.console()
    console.say("\n".join(f"  {folder / path}" for path in files))
    console.say(f"next: cd {folder} && python -m pytest -q && pip install -e .")
    console.say(f"then: elicit {chosen} dry_run=true, and put your own code into {package}/{kind}.py")
    console.result({"folder": str(folder), "files": list(files)})
    return 0


def text(file: str, names: dict[str, str]) -> str:
    """A file of the scaffold with the names put in."""
    return Template((SCAFFOLD / f"{file}.txt").read_text(encoding="utf-8")).substitute(names)
