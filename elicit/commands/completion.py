"""Shell completion: `elicit completion bash|zsh|fish` prints a script for the shell to source.

    bash   elicit completion bash > ~/.local/share/bash-completion/completions/elicit
    zsh    elicit completion zsh > "${fpath[1]}/_elicit"
    fish   elicit completion fish > ~/.config/fish/completions/elicit.fish

The shell asks `elicit completion words ...`, which reads names of YAML files and of run folders: nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from elicit.commands.words import FORMATS
from elicit.errors import ConfigError, near

BASH = """\
_elicit() {
  local line=${COMP_LINE:0:$COMP_POINT} found
  local last=${line##* }
  local cut=${last%"${last##*=}"}
  mapfile -t found < <(elicit completion words ${line#* } ${line:+$([[ $line == *" " ]] && echo "''")} 2>/dev/null)
  COMPREPLY=("${found[@]#"$cut"}")
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o nosort -F _elicit elicit
"""
ZSH = """\
#compdef elicit
local -a found
found=(${(f)"$(elicit completion words ${words[2,CURRENT]} 2>/dev/null)"})
compadd -S '' -- $found
"""
FISH = """\
complete -c elicit -f -a '(elicit completion words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
SETTINGS = ("seed", "root", "group", "output", "dry_run", "placebos", "rivals", "template", "eval.limit", "eval.n",
            "budget.labels", "budget.rollouts", "budget.tokens")  # fmt: skip
VALUES = {"placebos": ("none", "one", "all"), "rivals": ("none", "one", "all"), "output": ("text", "json"),
          "dry_run": ("true", "false"), "format": FORMATS,
          "template": ("comparison", "bases", "method_card", "claim", "organism")}  # fmt: skip
ON_COMPARISONS = ("score", "compare", "report", "export", "lens", "traces", "add", "watch")


def completion(words: list[str]) -> int:
    """Print the script of a shell, or the candidates for the last of these words."""
    first, rest = (words[0] if words else ""), words[1:]
    if first == "words":
        print("\n".join(candidates(["" if word == "''" else word for word in rest] or [""])))
        return 0
    if first not in SHELLS or rest:
        raise ConfigError(f"elicit completion {' '.join(words)}: one shell expected; {near(first, SHELLS)}")
    print(SHELLS[first], end="")
    return 0


def candidates(words: list[str]) -> list[str]:
    """Completions of the last word, given those before it."""
    *before, last = words
    from elicit.commands.choices import LISTS
    from elicit.commands.words import WORDS
    from elicit.config import GROUPS
    from elicit.config.compose import choices

    key, equals, _ = last.partition("=")
    command = before[0] if before and before[0] in WORDS else None
    if equals:
        values = choices(key) if key in GROUPS else VALUES.get(key, ())
        return _starting(last, (f"{key}={value}" for value in sorted(values)))
    if command == "list":
        return _starting(last, LISTS)
    if command in ON_COMPARISONS:
        return _starting(last, [*_names("runs/comparisons/*/inputs.json"), *_names("runs/*/manifest.json"), "template=",
                                "root=", "output="])  # fmt: skip
    if command == "resume":
        return _starting(last, _names("runs/*/manifest.json"))
    keys = [f"{name}=" for name in (*GROUPS, *SETTINGS)]
    return _starting(last, keys if before else [*WORDS, "-m", *keys])


def _starting(last: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(last)]


def _names(pattern: str) -> list[str]:
    return sorted(path.parent.name for path in Path().glob(pattern))
