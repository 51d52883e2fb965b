"""Laws of the merged corpus: dropped rows have a reason, the place of the others depends on seed and id alone.

Neither the sizes of parts, shards and batches nor the number of threads change a byte.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from r1_pipeline.artifacts import tables
from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.data import merge
from r1_pipeline.data.corpus import corpus_statistics, write_samples
from r1_pipeline.data.merge import MergeRecipe, merge_parts, order_keys
from r1_pipeline.data.samples import sample_with_id
from r1_pipeline.data.screening.rows import STANDARD_SCREENING
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Outcome, Problem, Sample

MERGE = MergeRecipe(seed=0, screening=STANDARD_SCREENING, rows={})
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "hazel", "inlet", "jetty")


def sample(question: str, response: str = "<think>so</think>1", problem: str = "p", domain: Domain = "math") -> Sample:
    return sample_with_id(
        problem_id=problem, domain=domain, language="en", source="s:1#f", licence="MIT", question=question,
        response=response, generator="g", engine="e", temperature=1.0, top_p=1.0, max_tokens=9, seed=0, sample_index=0,
        outcome=Outcome.CORRECT, verifier="v@1", tokens=3, language_share=1.0,
    )  # fmt: skip


def different(count: int, domain: Domain = "math", start: int = 0) -> list[Sample]:
    """Returns rows of which none is similar to another."""
    return [
        sample(" ".join(f"{word}{i * 7919 % 9973}" for word in WORDS), domain=domain)
        for i in range(start, start + count)
    ]


@dataclass
class Parts:
    """A maker of corpora like those of a stage."""

    home: Path
    made: list[Corpus] = field(default_factory=list)

    def add(self, rows: Sequence[Sample]) -> "Parts":
        def make(draft: Draft) -> BuildResult:
            write_samples(draft.path, rows)
            return BuildResult(corpus_statistics(draft.path))

        spec = Spec(f"part{len(self.made)}", "rejection_sample", 1, Recipe(), {})
        self.made.append(Store(self.home).build(Corpus, spec, make))
        return self


def merged(parts: Parts, target: Path, recipe: MergeRecipe = MERGE, threads: int = 1) -> tuple[list[str], Draft]:
    """Returns the ids of the merged corpus in order, and the draft."""
    draft = bare_draft(target)
    merge_parts(parts.made, [], recipe, threads, draft)
    return read(draft.path, "samples")["sample_id"].to_list(), draft


def read(folder: Path, name: str) -> pl.DataFrame:
    return pl.concat(tables.read_table(path) for path in sorted(folder.glob(f"{name}-*.parquet")))


def test_merged_rows_are_not_held_out_not_repeated_and_readable(tmp_path: Path) -> None:
    heldout = Problem(
        id="math0", question="How many legs have 4 cows?", answer="16", tests=(), domain="math", language="en",
        source="s", licence="l",
    )  # fmt: skip
    kept = sample("Count to 2.", "<think>easy</think>1 2")
    about = sample("Ask me.", "<think>no</think>3", problem="math0")
    holds = sample("A cow has 4 legs. How many legs have 4 cows?", "<think>4 * 4</think>16")
    again = sample("Count to 2.", "<think>easy</think> 1 2")
    code = sample("Count to 3.", "<think>```\n1\n```</think>1 2 3")
    draft = bare_draft(tmp_path)
    drops = merge_parts(Parts(tmp_path).add([kept, about, holds]).add([again, code]).made, [heldout], MERGE, 1, draft)
    assert read(draft.path, "samples")["sample_id"].to_list() == [kept.sample_id]
    dropped = read(draft.path, "dropped")
    assert dropped.select("id", "reason", "against").rows() == [
        (about.sample_id, "heldout", "math0"),
        (holds.sample_id, "contaminated", "math0"),
        (again.sample_id, "duplicate", kept.sample_id),
        (code.sample_id, "code_block", None),
    ]
    assert dropped["text"][0] == "Ask me.\n<think>no</think>3"
    assert drops == Counter(heldout=1, contaminated=1, duplicate=1, code_block=1)


def test_a_row_with_a_canary_of_a_benchmark_is_dropped(tmp_path: Path) -> None:
    kept = sample("Count to 2.", "<think>easy</think>1 2")
    leaked = sample("Count to 9.", "<think>canary GUID 0123-4567-89ab-cdef</think>1 2 3 4 5 6 7 8 9")
    draft, parts = bare_draft(tmp_path), Parts(tmp_path).add([kept, leaked]).made
    drops = merge_parts(parts, [], MERGE, 1, draft, canaries={"0123-4567-89ab-cdef": "mine"})
    assert drops == {"canary": 1}
    assert read(draft.path, "samples")["sample_id"].to_list() == [kept.sample_id]
    assert read(draft.path, "dropped").select("id", "reason", "against").rows() == [
        (leaked.sample_id, "canary", "mine")
    ]


def test_a_row_about_a_held_out_problem_that_also_holds_its_text_has_one_reason(tmp_path: Path) -> None:
    asked = "A cow has 4 legs. How many legs have 4 cows?"
    heldout = Problem(
        id="math0", question=asked, answer="16", tests=(), domain="math", language="en", source="s", licence="l"
    )
    rows = [sample("Count to 2.", "<think>easy</think>1 2"), sample(asked, "<think>4 * 4</think>16", problem="math0")]
    draft = bare_draft(tmp_path)
    assert merge_parts(Parts(tmp_path).add(rows).made, [heldout], MERGE, 1, draft) == {"heldout": 1}
    assert read(draft.path, "samples")["sample_id"].to_list() == [rows[0].sample_id]
    dropped = read(draft.path, "dropped").select("id", "reason", "against").rows()
    assert dropped == [(rows[1].sample_id, "heldout", "math0")]


class Told(Observer):
    """An observer that keeps the notes for people."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, name: str, message: str) -> None:
        self.notes.append(message)


