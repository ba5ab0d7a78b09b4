"""What a report uses besides its comparison: templates, references, configs and logs of the runs.

Templates are in reports/templates of the repository; a wheel holds them in elicit/_templates. Knows nothing of what
they print.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.errors import ConfigError, DataError, near
from elicit.files import read_json, read_yaml

if TYPE_CHECKING:
    from elicit.report.rows import TableRow
    from elicit.results import Comparison

UNINTERESTING = re.compile(r"(^|\.)(seed|root|group|folder|out|name|tracker|hydra)(\.|$)")
"""keys of a run's config whose differences mean nothing"""


def template_folder() -> Path:
    """The folder of the built-in templates. Raises DataError if the installation lacks them."""
    package = Path(__file__).resolve().parents[1]
    places = (package / "_templates", package.parent / "reports" / "templates")
    for place in places:
        if (place / "comparison.html.j2").exists():
            return place
    raise DataError(f"no report templates in {places[0]} or {places[1]}; install elicit-workbench again")


def find_template(template: str) -> tuple[Path, list[str]]:
    """(folder, template file names) for a built-in name or a user's path.

    A path names one file (mine.html.j2 or mine.md.j2); its sibling with the other ending is rendered too if it exists.
    """
    path = Path(template)
    if path.suffix != ".j2" and path.name == template:
        folder = template_folder()
        known = sorted({p.name.split(".")[0] for p in folder.glob("*.j2") if not p.name.startswith("_")})
        names = [
            f"{template}.{ending}.j2" for ending in ("md", "html") if (folder / f"{template}.{ending}.j2").exists()
        ]
        if not names:
            raise ConfigError(f"template={template}: no such template in {folder}; {near(template, known)}")
        return folder, names
    if not path.is_file():
        raise ConfigError(f"template={template}: no such file; copy one from {template_folder()} and edit it")
    stem = re.sub(r"\.(html|md)\.j2$", "", path.name)
    if stem == path.name:
        raise ConfigError(f"template={template}: a template's name ends in .html.j2 or .md.j2")
    names = [f"{stem}.{ending}.j2" for ending in ("md", "html") if (path.parent / f"{stem}.{ending}.j2").exists()]
    return path.parent.resolve(), names


def references(methods: list[str], folder: Path | None = None) -> list[tuple[str, str]]:
    """(one-line citation, BibTeX entry) of what was used: entries whose `keywords` name a method or 'always'."""
    text = ((folder or template_folder()) / "references.bib").read_text(encoding="utf-8")
    wanted = {"always", *methods}
    out = []
    for entry in re.split(r"\n(?=@)", text):
        field = {key: value for key, value in re.findall(r"^\s*(\w+)\s*=\s*\{(.*?)\},?\s*$", entry, re.MULTILINE)}
        if wanted & set(re.split(r"[,\s]+", field.get("keywords", ""))):
            title = field["title"].replace("{", "").replace("}", "")
            where = f"arXiv {field['eprint']}" if "eprint" in field else field.get("journal", "")
            out.append((f"{field['author'].replace(' and ', ', ')}. {title}. {field['year']}. {where}", entry.strip()))
    return out


def config_differences(comparison: Comparison, here: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """(policy names, [(key, one value per policy)]) of config keys in which the runs of a comparison differ.

    Configs are the config.yaml of run folders, resolved from `here`. A run without a config is left out.
    """
    configs: dict[str, dict[str, str]] = {}
    for line in comparison.lines:
        config = _run_config(line.run, here)
        if config:
            configs[line.name] = flat(config)
    keys = sorted({key for config in configs.values() for key in config if not UNINTERESTING.search(key)})
    lines = [(key, [config.get(key, "") for config in configs.values()]) for key in keys]
    return list(configs), [(key, values) for key, values in lines if len(set(values)) > 1]


def logs(table: Sequence[TableRow], here: Path, folder: Path | None) -> dict[str, Path]:
    """Policy id -> log.jsonl of its fit, if it still exists (`all_logs`; of several seeds the first)."""
    return {policy: paths[0] for policy, paths in all_logs(table, here, folder).items()}


def all_logs(table: Sequence[TableRow], here: Path, folder: Path | None) -> dict[str, list[Path]]:
    """Policy id -> log.jsonl of the fit of each of its seeds: in the named run, else in the comparison's root.

    A fit that was taken over from an earlier run was logged there. A run is listed for the first policy that has it.
    """
    out: dict[str, list[Path]] = {}
    seen: set[Path] = set()
    for row in table:
        for run in dict.fromkeys([row.line.run, *(member.run for member in row.line.members)]):
            path = _log(run, here, folder) if run else None
            if path is not None and path not in seen:
                seen.add(path)
                out.setdefault(row.line.id, []).append(path)
    return out


def _log(run: str, here: Path, folder: Path | None) -> Path | None:
    """The log of a run, or of the run that its fit was taken over from, and so on; a circle of runs has no origin."""
    places = [here / run] + ([folder.resolve().parent.parent / Path(run).name] if folder is not None else [])
    place = next((path for path in places if (path / "log.jsonl").is_file()), None)
    followed: set[Path] = set()
    while place is not None and place not in followed and (place / "manifest.json").is_file():
        followed.add(place)
        origin = place.parent / Path(str(read_json(place / "manifest.json").get("fit_from") or place.name)).name
        if origin == place or not (origin / "log.jsonl").is_file():
            break
        place = origin
    return place / "log.jsonl" if place is not None else None


@dataclass(frozen=True)
class MethodCard:
    """One method of a comparison: its row, its controls, its settings, and the head of its own README."""

    row: TableRow
    controls: list[TableRow]
    settings: list[tuple[str, str]]
    class_path: str
    about: str


def method_cards(table: Sequence[TableRow], here: Path) -> list[MethodCard]:
    """One card per method of the scorecard."""
    out = []
    for row in table:
        if row.role != "method":
            continue
        method = (_run_config(row.line.run, here) or {}).get("method") or {}
        path = str(method.get("_class_") or "")
        settings = [(key, value) for key, value in sorted(flat(method).items()) if key != "_class_"]
        controls = [other for other in table if other.depth and other.line.parent == row.line.name]
        out.append(MethodCard(row, controls, settings, path, _readme(path)))
    return out


def _readme(class_path: str) -> str:
    """The README of the package folder of a class, up to its second heading; empty if there is none."""
    package = class_path.rsplit(".", 2)[0]
    spec = importlib.util.find_spec(package) if package.count(".") == 1 and class_path.startswith("methods.") else None
    path = Path(spec.origin).parent / "README.md" if spec and spec.origin else None
    if path is None or not path.is_file():
        return ""
    body = re.sub(r"\A#[^\n]*\n", "", path.read_text(encoding="utf-8"))
    return re.split(r"\n## ", body)[0].strip()


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """A nested config as dotted keys and printed values."""
    if isinstance(config, dict):
        return {k: v for key, inner in config.items() for k, v in flat(inner, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): str(config)}


def _run_config(run: str | None, here: Path) -> Any:
    path = here / run / "config.yaml" if run else None
    if path is None or not path.is_file():
        return None
    return read_yaml(path)
