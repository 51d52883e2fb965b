"""A user's real data goes through the whole graph: all five domains and the pairs from files, nothing built in."""

import json
from collections import Counter
from pathlib import Path

import pytest
from real_world import real_profile, write_files

from r1_pipeline.artifacts.kinds import Artifact, Corpus, EvalReport, PreferenceScores, ProblemSet
from r1_pipeline.artifacts.tables import records_of
from r1_pipeline.data.ingest.rows import Place
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation.judgements import AcceptRecipe, ByReward, Judgement, SampleGeneralRecipe
from r1_pipeline.graph.local import REPORT, run_graph
from r1_pipeline.lineage.judgements import check_judgements
from r1_pipeline.lineage.library import Library
from r1_pipeline.profiles.extended import with_sampled_general
from r1_pipeline.records import Outcome, Sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def made(folder: Path, public_data: Path) -> dict[str, Artifact]:
    profile = real_profile(write_files(public_data, folder), folder)
    return run_graph(profile.graph, profile, folder / "home")


def corpus_rows(made: dict[str, Artifact]) -> list[Sample]:
    corpus = made["sft_corpus"]
    assert isinstance(corpus, Corpus)
    return corpus.samples()


def test_every_domain_reaches_the_corpus_and_every_row_names_its_line(made: dict[str, Artifact], folder: Path) -> None:
    rows = corpus_rows(made)
    assert set(Counter(row.domain for row in rows)) == {"math", "code", "stem", "logic", "general"}
    for row in rows:
        place = Place.of(row.source)
        line = (folder / place.file).read_text(encoding="utf-8").splitlines()[place.line - 1]
        assert json.loads(line), row.source


def test_a_demonstration_is_kept_word_for_word_and_signed_by_its_line(made: dict[str, Artifact], folder: Path) -> None:
    written = [row for row in corpus_rows(made) if row.domain == "general"]
    assert written
    for row in written:
        place = Place.of(row.source)
        line = json.loads((folder / place.file).read_text(encoding="utf-8").splitlines()[place.line - 1])
        assert (place.source, row.engine, row.generator) == ("alpaca", "written", f"alpaca/alpaca.jsonl:{place.line}")
        assert row.response == line["output"].strip()
        assert row.outcome is Outcome.UNREFERENCED


def test_general_prompts_without_a_reference_are_counted_and_never_an_error(made: dict[str, Artifact]) -> None:
    heldout = made["heldout_problems"]
    assert isinstance(heldout, ProblemSet)
    general = [problem for problem in heldout.problems() if problem.domain == "general"]
    assert {problem.kind for problem in general} == {None, "helpful", "safety"}
    report = made["evaluation/r1"]
    assert isinstance(report, EvalReport)
    scores = scores_of(report)
    assert "general" not in scores.by_domain
    assert scores.unreferenced == {"general": 2 * len(general)}  # two samples of each
    assert scores.overall.outcomes[Outcome.UNREFERENCED] == 2 * len(general)
    assert scores.refusals["safety"].n == 2 * sum(problem.kind == "safety" for problem in general)
    assert scores.refusals["helpful"].n == 2 * sum(problem.kind != "safety" for problem in general)


def test_both_reward_models_have_a_say_in_a_users_prompts(made: dict[str, Artifact]) -> None:
    found = made["preference_scores"]
    assert isinstance(found, PreferenceScores)
    assert set(found.scores()["r1"]) == {"helpful", "safety"}


def test_a_models_own_replies_take_the_place_of_demonstrations_where_reward_models_like_them(
    made: dict[str, Artifact], folder: Path
) -> None:
    """Everything upstream is reused; the reward models are trained from the base, so that there is no cycle."""
    profile = real_profile(folder / "sources.toml", folder)
    ask = profile.recipes["evaluation"].ask.model_copy(update={"problems": {"general": 10}, "samples": 2})
    keep = AcceptRecipe(by=ByReward(least=0.3), per_problem=1)
    sampled = with_sampled_general(profile, "dev2", SampleGeneralRecipe(ask=ask, keep=keep))
    corpus = run_graph(sampled.graph, sampled, folder / "home", ["general_traces"])["general_traces"]
    assert isinstance(corpus, Corpus)
    judgements = records_of(corpus.verdicts(), Judgement)
    assert len(judgements) == 20
    for row in corpus.samples():
        assert (row.generator, row.outcome) == (made["dev2"].digest, Outcome.CORRECT)
        assert row.verifier.endswith("+least-0.3")
    assert list(check_judgements(corpus, Library.of(folder / "home"))) == []


def test_the_report_is_written(made: dict[str, Artifact], folder: Path) -> None:
    numbers = json.loads((folder / "home" / REPORT / "report.json").read_text(encoding="utf-8"))
    assert numbers["corpus"]["by_domain"]["general"] > 0
    for model in ("base", "r1_zero", "dev1", "dev2", "dev3", "r1"):
        general = numbers["general"][model]
        assert general["unreferenced"] == general["completions"] > 0
        assert general["evaluated_by"] == dict.fromkeys(("refusal rule", "reward model"), general["completions"])
        assert ("win_rate.dev3" in general["preference"]["helpful"]) == (model != "dev3")
        assert "win_rate.written" in general["preference"]["helpful"]
    assert '<section id="general">' in (folder / "home" / REPORT / "report.html").read_text(encoding="utf-8")
