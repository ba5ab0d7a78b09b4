"""Metrics to wandb: a sink. Nothing is read from it, and if it fails the run continues.

    run folder/
      wandb/             everything of wandb, staged artifacts and caches included
      wandb/run_id.txt   a resumed run continues the same wandb run

The mode is resolved here and printed in one line: an explicit setting, then WANDB_MODE, then online if there is a key
and the server answers, else offline (`wandb.init` itself raises without key or network, and never falls back). A server
that stops answering costs at most `patience` seconds at the end of a run; what did not arrive stays in the folder for
`wandb sync`. What is tracked of a comparison: `elicit/track/scores.py`. Knows nothing about methods or metrics; no
torch; wandb is imported only when a run starts.
"""

from __future__ import annotations

import netrc
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlparse

from elicit.errors import ConfigError, checked

Say = Callable[[str], None]
MAX_TAG = 64
"""characters of a tag: wandb refuses to start a run with a longer one"""


class Run(Protocol):
    """One tracked run. No call raises."""

    id: str | None

    def log(self, row: Mapping[str, Any]) -> None: ...
    def summary(self, values: Mapping[str, Any]) -> None: ...
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def artifact(self, name: str, kind: str, path: Path) -> None: ...
    def finish(self) -> None: ...


class Tracker(Protocol):
    """Starts runs."""

    def start(self, folder: Path, job_type: str, name: str, group: str, config: Mapping[str, Any], say: Say) -> Run: ...


class Silent:
    """The run of a tracker that is off, or that failed to start."""

    id: str | None = None

    def log(self, row: Mapping[str, Any]) -> None: ...
    def summary(self, values: Mapping[str, Any]) -> None: ...
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def artifact(self, name: str, kind: str, path: Path) -> None: ...
    def finish(self) -> None: ...


@dataclass(frozen=True)
class NoTracker:
    """tracker=none."""

    def start(self, folder: Path, job_type: str, name: str, group: str, config: Mapping[str, Any], say: Say) -> Run:
        return Silent()


@dataclass(frozen=True)
class WandbTracker:
    """tracker=wandb."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: WANDB_MODE, then online if there is a key and the server answers, else offline"""
    project: str = "elicit"
    entity: str | None = None
    tags: tuple[str, ...] = ()
    timeout: float = 2.0
    """seconds to wait for the server's answer in mode auto"""
    patience: float = 120.0
    """seconds that a run's end waits for uploads; the rest stays on disk for `wandb sync`"""

    def __post_init__(self) -> None:
        checked(self, at_least={"patience": 0}, above={"timeout": 0}, label="tracker")
        for tag in self.tags:
            if not 1 <= len(tag) <= MAX_TAG:
                raise ConfigError(
                    f"tracker.tags: {tag[:20]!r}... has {len(tag)} characters; wandb takes between 1 and {MAX_TAG}"
                )

    def start(self, folder: Path, job_type: str, name: str, group: str, config: Mapping[str, Any], say: Say) -> Run:
        """Begin (or continue) the wandb run of `folder`; a fault is printed once and gives a silent run."""
        mode, why = resolve_mode(self.mode, self.timeout)
        if mode == "disabled":
            say(f"wandb: off ({why})")
            return Silent()
        try:
            run = _init(self, mode, Path(folder), job_type, name, group, config)
        except Exception as fault:  # a sink that fails never fails a run, whatever its library raises
            say(f"wandb: not started ({type(fault).__name__}: {fault}); the run continues without it")
            return Silent()
        say(f"wandb: {mode} ({why})")
        return WandbRun(run, say)


