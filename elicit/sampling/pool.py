"""Chains that several strategies share, drawn once: votes, weighted votes, best-of-n and filters read one pool.

    <store>/pools/<policy without its strategy>/<regime>/pool-<keys>.parquet

A path is a pure function of its job, the pick rule, the stop rules and the settings of the engine, so it is stored
under the hash of these: every strategy with the same job gets the same tokens and numbers, and a killed run continues
with what it had drawn. Only jobs marked `shared` are stored; if a step rule may cut, nothing is read or stored. A path
carries the seconds it took, so the time of each strategy is counted as if it had run alone (as its tokens are). Does
not know strategies, answers or policies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elicit.files import content_hash, read_rows, read_table, write_rows
from elicit.policy.decoding import Loop, PathJob, PickRule, StepRule, Then
from elicit.policy.decoding import Path as Chain
from elicit.tasks.task import StopRules

KEPT = ("token_ids", "logprobs", "gaps", "confidences", "certainties", "finish", "text")
"""fields of a path that are stored; log z is zero at alpha = 1, the only alpha that is kept"""


class Pool:
    """The shared chains of one policy in one regime. `settings`: all else that decides a path (engine, dtype)."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        # a pool of an older version lacks fields: its paths are not found and are drawn again, with the same tokens
        self.folder, self.salt = Path(folder), content_hash([dict(settings), KEPT])
        self.saved_seconds = 0.0
        """seconds that the paths from the pool took when they were drawn"""
        self._file_of: dict[str, Path] = {}
        for file in sorted(self.folder.glob("pool-*.parquet")):
            self._file_of.update({row["key"]: file for row in read_rows([file], columns=["key"])})

    def over(self, loop: Loop) -> PooledLoop:
        """A loop that takes shared jobs from this pool if they are in it."""
        return PooledLoop(loop, self)

    def key(self, job: PathJob, about: str) -> str:
        """Key of a job; `about` is the hash of the pick rule and the stop rules."""
        return content_hash([self.salt, about, job.prompt_ids, job.seed, job.stream, job.forced, job.first_rank], 32)

    def find(self, keys: Sequence[str]) -> dict[str, Chain]:
        """The stored paths among `keys`; adds their seconds to `saved_seconds`."""
        wanted: dict[Path, list[str]] = {}
        for key in dict.fromkeys(keys):
            if key in self._file_of:
                wanted.setdefault(self._file_of[key], []).append(key)
        paths: dict[str, Chain] = {}
        for file, keys_of_file in wanted.items():
            for row in _rows(file, keys_of_file):
                self.saved_seconds += row["seconds"]
                paths[row["key"]] = Chain(log_z=[0.0] * len(row["token_ids"]), **{name: row[name] for name in KEPT})
        return paths

    def keep(self, paths: Mapping[str, Chain], seconds: float) -> None:
        """Write new paths, each with its share of the time by its tokens."""
        if not paths:
            return
        rate = seconds / max(sum(len(path.token_ids) for path in paths.values()), 1)
        rows = [
            {"key": key, "seconds": rate * len(path.token_ids), **{name: getattr(path, name) for name in KEPT}}
            for key, path in paths.items()
        ]
        file = self.folder / f"pool-{content_hash(sorted(paths))}.parquet"
        write_rows(file, rows)
        self._file_of.update(dict.fromkeys(paths, file))


class PooledLoop:
    """A step loop that takes shared jobs from a pool and adds to it what it has to draw. Implements `Loop`."""

    def __init__(self, loop: Loop, pool: Pool) -> None:
        self._loop, self._pool = loop, pool

    @property
    def vocabulary(self) -> int:
        return self._loop.vocabulary

    @property
    def rows(self) -> int:
        return self._loop.rows

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._loop.decode(token_ids)

    def encode(self, text: str) -> tuple[int, ...]:
        return self._loop.encode(text)

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        return self._loop.offsets(token_ids)

    def run(
        self,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> list[Chain]:
        """`Loop.run`; a shared job is drawn once for all runs. Chains of jobs are not read from the pool."""
        if then is not None:
            return self._loop.run(jobs, rule, stop, step_rule, then)
        if step_rule is not None or rule.alpha != 1 or not any(job.shared for job in jobs):
            return self._loop.run(jobs, rule, stop, step_rule)
        about = content_hash([rule, stop])
        keys = [self._pool.key(job, about) if job.shared else f"own {place}" for place, job in enumerate(jobs)]
        stored = self._pool.find([key for key, job in zip(keys, jobs, strict=True) if job.shared])
        todo = {key: job for key, job in zip(keys, jobs, strict=True) if key not in stored}
        begun = time.perf_counter()
        drawn = dict(zip(todo, self._loop.run(list(todo.values()), rule, stop), strict=True)) if todo else {}
        self._pool.keep({k: path for k, path in drawn.items() if todo[k].shared}, time.perf_counter() - begun)
        paths = stored | drawn
        return [paths[key] for key in keys]


def _rows(file: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of these keys. Raises DataError if the file is broken or missing."""
    return read_table(file, filters=[("key", "in", list(keys))]).to_pylist()
