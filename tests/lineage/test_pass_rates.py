"""Laws of the measured difficulty: pass rates count right answers by the verifiers of today, with provenance."""

from pathlib import Path

import polars as pl
import pytest
from lineage_world import Shop, problem
from rollout_world import completion, reinforced

from r1_pipeline.artifacts.kinds import Checkpoint, Completions, Difficulty, ProblemSet, open_artifact
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.artifacts.tables import write_table
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.difficulty import DifficultyRecipe, RolloutDifficultyRecipe
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Sampling
from r1_pipeline.rewards import maths
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import measure_difficulty, rollout_difficulty

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=16)
ASK = DifficultyRecipe(ask=SamplingRecipe(sampling=SAMPLING, samples=2, problems={"math": 3}, seed=0))


def answers(shop: Shop, problems: ProblemSet, *said: tuple[int, int, str]) -> Completions:
    """Stores answers: problem, sample, and the text in the box."""
    record = SamplingRecord(
        model="base",
        model_digest="b" * 64,
        problems_digest=problems.digest,
        template="chat",
        template_hash="t",
        sampling=SAMPLING,
        samples=2,
        seed=0,
        engine="none",
    )

    def make(draft):  # type: ignore[no-untyped-def]
        rows = [completion(problem(number).id, sample, text).model_dump() for number, sample, text in said]
        write_table(draft.path / "completions.parquet", pl.DataFrame(rows))
        (draft.path / "asked.json").write_text(record.model_dump_json(), encoding="utf-8")
        return BuildResult({"rows": len(rows), "tokens": {"generated": len(rows)}})

    return shop.store.build(Completions, Spec("answers/base", "ask", 6, Recipe(), {"problems": problems}), make)


def at(shop: Shop) -> BuildContext:
    return BuildContext(shop.store, Runtime(threads=1), "r1_zero_difficulty")


def counts(difficulty: Difficulty) -> dict[str, tuple[int, int]]:
    return {name: (rate.correct, rate.samples) for name, rate in difficulty.pass_rates().items()}


def test_a_pass_rate_counts_right_answers_and_says_whose_they_are(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    problems = shop.problems("reasoning_problems", [problem(n) for n in (1, 2, 3)])
    said = answers(shop, problems, (1, 0, "2"), (1, 1, "3"), (2, 0, "4"), (2, 1, "4"), (9, 0, "18"))
    made = measure_difficulty(at(shop), said, problems, ASK)
    assert counts(made) == {problem(1).id: (1, 2), problem(2).id: (2, 2)}
    facts = made.statistics
    assert (facts["model"], facts["model_digest"], facts["of"]) == ("base", "b" * 64, "answers")
    assert (facts["problems"], facts["samples"], facts["always"], facts["never"]) == (2, 4, 1, 0)
    assert facts["pass_rate"] == 0.75 and facts["histogram"] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert facts["outcomes"] == {"correct": 3, "wrong": 1}
    assert made.manifest.payload["uses"].keys() == {"verifier.math"}
    assert set(made.manifest.inputs) == {"answers", "problems"}
    assert isinstance(open_artifact(made.path), Difficulty)
    assert [each.name for each in Library.of(tmp_path).of_kind(Difficulty)] == ["r1_zero_difficulty"]


def test_a_changed_verifier_measures_the_stored_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path)
    problems = shop.problems("reasoning_problems", [problem(1)])
    said = answers(shop, problems, (1, 0, "2"))
    before = measure_difficulty(at(shop), said, problems, ASK)
    assert measure_difficulty(at(shop), said, problems, ASK).manifest.fingerprint == before.manifest.fingerprint
    monkeypatch.setattr(maths, "RULES", "another")
    after = measure_difficulty.spec(at(shop), said, problems, ASK)
    assert after.payload()["uses"]["verifier.math"].startswith("maths@another+strict+")
    assert after.payload()["inputs"] == before.manifest.payload["inputs"]


def test_answers_without_a_score_are_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    problems = shop.problems("reasoning_problems", [problem(1)])
    with pytest.raises(ArtifactError, match="none of 0 completions has a score"):
        measure_difficulty(at(shop), answers(shop, problems, (9, 0, "18")), problems, ASK)


def measured_on_rollouts(shop: Shop, model: Checkpoint, from_step: int) -> Difficulty:
    [problems] = (ProblemSet.open(each.path) for each in Library.of(shop.store.home).of_kind(ProblemSet))
    return rollout_difficulty(at(shop), model, problems, RolloutDifficultyRecipe(from_step=from_step))


def test_rollouts_count_from_a_step_on(tmp_path: Path) -> None:
    model, shop = reinforced(tmp_path), Shop(tmp_path)
    late = measured_on_rollouts(shop, model, 2)
    assert counts(late) == {problem(3).id: (4, 4), problem(4).id: (2, 4)}
    every = counts(measured_on_rollouts(shop, model, 0))
    assert every == counts(late) | {problem(1).id: (3, 4), problem(2).id: (1, 4)}
    assert (late.statistics["model_digest"], late.statistics["of"]) == (model.digest, "rollouts")
    with pytest.raises(ArtifactError, match="r1_zero has no judged rollouts for reasoning_problems from step 3 on"):
        measured_on_rollouts(shop, model, 3)
