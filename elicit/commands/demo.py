"""`elicit demo quick`: shipped samples of the demonstration are graded, compared and reported. No model is loaded.

The samples are those of a part of the items of one `elicit experiment=demo` (`benchmarks/pack_quick.py`). They are
unpacked into a root of their own, so that nothing of another run is touched or mixed with them.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from elicit.commands.arguments import Command
from elicit.commands.measured import score
from elicit.errors import ConfigError, near

ARCHIVE = Path(__file__).with_name("quick.tar.xz")
GROUP = "demo-quick"
DEMO = Command("demo quick: the demonstration from shipped samples", {"root": "runs/quick", "output": "text"})


def demo(words: list[str]) -> int:
    """Unpack the samples, then do what `elicit score` does."""
    given = DEMO.read(words)
    if given.names[0] != "quick":
        raise ConfigError(
            f"elicit demo {given.names[0]}: {near(given.names[0], ['quick'])}; the whole one, with fits: elicit "
            "experiment=demo"
        )
    root, console = given.path("root"), given.console()
    console.say(
        f"unpacking samples of the built-in organism into {root}: 40 of the 200 items of elicit experiment=demo, "
        "graded and compared here; no model is loaded"
    )
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    code = score([GROUP, f"root={root}", f"output={given['output']}"])
    console.say(f"open {root / 'comparisons' / GROUP / 'report' / 'report.html'} in a browser")
    console.say(f"then: elicit traces {GROUP} root={root}; with models and fits: elicit experiment=demo")
    return code
