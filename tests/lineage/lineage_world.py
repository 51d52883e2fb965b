"""This module makes a small home with the real store: problems, a policy, traces, a merged corpus, a model trained on
it.

Only the weights are not real. Rows are maths, so that the real verifier can grade them again.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, PreferenceSet, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records, write_shards
from r1_pipeline.data.samples import sample_with_id
from r1_pipeline.data.screening.dropped import DROPPED, dropped_frame
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.lineage.cards import write_data_card
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Outcome, PreferencePair, Problem, Sample


class Seeded(Recipe):
    seed: int = 0


@dataclass(frozen=True)
class World:
    """The home and its artifacts."""

    home: Path
    heldout: ProblemSet
    problems: ProblemSet
    base: Checkpoint
    dev2: Checkpoint
    traces: Corpus
    corpus: Corpus
    dev3: Checkpoint
    pairs: PreferenceSet

    @property
    def library(self) -> Library:
        return Library.of(self.home)

    def copy(self, target: Path) -> Path:
        """Copies the artifacts alone to another place."""
        return Path(shutil.copytree(self.home / "artifacts", target))


def problem(number: int, licence: str = "MIT") -> Problem:
    question, answer = f"What is {number} + {number}?", str(2 * number)
    return Problem(
        id=problem_id(question, answer, (), "math"),
        question=question,
        answer=answer,
        tests=(),
        domain="math",
        language="en",
        source=f"sums/train.jsonl:{number}#{number}",
        licence=licence,
    )


def sample(about: Problem, generator: str, index: int = 0, answer: str | None = None) -> Sample:
    return sample_with_id(
        problem_id=about.id,
        domain="math",
        language="en",
        source=about.source,
        licence=about.licence,
        question=about.question,
        response=f"<think>try {index}</think>It is \\boxed{{{answer or about.answer}}}",
        generator=generator,
        engine="hand",
        temperature=0.6,
        top_p=0.95,
        max_tokens=64,
        seed=17,
        sample_index=index,
        outcome=Outcome.CORRECT,
        verifier="maths@1",
        tokens=9,
        language_share=1.0,
    )


class Shop:
    """A maker of artifacts like those of the verbs."""

    def __init__(self, home: Path) -> None:
        self.store = Store(home)

    def problems(self, name: str, rows: Sequence[Problem]) -> ProblemSet:
        def make(draft: Draft) -> BuildResult:
            write_records(draft.path / "problems.parquet", rows, Problem)
            return BuildResult({"rows": len(rows), "by_domain": {"math": len(rows)}})

        return self._described(ProblemSet, Spec(name, "curate", 1, Seeded(seed=len(name)), {}), make)

    def pairs(self, name: str) -> PreferenceSet:
        """Returns three pairs to train on and one held out."""

        def make(draft: Draft) -> BuildResult:
            rows = [
                PreferencePair(
                    id=f"{number:016x}", prompt=f"{number}?", chosen="Yes.", rejected="No.", kind="helpful",
                    language="en", source=f"pairs/p.jsonl:{number}#{number}", licence="MIT",
                )
                for number in range(1, 5)
            ]  # fmt: skip
            write_records(draft.path / "train.parquet", rows[:3], PreferencePair)
            write_records(draft.path / "heldout.parquet", rows[3:], PreferencePair)
            return BuildResult({"rows": 4, "train": 3, "heldout": 1})

        return self._described(PreferenceSet, Spec(name, "curate_preferences", 1, Seeded(), {}), make)

    def model(self, name: str, stage: str, weights: str, **inputs: Artifact) -> Checkpoint:
        def make(draft: Draft) -> BuildResult:
            (draft.path / "model.safetensors").write_text(weights)
            made = [{"source": "web@1", "licence": "CC0-1.0", "domain": "math", "rows": 40}]
            return BuildResult({"steps": 3, "tokens": {"trained": 7}} | ({} if inputs else {"sources": made}))

        return self.store.build(Checkpoint, Spec(name, stage, 1, Seeded(), inputs), make)

    def answers(self, name: str, **inputs: Artifact) -> Completions:
        def make(draft: Draft) -> BuildResult:
            (draft.path / "completions.parquet").write_text("what dev2 said")
            return BuildResult({"rows": 16})

        return self.store.build(Completions, Spec(name, "ask", 1, Seeded(), inputs), make)

    def corpus(self, name: str, stage: str, rows: Sequence[Sample], tables: int = 1, **inputs: Artifact) -> Corpus:
        def make(draft: Draft) -> BuildResult:
            for table in range(tables):
                write_records(draft.path / f"samples-{table}.parquet", rows[table::tables], Sample)
            write_shards(
                draft.path, DROPPED, [dropped_frame([{"id": "d", "reason": "wrong", "text": "2 + 2 = 5"}] * 2)]
            )
            return BuildResult({"rows": len(rows), "by_domain": {"math": len(rows)}}, {"wrong": 2})

        return self._described(Corpus, Spec(name, stage, 1, Seeded(), inputs), make)

    def _described(self, kind, spec, make):  # type: ignore[no-untyped-def]
        def described(draft: Draft) -> BuildResult:
            facts = make(draft)
            write_data_card(draft.path, kind, spec, facts)
            return facts

        return self.store.build(kind, spec, described)


def make_world(home: Path) -> World:
    """Makes everything from the problems to the model."""
    shop = Shop(home)
    problems = shop.problems("reasoning_problems", [problem(n, "Apache-2.0" if n == 3 else "MIT") for n in range(1, 9)])
    heldout = shop.problems("heldout_problems", [problem(n) for n in range(20, 24)])
    base = shop.model("base", "pretrain", "b")
    dev2 = shop.model("dev2", "reinforce", "d2", policy=base, problems=problems)
    rows = [sample(p, dev2.digest, index) for p in problems.problems() for index in range(2)]
    answers = shop.answers("reasoning_answers/math", model=dev2, problems=problems)
    traces = shop.corpus("reasoning_traces/math", "rejection_sample", rows, answers=answers, problems=problems)
    corpus = shop.corpus("sft_corpus", "merge", rows[::-1], tables=2, math=traces, heldout=heldout)
    dev3 = shop.model("dev3", "finetune", "d3", base=base, corpus=corpus)
    return World(home, heldout, problems, base, dev2, traces, corpus, dev3, shop.pairs("preference_pairs"))
