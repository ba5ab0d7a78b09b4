"""A wandb workspace in which the policies of a comparison can be compared: sections and panels as plain data.

The specification is JSON in the words of wandb-workspaces (`Workspace`, `Section`, `LinePlot`, `BarPlot`,
`RunsetSettings`); `build` hands it to that package where it is installed and a server answers. The package is no
dependency: without it the JSON can be kept, checked and read by people. Every key in it is one that `scores` logs.
Knows no comparison and no value.
"""

from __future__ import annotations

from typing import Any

from elicit.errors import ConfigError

Spec = dict[str, Any]


def specification(project: str = "elicit", entity: str | None = None, group: str | None = None) -> Spec:
    """The workspace of a project, its runs filtered to the score runs (of one group, where given)."""
    return {
        "name": "elicit: methods compared" + (f" ({group})" if group else ""),
        "project": project,
        "entity": entity,
        "sections": [
            _section("What was gained", [
                _bars("acc/strict"), _bars("ef/B1/C4/point", "ef/B1/C1/point"), _bars("ctrl/gain"),
                _bars("matched/difference"), _bars("matched/best"),
            ]),
            _section("Coverage and votes, over samples and over tokens", [
                _lines("elicit/k", "elicit/cov"), _lines("elicit/tokens", "elicit/cov"),
                _lines("elicit/k", "elicit/maj"), _lines("elicit/tokens", "elicit/maj"),
            ]),
            _section("Price", [_bars("cost/tokens"), _bars("cost/fit_seconds"), _bars("ledger/label_bits")]),
            _section("Distrust", [_bars("trunc/rate"), _bars("noans/rate"), _bars("ctrl/specificity")]),
        ],
        "runset_settings": {
            "query": group or "",
            "filters": "JobType = 'score'",
            "order": [{"metric": "acc/strict", "ascending": False}],
        },
    }  # fmt: skip


def metrics(spec: Spec) -> set[str]:
    """Every key that the panels show."""
    found: set[str] = set()
    for section in spec["sections"]:
        for panel in section["panels"]:
            found |= {*panel.get("metrics", []), *panel.get("y", []), *([panel["x"]] if "x" in panel else [])}
    return found


def build(spec: Spec) -> Any:
    """The same as an object of wandb-workspaces. Raises ConfigError where the package is not installed."""
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError:
        raise ConfigError(
            "saving a workspace needs the package wandb-workspaces: pip install wandb-workspaces"
        ) from None
    panels = {"LinePlot": reports.LinePlot, "BarPlot": reports.BarPlot}

    def panel(told: Spec) -> Any:
        return panels[told["type"]](**{key: value for key, value in told.items() if key != "type"})

    sections = [
        workspaces.Section(name=one["name"], panels=[panel(told) for told in one["panels"]], is_open=one["is_open"])
        for one in spec["sections"]
    ]
    return workspaces.Workspace(
        name=spec["name"],
        entity=spec["entity"],
        project=spec["project"],
        sections=sections,
        runset_settings=workspaces.RunsetSettings(query=spec["runset_settings"]["query"]),
    )


def _section(name: str, panels: list[Spec]) -> Spec:
    return {"name": name, "is_open": True, "panels": panels}


def _lines(x: str, *y: str) -> Spec:
    return {"type": "LinePlot", "x": x, "y": list(y)}


def _bars(*names: str) -> Spec:
    return {"type": "BarPlot", "metrics": list(names)}
