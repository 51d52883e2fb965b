"""Laws of OpenLineage events: every stage reports its inputs and outputs to the file, and to a server that answers.

A server that does not answer stops nothing.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dagster_defs.tracking.openlineage import FILE, RUN_ID, EventSink, OpenLineageObserver
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Problem, sparse

DAGSTER_RUN = "0192f3a1-0000-7000-8000-000000000001"


def problems(draft: Draft) -> BuildResult:
    question = Problem(
        id="p", question="1+1?", answer="2", tests=(), domain="math", language="en", source="s", licence="MIT"
    )
    write_records(draft.path / "problems.parquet", [question], Problem)
    return BuildResult({"rows": 1})


def weights(draft: Draft) -> BuildResult:
    (draft.path / "weights").write_text("w")
    return BuildResult()


def broken(draft: Draft) -> BuildResult:
    raise ValueError("no luck")


class Watched:
    """A store whose stages emit events."""

    def __init__(self, home: Path) -> None:
        self.warnings: list[str] = []
        self.file = home / FILE
        self.store = Store(home, OpenLineageObserver(EventSink(home), DAGSTER_RUN, self.warnings.append))

    def problems(self) -> ProblemSet:
        return self.store.build(ProblemSet, Spec("problems", "curate", 1, Recipe(), {}), problems)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yields the address of a server on loopback and the bodies posted to it."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append({"path": self.path, **json.loads(self.rfile.read(int(self.headers["Content-Length"])))})
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stage_says_what_it_read_and_wrote_and_in_which_versions(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "home")
    data = watched.problems()
    model = watched.store.build(Checkpoint, Spec("model", "finetune", 1, Recipe(), {"data": data}), weights)
    made_data, begun, done = watched.events()[1:]
    assert [event["eventType"] for event in (made_data, begun, done)] == ["COMPLETE", "START", "COMPLETE"]
    (output,) = made_data["outputs"]
    assert output["name"] == "problems/problems"
    assert output["facets"]["version"]["datasetVersion"] == data.digest
    columns = {field["name"]: field["type"] for field in output["facets"]["schema"]["fields"]}
    stated = Problem.model_fields.keys() - set(sparse(Problem))  # columns only where a row has them
    assert columns == dict.fromkeys(stated, "String")
    size = sum(file.bytes for file in data.manifest.files)
    counted = {name: output["outputFacets"]["outputStatistics"][name] for name in ("rowCount", "size", "fileCount")}
    assert counted == {"rowCount": 1, "size": size, "fileCount": 1}
    for event in (begun, done):
        assert event["job"] == {**event["job"], "namespace": "r1-pipeline", "name": "model"}
        assert event["run"]["runId"] == model.manifest.provenance.runs[RUN_ID] == str(UUID(event["run"]["runId"]))
        assert event["run"]["facets"]["parent"]["run"]["runId"] == DAGSTER_RUN
        assert [(one["name"], one["facets"]["version"]["datasetVersion"]) for one in event["inputs"]] == [
            ("problems/problems", data.digest)
        ]
    assert begun["outputs"] == []


def test_a_stage_that_fails_says_why_and_a_reused_one_says_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "home")
    data = watched.problems()
    watched.problems()
    with pytest.raises(ValueError, match="no luck"):
        watched.store.build(Checkpoint, Spec("model", "finetune", 1, Recipe(), {"data": data}), broken)
    events = watched.events()
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "START", "FAIL"]
    assert events[3]["run"]["facets"]["errorMessage"]["message"] == "ValueError: no luck"
    assert events[3]["run"]["runId"] == events[2]["run"]["runId"]


def test_a_server_hears_what_the_file_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: tuple[str, list[dict[str, Any]]]
) -> None:
    address, heard = listener
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    watched = Watched(tmp_path / "home")
    watched.problems()
    assert [event.pop("path") for event in heard] == ["/api/v1/lineage"] * 2
    identities = [
        [(event["eventType"], event["run"]["runId"]) for event in events] for events in (heard, watched.events())
    ]
    assert identities[0] == identities[1]
    assert heard[1]["outputs"] == watched.events()[1]["outputs"]
    assert watched.warnings == []


def test_a_server_that_is_down_stops_nothing_and_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TYPE", "http"), ("URL", "http://127.0.0.1:9"), ("RETRY", '{"total": 0}')):
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)
    watched = Watched(tmp_path / "home")
    assert watched.problems().statistics["rows"] == 1
    assert [event["eventType"] for event in watched.events()] == ["START", "COMPLETE"]
    (warning,) = watched.warnings
    assert "does not answer" in warning
    assert str(watched.file) in warning


def test_disabled_is_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    watched = Watched(tmp_path / "home")
    watched.problems()
    assert not watched.file.exists()


@pytest.mark.slow
def test_every_asset_of_a_run_has_its_events(home: Path) -> None:
    events = [json.loads(line) for line in (home / FILE).read_text().splitlines()]
    finished = {event["job"]["name"] for event in events if event["eventType"] == "COMPLETE"}
    assert {"base", "reasoning_traces/math", "sft_corpus", "distilled/qwen", "answers/r1", "evaluation/r1"} <= finished
    (corpus,) = [e for e in events if e["eventType"] == "COMPLETE" and e["job"]["name"] == "sft_corpus"]
    assert "corpus/reasoning_traces/math" in {one["name"] for one in corpus["inputs"]}
