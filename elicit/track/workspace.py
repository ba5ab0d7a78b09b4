"""A wandb workspace in which the policies of a comparison can be compared: sections and panels as plain data.

The specification is JSON in the words of wandb-workspaces (`Workspace`, `Section`, `LinePlot`, `BarPlot`,
`RunsetSettings`); `build` passes it to that package if it is installed and a server answers. The package is no
dependency: without it the JSON can still be saved, checked and read. `scores` logs every key in it. Knows no
comparison and no value.
"""

from __future__ import annotations

from typing import Any

from elicit.errors import ConfigError

Spec = dict[str, Any]


def specification(project: str = "elicit", entity: str | None = None, group: str | None = None) -> Spec:
    """The workspace of a project, its runs filtered to the score runs (of one group, if given)."""
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


def build(spec: Spec) -> Any:
    """The same as an object of wandb-workspaces. Raises ConfigError if the package is not installed."""
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError:
        raise ConfigError(
            "saving a workspace needs the package wandb-workspaces: pip install wandb-workspaces"
        ) from None
    panels = {"LinePlot": reports.LinePlot, "BarPlot": reports.BarPlot}

    def panel(spec: Spec) -> Any:
        return panels[spec["type"]](**{key: value for key, value in spec.items() if key != "type"})

    sections = [
        workspaces.Section(name=section["name"], panels=list(map(panel, section["panels"])), is_open=section["is_open"])
        for section in spec["sections"]
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
