"""Laws of the verbs, on the real smoke profile with a base that has hardly been trained."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, EvalReport, ProblemSet
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import read_records, write_records
from r1_pipeline.cli.regrade import run_regrade
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.errors import ArtifactError, GraderBusyError, GraderError, NoSandboxError, RecipeError
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.trace import trace
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import STORED, Problem
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.sandbox import self_test as tested
from r1_pipeline.rewards.sandbox.self_test import forget, self_test
from r1_pipeline.runtime.build_context import BuildContext


class Watching(Observer):
    """Records the kinds of artifacts that were made, and those that were reused."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.found: list[str] = []

    def finished(self, artifact: Artifact) -> None:
        self.made.append(artifact.kind)

    def reused(self, artifact: Artifact) -> None:
        self.found.append(artifact.kind)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile("smoke", 0)


@pytest.fixture(scope="module")
def built(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint, ProblemSet]:
    home = tmp_path_factory.mktemp("home")
    web = profile.recipes["base"].web.model_copy(update={"texts": 200})
    barely = profile.recipes["base"].model_copy(update={"web": web, "steps": 4, "warmup_steps": 1})
    store = Store(home)
    base = verbs.pretrain(BuildContext(store, profile.runtime, "base"), barely)
    heldout = verbs.curate(
        BuildContext(store, profile.runtime, "heldout_problems"), profile.recipes["heldout_problems"]
    )
    return home, base, heldout


@pytest.fixture
def made(built: tuple[Path, Checkpoint, ProblemSet], tmp_path: Path) -> tuple[Path, Checkpoint, ProblemSet]:
    """Copies, so that no test finds what another has made."""
    theirs, base, heldout = built
    home = tmp_path / "home"
    shutil.copytree(theirs, home)
    checkpoint = Checkpoint.open(home / base.path.relative_to(theirs))
    return home, checkpoint, ProblemSet.open(home / heldout.path.relative_to(theirs))


def evaluated(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], recipe: EvaluateRecipe | None = None
) -> tuple[EvalReport, Watching]:
    home, base, heldout = made
    store, recipe = Store(home, watching := Watching()), recipe or profile.recipes["evaluation"]
    answers = verbs.ask(BuildContext(store, profile.runtime, "answers/base"), base, heldout, recipe.ask)
    at = BuildContext(store, profile.runtime, "evaluation/base")
    return verbs.evaluate(at, answers, heldout, recipe), watching


def test_a_changed_verifier_scores_the_stored_answers_again(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, watching = evaluated(profile, made)
    assert watching.made == ["answers", "evaluation"]
    monkeypatch.setattr(ChoiceVerifier, "version", "another")
    monkeypatch.setattr("r1_pipeline.verbs.measuring.open_engine", lambda *_: pytest.fail("a model was asked again"))
    after, watching = evaluated(profile, made)
    assert (watching.found, watching.made) == (["answers"], ["evaluation"])
    assert after.manifest.inputs["answers"] == before.manifest.inputs["answers"]
    assert after.scores()["identity"]["verifiers"]["stem"] == "choice@another"
    assert before.scores()["identity"]["verifiers"]["stem"] == "choice@3+strict"
    said = list(STORED)
    assert after.completions().select(said).equals(before.completions().select(said))


def test_an_evaluation_may_find_answers_leniently_and_is_regraded_as_it_was_graded(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet]
) -> None:
    evaluated(profile, made)
    recipe = profile.recipes["evaluation"]
    lenient = recipe.grade.model_copy(update={"extract": "lenient"})
    report, watching = evaluated(profile, made, recipe.model_copy(update={"grade": lenient}))
    assert (watching.found, watching.made) == (["answers"], ["evaluation"])
    assert report.manifest.payload["recipe"] == {"ks": [1, 2], "extract": "lenient"}
    assert report.scores()["identity"]["verifiers"]["stem"] == "choice@3+lenient"
    found = run_regrade(made[0], report.name, workers=1)
    assert found.digest == report.digest and not found.flips
    assert all(then == now for then, now in found.verifiers.items())


