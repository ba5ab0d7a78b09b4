"""Given: somebody else's LoRA, merged checkpoint or steering vector as a row like any other.

    policy = base + what the file holds, times `scale`

Nothing is fitted, and nothing is known here of the data that the file was made from. The user may state it: then the
data class is "declared", and the statement is in the ledger and with the row; without a statement it is "unaccounted".
Neither supports a claim of elicitation from own data; evaluation items that the file was made from are not detected.
What is measured is the effect: against the base, its prompts, and a random change of the same norm. Formats:
`elicit/policy/exchange/read.py`.
Left out: adapters other than LoRA, vectors at other sites than the residual stream, pickles.
Cost: reading the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from elicit.errors import ConfigError, checked
from elicit.method import MethodBase, Work
from methods.given import controls

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy

Control = Literal["as_given", "random_same_norm", "sign_flipped"]


@dataclass(frozen=True)
class Given(MethodBase):
    """A LoRA folder, a merged checkpoint, a file of vectors, or what `elicit export RUN` wrote."""

    path: Path = Path()
    """folder with adapter_config.json, config.json or spec.json; or a file: .gguf, .safetensors, .pt, .yaml"""
    statement: str = ""
    """which data it was made from, e.g. "7,473 GSM8K train labels (MIT), GRPO"; empty: its data class is unaccounted"""
    scale: float = 1.0
    """factor of the change"""
    write: str | None = None
    """positions that vectors are written to: every | onward | last_prompt | prompt | completion; null: as the file
    states, else every"""
    control: Control = "as_given"
    """what is done to the change (controls.py); set by `placebos` and `rivals`, not by hand"""
    name: str = "given"

    def __post_init__(self) -> None:
        from elicit.policy.positions import check_write

        checked(self, one_of={"control": get_args(Control)})
        if self.write is not None:
            check_write(self.write)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the given folder or file. Raises ConfigError if there is nothing to read."""
        from elicit.policy.exchange.read import find

        if self.path == Path():
            raise ConfigError("method.path: give the file or folder of the intervention: method.path=PATH")
        return find(self.path).files

    @property
    def widths(self) -> Mapping[int, int]:
        """Of a file of steering vectors; other formats are compared with the model when they are read."""
        from elicit.policy.exchange.read import find

        return find(self.path).widths

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The intervention in the file. Raises what `Form.read` raises."""
        from elicit.policy.exchange.read import find

        files, form = self.files, find(self.path)
        edit = ledger.given(files, self.statement, lambda: form.read(policy.checkpoint, self.write, context.warn))
        if self.control == "as_given":
            stated = self.statement.strip() or "not stated (set method.statement)"
            context.warn(f"made elsewhere ({form.kind}) from data that were not measured here: {stated}")
        context.log({"given/format": form.kind, "given/files": len(files), "given/intervention": edit.id})
        return controls.changed(edit, self.scale, self.control, context.rng)

    def work(self, items: int, tokens: float) -> Work:
        """Nothing is sampled or trained."""
        return Work()

    def placebos(self) -> dict[str, Method]:
        """A random change of the same form and norm, at the same layers, parameters and positions."""
        return {"random_same_norm": replace(self, control="random_same_norm")}

    def rivals(self) -> dict[str, Method]:
        """The change with its sign flipped."""
        return {"sign_flipped": replace(self, control="sign_flipped")}
