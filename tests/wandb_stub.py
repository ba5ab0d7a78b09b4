"""A wandb server for tests: it accepts what `wandb-core` 0.31 sends and keeps it in plain dicts. No network.

    POST /graphql                             runs (UpsertBucket, RunResumeStatus), files, artifacts
    POST /files/ENTITY/PROJECT/RUN/file_stream   history, summary, output: appended by offset
    PUT  /storage/...                         contents of files and artifacts

Knows only the requests that the library makes; a query it does not know is kept in `unknown` and answered `{}`.
"""

from __future__ import annotations

import gzip
import http.server
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ENTITY = "tester"


@dataclass
class StubRun:
    """What the server knows of one run."""

    name: str
    project: str = ""
    group: str | None = None
    job_type: str | None = None
    display: str | None = None
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    begun: int = 0
    """times the run was begun (2: resumed once)"""
    exit_code: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """History rows in their order."""
        return [self.history[line] for line in sorted(self.history)]


class Stub:
    """The server's memory, and its address."""

    def __init__(self) -> None:
        self.runs: dict[str, StubRun] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        """by "type/name": what createArtifact was told, and whether it was committed"""
        self.files: dict[str, bytes] = {}
        """contents by storage path: RUN/NAME"""
        self.unknown: list[str] = []
        self.url = ""

    def run(self, name: str) -> StubRun:
        return self.runs.setdefault(name, StubRun(name))

    def runs_table(self, job_type: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """The runs table that the page would draw: (columns, {run: {column: cell, None if empty}})."""
        rows = {str(run.display): run.summary for run in self.runs.values() if run.job_type == job_type}
        columns = sorted({key for row in rows.values() for key in row if not key.startswith("_")})
        return columns, {name: {key: row.get(key) for key in columns} for name, row in rows.items()}

    def graphql(self, name: str, query: str, values: dict[str, Any]) -> dict[str, Any]:
        known = {
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert,
            "CreateRunFiles": self._run_files,
            "CreateArtifact": self._create_artifact,
            "CreateArtifactManifest": self._create_manifest,
            "CreateArtifactFiles": self._artifact_files,
            "CommitArtifact": self._commit,
        }
        if name in known:
            return known[name](values)
        if name == "ArtifactType":
            return {"project": {"artifact": None}}
        if "viewer" in query:
            return {"viewer": {"id": "VQ==", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}",
                               "teams": {"edges": []}}}  # fmt: skip
        if "__type" in query or "__schema" in query:
            return {"TypeInfo": None, "QueryType": None, "MutationType": None}
        self.unknown.append(name)
        return {}

    def _resume_status(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        bucket = None
        if run is not None:
            last = json.dumps([json.dumps(run.rows[-1])] if run.history else [])
            bucket = {
                "id": f"id-{run.name}", "name": run.name, "displayName": run.display, "config": json.dumps(run.config),
                "summaryMetrics": json.dumps(run.summary), "tags": run.tags, "notes": None, "logLineCount": 0,
                "historyLineCount": len(run.history), "eventsLineCount": 0, "historyTail": last, "eventsTail": "[]",
                "wandbConfig": '{"t": 1}',
            }  # fmt: skip
        return {
            "model": {"id": "p", "name": values["project"], "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}
        }

    def _upsert(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.run(values["name"])
        run.project = values["project"] or run.project
        run.begun += values["groupName"] is not None
        run.group, run.job_type = values["groupName"] or run.group, values["jobType"] or run.job_type
        run.display, run.tags = values["displayName"] or run.display, values["tags"] or run.tags
        run.config |= json.loads(values["config"] or "{}")
        project = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
        bucket = {"id": f"id-{run.name}", "name": run.name, "displayName": run.display, "description": None,
                  "config": json.dumps(run.config), "sweepName": None, "historyLineCount": len(run.history),
                  "project": project}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": run.begun == 1}}

    def _run_files(self, values: dict[str, Any]) -> dict[str, Any]:
        run = values["run"]
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/{run}/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": f"id-{run}", "uploadHeaders": [], "files": files}}

    def _create_artifact(self, values: dict[str, Any]) -> dict[str, Any]:
        told = values["input"]
        identity = f"{told['artifactTypeName']}/{told['artifactCollectionName']}"
        self.artifacts[identity] = {**told, "committed": False}
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": identity, "state": "PENDING", "artifactSequence": sequence}}}

    def _create_manifest(self, values: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/storage/{values['artifactID']}/{values['name']}"
        file = {"id": "f", "name": values["name"], "displayName": values["name"], "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _artifact_files(self, values: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for spec in values["input"]["artifactFiles"]:
            url = f"{self.url}/storage/{spec['artifactID']}/{spec['name']}"
            node = {"id": "f", "name": spec["name"], "displayName": spec["name"], "uploadUrl": url,
                    "uploadHeaders": [], "artifact": {"id": spec["artifactID"]}, "storagePath": None,
                    "uploadMultipartUrls": None}  # fmt: skip
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _commit(self, values: dict[str, Any]) -> dict[str, Any]:
        self.artifacts[values["artifactID"]]["committed"] = True
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": "d"}}}

    def stream(self, name: str, told: dict[str, Any]) -> dict[str, Any]:
        """One file_stream request."""
        run = self.run(name)
        for file, chunk in (told.get("files") or {}).items():
            for place, line in enumerate(chunk["content"]):
                if file == "wandb-history.jsonl":
                    run.history[chunk["offset"] + place] = json.loads(line)
                elif file == "wandb-summary.json":
                    run.summary = json.loads(line)
        if told.get("complete"):
            run.exit_code = told.get("exitcode")
        return {"limits": {}}


def _handler(stub: Stub) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if self.path == "/graphql":
                asked = json.loads(body)
                name = asked.get("operationName") or "".join(
                    re.findall(r"^\s*(?:query|mutation)\s+(\w+)", asked["query"])
                )
                self._answer({"data": stub.graphql(name, asked["query"], asked.get("variables") or {})})
            elif self.path.endswith("/file_stream"):
                self._answer(stub.stream(self.path.split("/")[-2], json.loads(body)))
            else:
                self._answer({})

        def do_PUT(self) -> None:
            stub.files[self.path.removeprefix("/storage/")] = self._body()
            self._answer({})

        def do_GET(self) -> None:
            self._answer({})

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _answer(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None: ...

    return Handler


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault; any other is kept for the test to see."""
        fault = sys.exc_info()[1]
        if not isinstance(fault, ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running() -> Iterator[Stub]:
    """The stub, answering on a port of this machine in a thread."""
    stub = Stub()
    server = _Server(("127.0.0.1", 0), _handler(stub))
    stub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