class WandbRun:
    """A live wandb run. The first fault of a call is printed, later ones are not; none is raised."""

    def __init__(self, run: Any, say: Say) -> None:
        self._run, self._say, self._failed, self._step = run, say, False, 0
        self.id: str | None = run.id

    def log(self, row: Mapping[str, Any]) -> None:
        """One row of curves under `elicit/`, against `elicit/step` (the row's own `step`, or a count).

        It is wandb's own step, too: a resumed run goes on with it, and a row that wandb has is not logged again.
        """
        with self._guarded():
            self._step = int(row.get("step", self._step + 1))
            values = {f"elicit/{key}": value for key, value in row.items() if key != "step"}
            self._run.log({"elicit/step": self._step, **values}, step=self._step, commit=True)

    def summary(self, values: Mapping[str, Any]) -> None:
        with self._guarded():
            self._run.summary.update(dict(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with self._guarded():
            import wandb

            self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def artifact(self, name: str, kind: str, path: Path) -> None:
        with self._guarded():
            import wandb

            artifact = wandb.Artifact(name, type=kind)
            (artifact.add_dir if Path(path).is_dir() else artifact.add_file)(str(path))
            self._run.log_artifact(artifact)

    def finish(self) -> None:
        with self._guarded():
            self._run.finish()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as fault:  # a sink that fails never fails a run, whatever its library raises
            if not self._failed:
                self._say(f"wandb: {type(fault).__name__}: {fault}; the run continues")
            self._failed = True


def resolve_mode(setting: str, timeout: float = 2.0) -> tuple[str, str]:
    """(mode, why): explicit setting, else WANDB_MODE, else online with a key and a server that answers, else offline.

    Raises ConfigError if WANDB_MODE is no mode of wandb.
    """
    if setting != "auto":
        return setting, f"tracker.mode={setting}"
    named = os.environ.get("WANDB_MODE", "").strip()
    if named:
        modes = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}
        if named not in modes:
            raise ConfigError(f"WANDB_MODE={named!r}: online, offline or disabled")
        return modes[named], f"WANDB_MODE={named}"
    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    if not has_key(url):
        return "offline", "no key; `wandb login` or WANDB_API_KEY would go online"
    if not reachable(url, timeout):
        return "offline", f"{url} does not answer; `wandb sync` uploads later"
    return "online", f"key present, {url} answers"


def has_key(url: str) -> bool:
    """True if WANDB_API_KEY or the netrc file holds a key for the server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        login = netrc.netrc(os.environ.get("NETRC")).authenticators(urlparse(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return False
    return login is not None


def reachable(url: str, timeout: float) -> bool:
    """True if a TCP connection to the server opens within `timeout` seconds."""
    parts = urlparse(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=timeout):
            return True
    except OSError:
        return False


def _init(
    tracker: WandbTracker, mode: str, folder: Path, job_type: str, name: str, group: str, config: Mapping[str, Any]
) -> Any:
    """`wandb.init` with everything it writes kept in `folder`/wandb."""
    # 1) everything that wandb writes goes into this folder
    own = folder / "wandb"
    own.mkdir(parents=True, exist_ok=True)
    for variable, sub in (("WANDB_DIR", ""), ("WANDB_DATA_DIR", "data"), ("WANDB_CACHE_DIR", "cache")):
        os.environ[variable] = str((own / sub).resolve())
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    # 2) a resumed run continues the same wandb run
    id_file = own / "run_id.txt"
    if not id_file.exists():
        id_file.write_text(secrets.token_hex(4) + "\n", encoding="ascii")
    # 3) wandb's own settings; `finish_timeout` only if the installed version has it
    wanted: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": 20, "finish_timeout": tracker.patience}
    known = wandb.Settings.model_fields
    run = wandb.init(
        project=tracker.project,
        entity=tracker.entity,
        group=group,
        job_type=job_type,
        name=name,
        tags=list(tracker.tags) or None,
        dir=str(own),
        id=id_file.read_text(encoding="ascii").strip(),
        resume="allow",
        mode=mode,  # type: ignore[arg-type]
        config={"elicit": dict(config)},
        settings=wandb.Settings(**{key: value for key, value in wanted.items() if key in known}),
        reinit="finish_previous",
    )
    kept = "none" if job_type == "score" else None  # last points of curves are no columns of the runs table
    run.define_metric("elicit/step", summary=kept)
    run.define_metric("elicit/*", step_metric="elicit/step", summary=kept)
    return run
