"""Studies: published claims, tested again by a rule that was written before the run.

    rule     Condition: an interval that lies inside, outside or across a bound; `decide` joins conditions to a verdict
    study    Study: claim, published figures, endpoints, rule and scales, the `study:` part of a preset
    packet   blinded traces for people to rate, and their ratings
    result   StudyResult: the measured endpoints and the verdict, as a file

A study is one file, configs/experiment/study/NAME.yaml: the jobs of its comparison and what is concluded from them.
`elicit experiment=study/NAME scale=quick` runs it (commands/study.py), report/pages/study.py prints it. Plain data:
knows no model, no statistics and no report.
"""

from __future__ import annotations

from elicit.studies.result import AppliedCondition, Measured, StudyResult
from elicit.studies.rule import Condition, Decision, State, decide
from elicit.studies.study import Endpoint, Scale, Study

__all__ = [
    "AppliedCondition",
    "Condition",
    "Decision",
    "Endpoint",
    "Measured",
    "Scale",
    "State",
    "Study",
    "StudyResult",
    "decide",
]