def test_a_merge_that_loses_most_rows_says_so_with_the_words_they_share(tmp_path: Path) -> None:
    tour = "Plan a walk through the old town that starts at the station and ends at the harbour before noon on"
    draft, told = bare_draft(tmp_path), Told()
    draft.observer = told
    days = ("Monday", "Tuesday", "Wednesday", "Thursday")
    merge_parts(Parts(tmp_path).add([sample(f"{tour} {day}") for day in days]).made, [], MERGE, 1, draft)
    (note,) = told.notes
    assert note.startswith(
        "3 of 4 rows are dropped, 3 of them as near_duplicate; most of these share the words: plan a"
    )
    draft.observer = few = Told()
    merge_parts(Parts(tmp_path / "other").add(different(4)).made, [], MERGE, 1, draft)
    assert few.notes == []


def test_a_row_about_a_held_out_problem_takes_no_other_with_it(tmp_path: Path) -> None:
    heldout = Problem(
        id="h", question="Z?", answer="1", tests=(), domain="math", language="en", source="s", licence="l"
    )  # fmt: skip
    rows = [sample("Count to 2.", problem="h"), sample("Count to 2.")]
    draft = bare_draft(tmp_path)
    assert merge_parts(Parts(tmp_path).add(rows).made, [heldout], MERGE, 1, draft) == {"heldout": 1}
    assert read(draft.path, "samples")["sample_id"].to_list() == [rows[1].sample_id]


def test_batches_shards_and_threads_change_no_row_and_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = different(300)
    whole, draft = merged(Parts(tmp_path / "a").add(rows), tmp_path / "whole")
    assert sorted(whole) == sorted(row.sample_id for row in rows)
    assert whole != [row.sample_id for row in rows]
    (one,) = draft.path.glob("samples-*.parquet")
    monkeypatch.setattr(tables, "SHARD_BYTES", 40_000)
    monkeypatch.setattr(merge, "BUCKET_BYTES", 10_000)
    monkeypatch.setattr(merge, "BUCKETS", 4)
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 10_000)
    parts = Parts(tmp_path / "b").add(rows[:10]).add([]).add(rows[10:])
    cut, draft = merged(parts, tmp_path / "cut", threads=2)
    assert cut == whole
    shards = sorted(draft.path.glob("samples-*.parquet"))
    assert len(shards) == 3  # 300 rows of about 370 bytes
    assert read(draft.path, "samples").equals(tables.read_table(one))
    _, other = merged(parts, tmp_path / "again")
    assert [sha256_of(other.path / shard.name) for shard in shards] == [sha256_of(shard) for shard in shards]


def test_a_place_is_that_of_seed_and_id_whatever_other_rows_there_are(tmp_path: Path) -> None:
    rows = different(40)
    all_of_them, _ = merged(Parts(tmp_path / "a").add(rows), tmp_path / "all")
    some, _ = merged(Parts(tmp_path / "b").add(rows[7:33]), tmp_path / "some")
    assert [name for name in all_of_them if name in set(some)] == some
    other, _ = merged(Parts(tmp_path / "c").add(rows), tmp_path / "other", MERGE.model_copy(update={"seed": 1}))
    assert other != all_of_them
    assert order_keys(pl.Series(["0000000000000001"]), 0).tolist() == [splitmix(1 ^ SALT_OF_0)]


SALT_OF_0 = 0x5FECEB66FFC86F38  # sha256("0"), its first eight bytes


def splitmix(key: int) -> int:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> shift)) * factor % 2**64
    return key ^ (key >> 31)


def test_a_domain_gives_as_many_rows_as_the_mix_takes_and_the_rest_lies_aside(tmp_path: Path) -> None:
    parts = Parts(tmp_path).add(different(9)).add(different(5, "logic", 20)).add(different(4, "stem", 40))
    recipe = MERGE.model_copy(update={"rows": {"math": 6, "logic": 8}})
    uncut, _ = merged(parts, tmp_path / "uncut")
    mixed, draft = merged(parts, tmp_path / "mixed", recipe)
    assert corpus_statistics(draft.path)["by_domain"] == {"math": 6, "stem": 4, "logic": 5}
    assert read(draft.path, "dropped")["reason"].to_list() == ["beyond_the_mix"] * 3
    assert mixed == [name for name in uncut if name in set(mixed)]


def test_a_row_that_changes_on_disk_after_it_was_opened_is_not_copied(tmp_path: Path) -> None:
    parts = Parts(tmp_path).add(different(50))
    (table,) = parts.made[0].tables()
    place = pq.read_metadata(table).row_group(0).column(list(Sample.model_fields).index("source"))
    flipped = bytearray(table.read_bytes())
    flipped[place.dictionary_page_offset + place.total_compressed_size - 3] ^= 1
    table.write_bytes(flipped)
    with pytest.raises(OSError, match=r"(?i)crc"):
        merged(parts, tmp_path / "merged")
