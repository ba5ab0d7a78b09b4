"""Lenses: questions about traces. Each is one file with one table, one figure and one sentence per policy; no torch.

`LENSES` holds one instance of each by name; `dataclasses.replace` changes its settings.
"""

from __future__ import annotations

from elicit.evaluate.lenses.agreement import Agreement
from elicit.evaluate.lenses.calibration import Calibration
from elicit.evaluate.lenses.causality import Causality
from elicit.evaluate.lenses.coherence import Coherence
from elicit.evaluate.lenses.commitment import Commitment
from elicit.evaluate.lenses.confidence import Confidence
from elicit.evaluate.lenses.directions import Directions
from elicit.evaluate.lenses.divergence import Divergence
from elicit.evaluate.lenses.economy import Economy
from elicit.evaluate.lenses.factors import Factors
from elicit.evaluate.lenses.importance import Importance
from elicit.evaluate.lenses.legibility import Legibility
from elicit.evaluate.lenses.length import Length
from elicit.evaluate.lenses.lens import Lens, Reading
from elicit.evaluate.lenses.likelihood import Likelihood
from elicit.evaluate.lenses.reflection import Reflection
from elicit.evaluate.lenses.repaired import Repaired
from elicit.evaluate.lenses.shift import Shift
from elicit.evaluate.lenses.side_effects import SideEffects
from elicit.evaluate.lenses.structure import Structure
from elicit.evaluate.lenses.transplant import Transplant
from elicit.evaluate.lenses.validity import Validity

ALL: tuple[Lens, ...] = (
    *(Validity(), Coherence(), Commitment(), Importance(), Confidence(), Reflection(), Length(), Shift()),
    *(Causality(), SideEffects(), Economy(), Structure(), Likelihood(), Divergence()),
    *(Calibration(), Factors(), Repaired(), Legibility()),
    *(Agreement(), Directions(), Transplant()),
)
LENSES: dict[str, Lens] = {lens.name: lens for lens in ALL}

__all__ = ["LENSES", "Lens", "Reading"]
