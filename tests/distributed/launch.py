"""Starts the same module in several processes, as `torchrun` does (its variables, without its agent)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def launched(module: str, words: Sequence[str], cwd: Path, world: int = 2) -> list[tuple[int, str, str]]:
    """(exit code, stdout, stderr) of each process, by rank. `world` 1: a plain process without a launcher."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plain = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "MASTER_ADDR")}
    plain |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", module, *words]
    processes = []
    for rank in range(world):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        env = plain | ({name: str(value) for name, value in place.items()} if world > 1 else {})
        processes.append(
            subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    try:
        outputs = [process.communicate(timeout=570) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, outputs, strict=True)]


def succeeded(module: str, words: Sequence[str], cwd: Path, world: int = 2) -> str:
    """Stdout of rank 0; all processes have to end well, and the others to print nothing there."""
    results = launched(module, words, cwd, world)
    assert all(code == 0 for code, _, _ in results), "\n".join(err[-3000:] for _, _, err in results)
    assert not any(out for _, out, _ in results[1:])
    return results[0][1]
