"""Replies to general prompts that a model wrote and another approves of: kept on record, replayed by the audit.

The judge is an engine that says what a rule tells it to, behind a real checkpoint's tokenizer and template; the reward
model is a real one, hardly trained.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

import polars as pl
import pytest

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Completions, Corpus, PreferenceSet, ProblemSet, RewardModel
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import records_of, write_records, write_table
from r1_pipeline.engines import ENGINE_SPECS, EngineSpec
from r1_pipeline.errors import ArtifactError, RecipeError
from r1_pipeline.generation.engine_factory import ENGINES, EngineKind, add_engine
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.judgements import AcceptRecipe, ByJudge, ByReward, Judgement, SampleGeneralRecipe
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord, completion_schema
from r1_pipeline.lineage.judgements import check_judgements
from r1_pipeline.lineage.library import Library
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import with_sampled_general
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Completion, Outcome, Problem, Request, Sampling
from r1_pipeline.runtime.build_context import BuildContext

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=40)
JUDGING = Sampling(temperature=0.0, top_p=1.0, max_tokens=200)
SAID = {
    "p1": ["<think>kind</think>A full answer.", "<think>kind</think>A full answer.", "Bad answer."],
    "p2": ["<think>never closed", "Unclear answer."],
}
"""Prompt -> completions: good twice, bad; without a final part, one on which the judge has nothing to say."""


class Scripted(EngineSpec):
    """Says what `judged` tells it to."""

    type: Literal["scripted"] = "scripted"


def judged(request: Request) -> str:
    reply = json.loads(request.prompt.rpartition("\nAssistant:")[0].splitlines()[-1])["reply"]
    if "Unclear" in reply:
        return "hard to say"
    word = "correct" if "full" in reply else "wrong"
    return json.dumps({"analysis": "as I see it", "verdict": word})


@pytest.fixture(scope="module", autouse=True)
def scripted() -> Iterator[None]:
    add_engine(Scripted, EngineKind(lambda _: "scripted-1", lambda *_: FakeEngine(judged)))
    yield
    for registry in (ENGINE_SPECS, ENGINES):
        del registry._entries["scripted"]  # tests share the registry of this process


def problem(name: str) -> Problem:
    return Problem(
        id=name, question=f"Please {name}", answer=None, tests=(), domain="general", language="en",
        source=f"mine/a.jsonl:{name[1:]}#{name}", licence="MIT",
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def judge(store: Store) -> Checkpoint:
    own = load_profile("smoke", 0).recipes["base"]
    barely = own.model_copy(
        update={"web": own.web.model_copy(update={"texts": 200}), "steps": 2, "warmup_steps": 1, "context": 2048}
    )
    return verbs.pretrain(at(store, "judge"), barely)


def at(store: Store, name: str) -> BuildContext:
    return BuildContext(store, load_profile("smoke", 0).runtime, name)


@pytest.fixture(scope="module")
def prompts(store: Store) -> ProblemSet:
    def make(draft: Draft) -> BuildResult:
        write_records(draft.path / "problems.parquet", [problem(name) for name in SAID], Problem)
        return BuildResult({"rows": len(SAID), "by_domain": {"general": len(SAID)}, "left_out": {}})

    return store.build(ProblemSet, Spec("general_prompts", "curate", 1, Recipe(), {}), make)


@pytest.fixture(scope="module")
def answers(store: Store, prompts: ProblemSet) -> Completions:
    asked = SamplingRecord(
        model="writer", model_digest="w" * 64, problems_digest=prompts.digest, template="chat", template_hash="t",
        sampling=SAMPLING, samples=3, seed=0, engine="fake",
    )  # fmt: skip
    rows = [
        Completion(
            problem_id=name, sample_index=index, seed=index, text=text, token_ids=(1, 2), finish_reason="stop",
            engine="fake",
        ).model_dump()
        for name, texts in SAID.items()
        for index, text in enumerate(texts)
    ]  # fmt: skip

    def make(draft: Draft) -> BuildResult:
        write_table(draft.path / "completions.parquet", pl.DataFrame(rows, schema=completion_schema()))
        (draft.path / "asked.json").write_text(asked.model_dump_json(), encoding="utf-8")
        return BuildResult({"rows": len(rows)})

    return store.build(Completions, Spec("general_answers", "ask", 1, Recipe(), {}), make)


def recipe(by: ByJudge | ByReward) -> SampleGeneralRecipe:
    ask = SamplingRecipe(sampling=SAMPLING, samples=3, problems={"general": 2}, seed=0)
    return SampleGeneralRecipe(ask=ask, keep=AcceptRecipe(by=by, per_problem=2))


@pytest.fixture(scope="module")
def by_judge(store: Store, answers: Completions, prompts: ProblemSet, judge: Checkpoint) -> Corpus:
    how = recipe(ByJudge(sampling=JUDGING, seed=0, engine=Scripted()))
    return verbs.sample_general(at(store, "general_traces"), answers, prompts, how, judge=judge)


@pytest.fixture(scope="module")
def reward_model(store: Store, judge: Checkpoint) -> RewardModel:
    profile = load_profile("smoke", 0)
    pairs = verbs.curate_preferences(at(store, "preference_pairs"), profile.recipes["preference_pairs"])
    assert isinstance(pairs, PreferenceSet)
    return verbs.fit_preference(at(store, "helpful_rm"), judge, pairs, "helpful", profile.recipes["helpful_rm"])


def test_what_a_judge_approves_of_is_kept_once_and_the_rest_is_counted(by_judge: Corpus) -> None:
    [row] = by_judge.samples()
    assert (row.problem_id, row.response, row.generator) == ("p1", SAID["p1"][0], "w" * 64)
    assert row.outcome is Outcome.CORRECT
    assert row.verifier.startswith("judge@")
    assert row.source == "mine/a.jsonl:1#p1"
    assert by_judge.manifest.drops == {"duplicate": 1, "wrong": 1, "malformed": 1, "grader_error": 1}


def test_request_reply_and_reading_of_every_opinion_are_on_record(by_judge: Corpus) -> None:
    judgements = records_of(by_judge.verdicts(), Judgement)
    assert [judgement.outcome for judgement in judgements] == [
        "correct",
        "correct",
        "wrong",
        "malformed",
        "grader_error",
    ]
    assert judgements[4].said == "hard to say"
    assert json.loads(judgements[0].said or "")["verdict"] == "correct"
    assert [judgement.request is None for judgement in judgements] == [False, False, False, True, False]
    assert judgements[0].request == judgements[1].request != judgements[2].request


def test_a_reward_model_keeps_what_it_scores_high_enough_and_its_score_is_on_record(
    store: Store, answers: Completions, prompts: ProblemSet, reward_model: RewardModel
) -> None:
    def kept(least: float) -> tuple[Corpus, list[Judgement]]:
        models = {"helpful": reward_model}
        made = verbs.sample_general(
            at(store, f"general_{least}"), answers, prompts, recipe(ByReward(least=least)), reward_models=models
        )
        return made, records_of(made.verdicts(), Judgement)

    corpus, judgements = kept(1e-6)
    assert [row.problem_id for row in corpus.samples()] == ["p1", "p1", "p2"]
    scores = {judgement.sample_index: judgement.score for judgement in judgements if judgement.problem_id == "p1"}
    assert all(0.0 < (score or 0.0) < 1.0 for score in scores.values())
    assert {judgement.reward_model for judgement in judgements} == {reward_model.digest, None}
    limit = max(score or 0.0 for score in scores.values())
    assert {o.sample_index for o in kept(limit)[1] if o.outcome is Outcome.CORRECT and o.problem_id == "p1"} == {
        index for index, score in scores.items() if score == limit
    }
    with pytest.raises(ArtifactError, match=r"would be empty \(dropped: .*wrong"):
        kept(0.999999)


def test_a_kind_of_prompt_without_its_model_and_the_wrong_input_are_refused(
    store: Store, answers: Completions, prompts: ProblemSet, reward_model: RewardModel
) -> None:
    with pytest.raises(RecipeError, match="helpful prompts and no reward model for them; give one"):
        verbs.sample_general(
            at(store, "x"), answers, prompts, recipe(ByReward(least=0.5)), reward_models={"safety": reward_model}
        )
    with pytest.raises(
        RecipeError, match="x is given none of the inputs judge, reward_models, and its recipe takes judge; g"
    ):
        verbs.sample_general(
            at(store, "x"), answers, prompts, recipe(ByJudge(sampling=JUDGING, seed=0)), reward_models={}
        )


def test_the_audit_replays_opinions_and_finds_each_that_its_record_does_not_bear_out(
    store: Store, by_judge: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, stored = Library.of(store.home), by_judge.verdicts()
    assert list(check_judgements(by_judge, library)) == []

    def found(**edit: Any) -> list[str]:
        rows = stored.with_columns(
            pl.when(pl.col("sample_index") == 2, pl.col("problem_id") == "p1")
            .then(pl.lit(value))
            .otherwise(name)
            .alias(name)
            for name, value in edit.items()
        )
        monkeypatch.setattr(Corpus, "verdicts", lambda _: rows)
        return [finding.what for finding in check_judgements(by_judge, library)]

    assert found(outcome="correct") == ["it says correct, and its record says wrong"]
    assert found(request="0" * 64) == ["the judge's prompt was not made from this prompt and completion"]
    assert found(said="no") == ["it says wrong, and its record says grader_error"]
    assert found(request=None, outcome="correct") == ["was approved by no model"]


def test_a_recipe_file_gives_the_judge_or_the_reward_models_a_seat_in_the_graph() -> None:
    profile = load_profile("smoke", 0)
    scored = with_sampled_general(profile, "dev2", recipe(ByReward(least=0.5)))
    inputs = {edge: ref.node for edge, ref in scored.graph.node("general_traces").refs}
    assert inputs == {
        "answers": "general_traces_answers",
        "prompts": "general_prompts",
        "helpful": "general_helpful_rm",
        "safety": "general_safety_rm",
    }
    assert "dev3" not in {parent for rm in ("helpful", "safety") for parent in scored.graph.node(inputs[rm]).parents}
    assert scored.bound.graph.node("sft_corpus").parents.count("general_traces") == 1
    judging = with_sampled_general(profile, "dev2", recipe(ByJudge(sampling=JUDGING, seed=0)), judge="base")
    assert judging.graph.node("general_traces").inputs["judge"].node == "base"
    assert judging.bound.names