def test_answers_know_no_verifier_and_scores_no_sampling_but_that_of_their_answers(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet]
) -> None:
    report, _ = evaluated(profile, made)
    edge = report.manifest.inputs["answers"]
    assert (edge.name, report.name) == ("answers/base", "evaluation/base")
    answers = Completions.open(made[0] / "artifacts" / edge.kind / edge.name / edge.fingerprint)
    assert not [key for key in answers.manifest.payload["uses"] if key.startswith("verifier")]
    assert report.manifest.payload["recipe"] == {"ks": [1, 2]}
    identity = report.scores()["identity"]
    assert identity["model_digest"] == made[1].digest
    assert identity["problems_digest"] == made[2].digest
    assert identity["sampling"] == {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64}
    assert {**answers.asked(), "verifiers": identity["verifiers"]} == identity


def test_other_sampling_asks_again_and_other_counting_does_not(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet]
) -> None:
    evaluated(profile, made)
    recipe = profile.recipes["evaluation"]
    counting = recipe.model_copy(update={"grade": recipe.grade.model_copy(update={"ks": (1,)})})
    _, watching = evaluated(profile, made, counting)
    assert (watching.found, watching.made) == (["answers"], ["evaluation"])
    sampling = recipe.model_copy(update={"ask": recipe.ask.model_copy(update={"seed": 1})})
    _, watching = evaluated(profile, made, sampling)
    assert watching.made == ["answers", "evaluation"]


def stored(home: Path, name: str, problems: list[Problem]) -> ProblemSet:
    def make(draft: Draft) -> BuildResult:
        write_records(draft.path / "problems.parquet", problems, Problem)
        return BuildResult({"rows": len(problems), "by_domain": {"logic": len(problems)}})

    return Store(home).build(ProblemSet, Spec(name, "curate", 1, Recipe(), {}, {"of": name}), make)


@pytest.fixture
def with_long(made: tuple[Path, Checkpoint, ProblemSet]) -> ProblemSet:
    """The problems of logic, and one of them with 300 words more."""
    logic = [problem for problem in made[2].problems() if problem.domain == "logic"]
    long = {"id": "f" * 16, "question": "left " * 300, "source": "longs/a.jsonl:7#x"}
    return stored(made[0], "with_long", [*logic, logic[0].model_copy(update=long)])


def test_a_question_too_long_for_the_model_is_not_asked_and_is_named(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], with_long: ProblemSet
) -> None:
    ask = profile.recipes["evaluation"].ask.model_copy(update={"problems": {"logic": 99}})
    recipe = profile.recipes["evaluation"].model_copy(update={"ask": ask})
    report, _ = evaluated(profile, (*made[:2], with_long), recipe)
    asked = set(report.completions()["problem_id"])
    assert asked == {problem.id for problem in with_long.problems()} - {"f" * 16}
    edge = report.manifest.inputs["answers"]
    answers = Completions.open(made[0] / "artifacts" / edge.kind / edge.name / edge.fingerprint)
    assert answers.manifest.drops == report.manifest.drops == {"too_long": 1}
    [dropped] = read_records(answers.path / "logs/set_aside.parquet", DroppedRow)
    assert (dropped.where, dropped.reason) == ("longs/a.jsonl:7", "too_long")
    assert dropped.detail.endswith("the reply up to 64; the context is 128")


def test_where_no_question_fits_nothing_is_scored(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], with_long: ProblemSet
) -> None:
    only = stored(made[0], "only_long", with_long.problems()[-1:])
    with pytest.raises(ArtifactError, match=r"answers/base holds no answers to only_long \(dropped: {'too_long': 1}\)"):
        evaluated(profile, (*made[:2], only))


