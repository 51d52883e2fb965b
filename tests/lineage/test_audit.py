"""Laws of the audit: an intact home has no finding; every kind of damage is found and named with its place."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from lineage_world import Shop, World, problem, sample

from r1_pipeline.artifacts.edges import exclusion_edge
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.manifest import CARD, MANIFEST, content_digest, list_files, read_manifest, sealed
from r1_pipeline.artifacts.tables import read_table, write_records, write_table
from r1_pipeline.lineage.audit import Audit, audit
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Sample


def audited(root: Path, name: str | None = "sft_corpus", full: bool = False) -> Audit:
    library = Library.of(root)
    return audit(library, [library.find(name)] if name else None, full=full, runtime=Runtime(threads=1))


def said(root: Path, name: str | None = "sft_corpus", full: bool = False) -> list[str]:
    return [f"{f.artifact.partition('@')[0]} {f.where}: {f.what}" for f in audited(root, name, full).findings]


def place(world: World, artifact: Artifact, root: Path) -> Path:
    """Returns the path of the copy of `artifact`."""
    return root / artifact.path.relative_to(world.home / "artifacts")


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def rewrite(folder: Path, **changes: object) -> None:
    """Writes another manifest, with the right digest and checksum."""
    manifest = read_manifest(folder)
    files = list_files(folder)
    changed = manifest.model_copy(update={"files": files, "digest": content_digest(files), **changes})
    (folder / MANIFEST).write_text(sealed(changed).model_dump_json(indent=1) + "\n")


def test_what_is_whole_has_no_finding_and_says_what_was_looked_at(world: World, tmp_path: Path) -> None:
    found = audited(world.copy(tmp_path / "copy"), None, full=True)
    assert found.findings == ()
    assert found.not_checked == ()
    assert found.rows == sum(corpus.statistics["rows"] for corpus in (world.traces, world.corpus)) == 32
    assert {seal.digest for seal in found.seals} >= {world.corpus.digest, world.dev3.digest}


def test_one_byte_of_any_file_of_the_line_is_named(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    for artifact in (world.corpus, world.traces, world.dev2):
        for entry in artifact.manifest.files:
            path = place(world, artifact, root) / entry.path
            whole = path.read_bytes()
            flip(path)
            assert any(line.startswith(f"{artifact.name} {entry.path}: has changed") for line in said(root)), entry.path
            path.write_bytes(whole)
    assert said(root) == []


def test_a_missing_shard_and_a_strange_file_are_named(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    folder = place(world, world.corpus, root)
    (folder / "samples-1.parquet").rename(folder / "samples-7.parquet")
    found = said(root)
    assert "sft_corpus samples-1.parquet: is missing" in found
    assert "sft_corpus samples-7.parquet: is not in the manifest" in found


def edit(folder: Path, **columns: pl.Expr) -> None:
    table = folder / "samples-0.parquet"
    write_table(table, read_table(table).with_columns(**columns))


FIRST = pl.int_range(pl.len()) == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"response": pl.when(FIRST).then(pl.lit("<think>x</think>7")).otherwise("response")}, "has been edited"),
        ({"licence": pl.when(FIRST).then(pl.lit("CC0-1.0")).otherwise("licence")}, "has been edited"),
    ],
)
def test_an_edited_row_is_named_though_the_manifest_was_made_to_fit(
    world: World, tmp_path: Path, change: dict[str, pl.Expr], what: str
) -> None:
    root = world.copy(tmp_path / "copy")
    folder = place(world, world.corpus, root)
    row = read_table(folder / "samples-0.parquet")["sample_id"][0]
    edit(folder, **change)
    rewrite(folder)
    found = said(root)
    assert any(line.startswith(f"sft_corpus row {row}: {what}") for line in found)
    assert any(
        line.startswith("sft_corpus manifest.json: is not what dev3@") for line in found
    )  # what was made from it


def strange(world: World) -> Sample:
    return sample(problem(99), world.dev2.digest)


def heldout(world: World) -> Sample:
    return sample(world.heldout.problems()[0], world.dev2.digest)


def retyped(world: World) -> Sample:
    """A row with a held-out question in another typesetting, about a problem with another id."""
    asked = world.heldout.problems()[0].model_copy(update={"id": "f" * 16, "question": "what is  $20+20$"})
    return sample(asked, world.dev2.digest)


def wrong(world: World) -> Sample:
    return sample(world.problems.problems()[0], world.dev2.digest, index=9, answer="41")


@pytest.mark.parametrize(
    ("smuggled", "what"),
    [
        (strange, "is in none of the corpora that this one was merged from"),
        (strange, "which is in no problem set upstream"),
        (heldout, "holds a problem of heldout_problems"),
        (retyped, "holds a problem of heldout_problems"),
        (wrong, "was kept as correct by maths@1"),
    ],
)
def test_a_row_that_does_not_belong_is_named(
    world: World, tmp_path: Path, smuggled: Callable[[World], Sample], what: str
) -> None:
    root = world.copy(tmp_path / "copy")
    folder = place(world, world.corpus, root)
    row = smuggled(world)
    write_records(folder / "samples-0.parquet", [*world.corpus.samples()[:8], row], Sample)
    rewrite(folder)
    found = said(root)
    assert any(f"row {row.sample_id}" in line and what in line for line in found)
    assert any(line.startswith("sft_corpus manifest.json: says rows 16; the files have 17") for line in found)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"statistics": {"rows": 15, "by_domain": {"math": 16}}}, "manifest.json: says rows 15; the files have 16"),
        ({"name": "other"}, "manifest.json: says kind, name, fingerprint"),
        ({"payload": {}}, "manifest.json: says fingerprint"),
        ({"inputs": {}}, "manifest.json: says inputs"),
        ({"drops": {"wrong": 0}}, "manifest.json: is not what dev3@"),
    ],
)
def test_a_forged_manifest_contradicts_something(
    world: World, tmp_path: Path, changes: dict[str, object], what: str
) -> None:
    root = world.copy(tmp_path / "copy")
    rewrite(place(world, world.corpus, root), **changes)
    found = [f"{one.where}: {one.what}" for one in audited(root, None).findings]
    assert any(line.startswith(what) for line in found)


def test_a_manifest_edited_by_hand_cannot_be_read_as_one(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    manifest = place(world, world.traces, root) / MANIFEST
    raw = json.loads(manifest.read_text())
    raw["statistics"]["rows"] += 1
    manifest.write_text(json.dumps(raw))
    assert any("its checksum does not match" in line for line in said(root))


def test_a_card_that_says_otherwise_is_named(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    folder = place(world, world.corpus, root)
    card = folder / CARD / "README.md"
    card.write_text(card.read_text().replace("rows: 16", "rows: 17"))
    rewrite(folder)
    assert "sft_corpus card/README.md: says rows 17; the files have 16" in said(root)


def test_an_artifact_that_is_gone_is_missed_by_what_was_made_from_it(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    lost = place(world, world.base, root)
    (lost / MANIFEST).unlink()
    found = said(root)
    assert any(line.startswith("dev2 input policy: base@") for line in found)


def test_a_row_that_is_no_record_is_a_finding_and_stops_no_other_check(world: World, tmp_path: Path) -> None:
    root = world.copy(tmp_path / "copy")
    folder = place(world, world.corpus, root)
    edit(folder, outcome=pl.lit("fine"))
    rewrite(folder)
    found = said(root)
    assert any(line.startswith("sft_corpus rows: are not records: outcome 'fine': Input should be") for line in found)
    assert any("has been edited: its id is not the hash" in line for line in found)


def test_a_further_benchmark_that_was_kept_out_is_looked_for_too(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    problems = shop.problems("reasoning_problems", [problem(1), problem(2)])
    exam = shop.problems("exam_problems", [problem(2)])
    base = shop.model("base", "pretrain", "b")
    rows = [sample(each, base.digest) for each in problems.problems()]
    kept_out: dict[str, Artifact] = {exclusion_edge(exam.name): exam}
    shop.corpus("sft_corpus", "merge", rows, math=shop.corpus("traces", "sample", rows, problems=problems), **kept_out)
    assert [line for line in said(tmp_path) if "holds a problem" in line] == [
        f"sft_corpus row {rows[1].sample_id}: holds a problem of exam_problems"
    ]
