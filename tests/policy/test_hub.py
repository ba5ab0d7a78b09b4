"""Laws of hub ids, against a stand-in of the hub on this machine: the pinned revision is what is loaded.

The stand-in answers what `huggingface_hub` asks for a file, HEAD and GET /<repo>/resolve/<revision>/<file>, with the
headers that name the commit. The library reads HF_ENDPOINT when it is imported, so each load is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from tests.policy.tiny import tiny_model, tiny_tokenizer

COMMITS = {"main": "a" * 40, "step1000": "b" * 40}
LOAD = """
import json, sys
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
checkpoint = load_checkpoint(CheckpointConfig(path="lab/tiny", revision=json.loads(sys.argv[1]), device="cpu"))
print(json.dumps([checkpoint.id, checkpoint.info()["revision"]]))
"""


class Hub(BaseHTTPRequestHandler):
    folders: dict[str, Path]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        place = self.path.split("?")[0].removeprefix("/lab/tiny/resolve/")
        revision, _, name = place.partition("/")
        commit = COMMITS.get(revision, revision)
        file = self.folders.get(commit, Path("/nowhere")) / name
        if not file.is_file():  # whatever else is asked for: no such entry
            known = commit in self.folders or place.startswith("/api/")
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RevisionNotFound")
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            return
        body = file.read_bytes()
        self.send_response(200)
        for header, value in (
            ("ETag", f'"{sha256(body).hexdigest()}"'), ("X-Repo-Commit", commit), ("Content-Length", str(len(body))),
        ):  # fmt: skip
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Path], Path]]:
    """(address, folder of each revision, an empty cache)."""
    folders = {}
    for seed, revision in enumerate(COMMITS):
        folders[revision] = tmp_path_factory.mktemp(revision)
        tiny_model("qwen2", seed).save_pretrained(folders[revision])
        tiny_tokenizer().save_pretrained(folders[revision])
    handler = type("Handler", (Hub,), {"folders": {COMMITS[name]: path for name, path in folders.items()}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folders, tmp_path_factory.mktemp("hub_home")
    server.shutdown()


def load(address: str, home: Path, revision: str | None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    chosen = clean | {"HF_ENDPOINT": address, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-c", LOAD, json.dumps(revision)]
    return subprocess.run(
        command, env=chosen, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )


def test_a_hub_id_gives_the_weights_of_its_pinned_revision_and_then_needs_no_network(
    hub: tuple[str, dict[str, Path], Path],
) -> None:
    address, folders, home = hub
    own = load_checkpoint(CheckpointConfig(path=str(folders["step1000"]), device="cpu")).id
    online = load(address, home, "step1000")
    assert online.returncode == 0 and json.loads(online.stdout) == [own, "step1000"], online.stderr
    offline = load("http://127.0.0.1:9", home, "step1000", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0 and json.loads(offline.stdout) == [own, "step1000"], offline.stderr


def test_a_revision_that_is_not_there_is_named_with_the_mend(hub: tuple[str, dict[str, Path], Path]) -> None:
    address, _, home = hub
    done = load(address, home, "step2000")
    assert done.returncode != 0
    assert "CheckpointError" in done.stderr and "step2000" in done.stderr and "lab/tiny" in done.stderr