def test_reinforcement_sets_aside_what_has_no_room_for_a_reply_before_it_trains(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], with_long: ProblemSet
) -> None:
    home, base, _ = made
    at = BuildContext(Store(home), profile.runtime, "r1_zero")
    model = verbs.reinforce(at, base, with_long, profile.recipes["r1_zero"])
    assert model.manifest.drops == {"too_long": 1}
    assert model.statistics["steps"] == profile.recipes["r1_zero"].grpo.steps
    with pytest.raises(RecipeError, match="there are none"):
        verbs.reinforce(at, base, stored(home, "only_long", with_long.problems()[-1:]), profile.recipes["r1_zero"])


def test_a_reward_model_without_pairs_that_fit_is_refused_before_it_trains(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet]
) -> None:
    home, base, _ = made
    pairs = verbs.curate_preferences(
        BuildContext(Store(home), profile.runtime, "p"), profile.recipes["preference_pairs"]
    )
    short = profile.recipes["helpful_rm"].model_copy(update={"max_tokens": 2})
    with pytest.raises(RecipeError, match=r"0 pairs are left for training and [1-9]\d* for evaluation"):
        verbs.fit_preference(BuildContext(Store(home), profile.runtime, "rm"), base, pairs, "helpful", short)


def test_a_changed_verifier_makes_traces_from_the_stored_completions(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, base, problems = made
    recipe = profile.recipes["reasoning_traces"]["logic"]
    room = recipe.ask.sampling.model_copy(update={"max_tokens": 99})
    recipe = recipe.model_copy(update={"ask": recipe.ask.model_copy(update={"sampling": room})})
    known = {problem.id: problem for problem in problems.problems()}

    @contextmanager
    def half_right(*_: object) -> Iterator[FakeEngine]:
        """Replaces an engine: even samples are right, odd ones have no answer."""
        said = {
            p.id: f"<think>{'it is' if p.language == 'en' else '答案'}</think><answer>\\boxed{{{p.answer}}}</answer>"
            for p in known.values()
        }
        yield FakeEngine(lambda r: "who knows" if r.sample_index % 2 else said[r.problem_id])

    def traces() -> tuple[Corpus, list[str]]:
        store = Store(home, watching := Watching())
        answers = verbs.ask(BuildContext(store, profile.runtime, "reasoning_answers/logic"), base, problems, recipe.ask)
        at = BuildContext(store, profile.runtime, "reasoning_traces/logic")
        return verbs.rejection_sample(at, answers, problems, recipe), watching.made

    monkeypatch.setattr("r1_pipeline.verbs.measuring.open_engine", half_right)
    before, made_first = traces()
    monkeypatch.setattr(ChoiceVerifier, "version", "another")
    monkeypatch.setattr("r1_pipeline.verbs.measuring.open_engine", lambda *_: pytest.fail("a model was asked again"))
    after, made_then = traces()
    assert (made_first, made_then) == (["answers", "corpus"], ["corpus"])
    assert {sample.verifier for sample in before.samples()} == {"choice@3+strict"}
    assert {sample.verifier for sample in after.samples()} == {"choice@another"}
    assert [s.response for s in after.samples()] == [s.response for s in before.samples()]
    assert after.manifest.inputs["answers"] == before.manifest.inputs["answers"]
    asked = sum(problem.domain == "logic" for problem in problems.problems()) * recipe.ask.samples
    verdicts = after.verdicts()
    assert (verdicts.height, verdicts["outcome"].eq("malformed").sum()) == (asked, asked // 2)
    row = after.samples()[0]
    written_by = trace(Library.of(home), row.sample_id).below[-1]
    assert (row.generator, written_by.name, written_by.facts["digest"]) == (base.digest, "base", base.digest)


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    forget()
    yield
    forget()


def test_where_programs_cannot_be_run_safely_code_is_left_out_and_said_to_be(
    profile: Profile, tmp_path: Path, no_sandbox: None
) -> None:
    at = BuildContext(Store(tmp_path / "home"), profile.runtime, "heldout_problems")
    made = verbs.curate(at, profile.recipes["heldout_problems"])
    assert {problem.domain for problem in made.problems()} == {"math", "stem", "logic", "general"}
    assert "install the package bubblewrap" in made.left_out["code"]
    assert made.manifest.drops == {"no_verifier_of_code": 10}
    assert made.manifest.payload["uses"]["verifier.code"] == "code@3+refused"
    assert made.manifest.provenance.sandbox is not None
    assert made.manifest.provenance.sandbox["problem"] == made.left_out["code"]


def test_a_home_in_which_code_was_graded_does_not_go_on_without_it(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], no_sandbox: None
) -> None:
    home, _, heldout = made
    assert heldout.statistics["by_domain"]["code"] == 10
    for recipe in (profile.recipes["heldout_problems"], profile.recipes["reasoning_problems"]):
        with pytest.raises(NoSandboxError, match=r"heldout_problems in .* has graded programs.*another --home"):
            verbs.curate(BuildContext(Store(home), profile.runtime, "heldout_problems"), recipe)
    with pytest.raises(NoSandboxError, match="install the package bubblewrap"):
        evaluated(profile, made)
    assert len(list((home / "artifacts/problems/heldout_problems").iterdir())) == 1


def test_what_needs_no_programs_is_made_in_such_a_home_too(
    profile: Profile, made: tuple[Path, Checkpoint, ProblemSet], no_sandbox: None
) -> None:
    at = BuildContext(Store(made[0]), profile.runtime, "general_prompts")
    assert verbs.curate(at, profile.recipes["general_prompts"]).problems()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bubblewrap that finds no room for a process, until it is deleted."""
    full = "#!/bin/sh\necho 'bwrap: Creating new namespace failed: Resource temporarily unavailable' >&2\nexit 1\n"
    with TemporaryDirectory(prefix="r1-tests-") as folder:  # the sandbox's user cannot enter pytest's
        Path(folder).chmod(0o755)
        (Path(folder) / "bwrap").write_text(full)
        (Path(folder) / "bwrap").chmod(0o755)
        monkeypatch.setattr(tested, "_PAUSES_S", ())
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        forget()
        yield Path(folder) / "bwrap"
        forget()


def test_a_sandbox_that_cannot_be_tried_now_stops_the_stage_and_changes_no_fingerprint(
    profile: Profile, tmp_path: Path, busy: Path
) -> None:
    at = BuildContext(Store(tmp_path / "home"), profile.runtime, "heldout_problems")
    with pytest.raises(GraderBusyError, match="run the same command again"):
        verbs.curate(at, profile.recipes["heldout_problems"])
    assert not list((tmp_path / "home").rglob("manifest.json"))
    busy.unlink()
    made = verbs.curate(at, profile.recipes["heldout_problems"])
    assert made.left_out == {} and "refused" not in made.manifest.payload["uses"]["verifier.code"]


def test_where_code_is_not_optional_it_is_refused_with_instructions(
    profile: Profile, tmp_path: Path, no_sandbox: None
) -> None:
    recipe = profile.recipes["heldout_problems"].model_copy(update={"optional": ()})
    with pytest.raises(GraderError, match="install the package bubblewrap"):
        verbs.curate(BuildContext(Store(tmp_path / "home"), profile.runtime, "heldout_problems"), recipe)


def test_what_was_graded_carries_the_self_test_of_its_sandbox(made: tuple[Path, Checkpoint, ProblemSet]) -> None:
    _, base, heldout = made
    assert base.manifest.provenance.sandbox is None
    record = heldout.manifest.provenance.sandbox
    assert record is not None
    assert (record["problem"], record["attacks"]) == (
        self_test().problem,
        self_test().model_dump(mode="json")["attacks"],
    )
