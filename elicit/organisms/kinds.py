"""The kinds of organisms: the corpus of each. What this module does not know: tokens, models, training."""

from __future__ import annotations

from elicit.organisms.corpus import Corpus
from elicit.organisms.decoy import Decoy
from elicit.organisms.format_twin import FormatTwin

CORPORA: dict[str, Corpus] = {kind: Corpus(kind) for kind in ("positive", "twin", "form_only", "locked")}
CORPORA |= {"format_twin": FormatTwin(), "decoy": Decoy()}
