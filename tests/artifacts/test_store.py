"""Laws of the store: existing means complete, identity is what was asked for, and nothing corrupt is served."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.store import BuildResult, Spec, Store, is_disk_full
from r1_pipeline.artifacts.tables import read_records, write_records
from r1_pipeline.errors import OutOfDiskError, SchemaVersionError, WrongKindError
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Problem, TestCase


class Toy(Recipe):
    text: str
    weight: float = 0.5


def spec(text: str = "a", name: str = "toy", **inputs: Checkpoint) -> Spec:
    return Spec(name=name, stage="toy", version=1, recipe=Toy(text=text), inputs=inputs)


def make(draft: Draft) -> BuildResult:
    (draft.path / "weights.txt").write_text("same bytes")
    draft.log(1, 1, {"loss": 0.25})
    return BuildResult(statistics={"rows": 1}, drops={"wrong": 2})


def make_without_logging(draft: Draft) -> BuildResult:
    (draft.path / "weights.txt").write_text("same bytes")
    return BuildResult()


def test_second_build_reuses_and_does_not_call_the_maker(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.build(Checkpoint, spec(), make)
    second = store.build(Checkpoint, spec(), lambda draft: pytest.fail("made twice"))
    assert second == first
    assert first.statistics == {"rows": 1}
    assert first.manifest.drops == {"wrong": 2}
    assert first.metrics()[0]["loss"] == 0.25


def test_early_cutoff_equal_bytes_give_an_equal_downstream_fingerprint(tmp_path: Path) -> None:
    store = Store(tmp_path)
    a, b = store.build(Checkpoint, spec("a"), make), store.build(Checkpoint, spec("b"), make)
    assert a.manifest.fingerprint != b.manifest.fingerprint
    assert a.digest == b.digest
    below = [spec("down", base=x).payload() for x in (a, b)]
    assert below[0] == below[1]


def test_logs_and_names_are_not_identity(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert spec(name="x").payload() == spec(name="y").payload()
    artifact = store.build(Checkpoint, spec(), make)
    assert "logs/metrics.jsonl" in {f.path for f in artifact.manifest.files}
    quiet = store.build(Checkpoint, spec("q"), make_without_logging)
    assert quiet.digest == artifact.digest


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "add", "manifest"])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, harm: str) -> None:
    path = Store(tmp_path).build(Checkpoint, spec(), make).path
    victim = path / "weights.txt"
    named = "weights.txt"
    if harm == "flip":
        victim.write_text("same bytez")
    elif harm == "truncate":
        victim.write_text("same")
    elif harm == "remove":
        victim.unlink()
    elif harm == "add":
        (path / "extra.txt").write_text("x")
        named = "extra.txt"
    else:
        raw = json.loads((path / "manifest.json").read_text())
        raw["digest"] = "0" * 64
        (path / "manifest.json").write_text(json.dumps(raw))
        named = "manifest.json"
    program = (
        "import sys; from pathlib import Path; from r1_pipeline.artifacts.kinds import Checkpoint;"
        "Checkpoint.open(Path(sys.argv[1]))"
    )
    opened = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "CorruptArtifactError" in opened.stderr
    assert named in opened.stderr


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = Store(tmp_path).build(Checkpoint, spec(), make).path
    with pytest.raises(WrongKindError, match="not a corpus"):
        Corpus.open(path)


def test_another_schema_of_home_or_artifact_is_refused(tmp_path: Path) -> None:
    path = Store(tmp_path).build(Checkpoint, spec(), make).path
    raw = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**raw, "schema_version": 99}))
    with pytest.raises(SchemaVersionError, match="99"):
        Checkpoint.open(path)
    (tmp_path / "home.json").write_text('{"schema": 0}')
    with pytest.raises(SchemaVersionError, match="another --home"):
        Store(tmp_path)


def test_a_failed_maker_leaves_nothing_visible_and_keeps_scratch(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def broken(draft: Draft) -> BuildResult:
        draft.log(1, 2, {"loss": 1.0})
        (draft.path / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build(Checkpoint, spec(), broken)
    assert store.find(Checkpoint, spec()) is None
    assert not list((tmp_path / "artifacts/.staging").iterdir())

    def resumed(draft: Draft) -> BuildResult:
        assert [row["step"] for row in read_metrics(draft.metrics)] == [1]
        return make(draft)

    store.build(Checkpoint, spec(), resumed)
    assert not list((tmp_path / "scratch").iterdir())


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def full(draft: Draft) -> BuildResult:
        (draft.path / "half").write_text("x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutOfDiskError, match="free some under"):
        store.build(Checkpoint, spec(), full)
    assert store.find(Checkpoint, spec()) is None
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(RuntimeError("something else"))


def test_kill_at_any_moment_leaves_the_whole_artifact_or_none(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from r1_pipeline.artifacts.kinds import Checkpoint
        from r1_pipeline.artifacts.store import BuildResult, Spec, Store
        from r1_pipeline.recipe import Recipe
        class Toy(Recipe):
            n: int
        def make(draft):
            for i in range(20):
                (draft.path / f"{i}.bin").write_bytes(bytes(200_000))
            return BuildResult()
        store = Store(Path(sys.argv[1]))
        for n in range(10_000):
            store.build(Checkpoint, Spec("k", "toy", 1, Toy(n=n), {}), make)
            if n == 0:
                print("ready", flush=True)
    """)
    for k in range(6):
        child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.11 + 0.037 * k)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    store = Store(tmp_path)
    finished = list((tmp_path / "artifacts/checkpoint/k").iterdir())
    assert finished
    assert all(len(Checkpoint.open(path).manifest.files) == 20 for path in finished)
    assert not list((tmp_path / "artifacts/.staging").iterdir())
    assert store.home == tmp_path


def test_two_writers_compute_once(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from r1_pipeline.artifacts.kinds import Checkpoint
        from r1_pipeline.artifacts.store import BuildResult, Spec, Store
        from r1_pipeline.recipe import Recipe
        def make(draft):
            with open(sys.argv[1] + ".count", "a") as f:
                f.write("x")
            time.sleep(0.5)
            (draft.path / "a").write_text("a")
            return BuildResult()
        Store(Path(sys.argv[1])).build(Checkpoint, Spec("k", "toy", 1, Recipe(), {}), make)
    """)
    home = tmp_path / "home"
    children = [subprocess.Popen([sys.executable, "-c", program, str(home)]) for _ in range(3)]
    assert [child.wait(600) for child in children] == [0, 0, 0]
    assert (tmp_path / "home.count").read_text() == "x"


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    problem = Problem(
        id="p1",
        question="f(x)?",
        answer=None,
        tests=(TestCase(kind="call", function="f", given="[1]", expected="2", limit_s=1.0),),
        domain="code",
        language="en",
        source="toy",
        licence="Apache-2.0",
    )
    write_records(tmp_path / "a.parquet", [problem, problem.model_copy(update={"id": "p2", "answer": "42"})], Problem)
    write_records(tmp_path / "empty.parquet", [], Problem)
    assert read_records(tmp_path / "a.parquet", Problem)[0] == problem
    assert read_records(tmp_path / "empty.parquet", Problem) == []


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path: Path) -> None:
    problem = Problem(
        id="p", question="q" * 5000, answer="1", tests=(), domain="math", language="en", source="s", licence="l"
    )
    path = tmp_path / "problems.parquet"
    write_records(path, [problem.model_copy(update={"id": str(i)}) for i in range(50)], Problem)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 8] ^= 1
    path.write_bytes(raw)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|corrupt|invalid data"):
        read_records(path, Problem)
    assert ProblemSet.kind == "problems"
