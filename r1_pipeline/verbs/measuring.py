"""The verbs that sample from models, evaluate them and compare them by preference."""

from collections.abc import Mapping
from functools import partial

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Completions,
    EvalReport,
    PreferenceScores,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.templates import form_identity, template_hash
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation import runner
from r1_pipeline.evaluation.judging import ask_judges
from r1_pipeline.evaluation.preferences import write_preference_scores
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation import sampling
from r1_pipeline.generation.engine_factory import engine_identity, open_engine
from r1_pipeline.generation.judge_protocol import protocol_identity
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord, SamplingSubject
from r1_pipeline.generation.tokens import ends_identity, room_in
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import PreferenceKind
from r1_pipeline.rewards import refusal
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.reward_model import scorer_of, scoring_identity
from r1_pipeline.verbs.versions import verb

DRAW = "fitting@1"
"""The version of the draw from rows of files: a row that does not fit makes room for the next one."""


@verb("inference")
def ask(context: BuildContext, model: Checkpoint, problems: ProblemSet, recipe: SamplingRecipe) -> Build[Completions]:
    """Samples completions of `model` for `problems` in the model's own template, and stores them ungraded.

    Every evaluation and every sampled corpus starts from it (paper, sections B.3.2, B.3.3 and D.1), so that a changed
    verifier grades the stored completions and nothing is sampled again.

    Raises `RequirementError` for an engine that this machine lacks, `EngineError` if text cannot be generated.
    """
    template = model.template

    def make(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model=model.name, model_digest=model.digest, problems_digest=problems.digest)
        room = room_in(model.path, template, recipe.sampling.max_tokens)
        fit, dropped = sampling.select_problems(problems.problems(), recipe, draft, room)
        drops = record_dropped(draft, dropped)
        with open_engine(model, recipe.engine, context.runtime, context.store.home) as engine:
            said = sampling.sample_and_store(engine, fit, template, recipe, subject, draft)
        return BuildResult(
            {"rows": said.height, "tokens": {"generated": int(said["token_ids"].list.len().sum())}}, drops
        )

    form = form_identity(template, recipe.stop)
    drawn = {"draw": DRAW} if problems.from_files else {}
    drawn |= ends_identity(model.path)
    tool_versions = {"engine": engine_identity(recipe.engine), "template": template_hash(template), **form, **drawn}
    return Build(Completions, recipe, {"model": model, "problems": problems}, make, tool_versions)


@verb("data")
def evaluate(
    context: BuildContext, answers: Completions, heldout: ProblemSet, recipe: EvaluateRecipe
) -> Build[EvalReport]:
    """Scores a model's stored `answers` to the problems of `heldout` (paper, section D.1), by rules or by judges.

    Raises `ArtifactError` if `answers` is empty, `GraderError` if this machine cannot grade, `EngineError` if a judge
    cannot be asked.
    """

    def make(draft: Draft) -> BuildResult:
        if not answers.row_count:
            raise ArtifactError(
                f"{answers.name} holds no answers to {heldout.name} (dropped: {answers.manifest.drops}); hold out more"
            )
        asked = SamplingRecord.model_validate(answers.asked())
        judge, home = recipe.grade.judge, context.store.home
        ask = partial(ask_judges, judge=judge, runtime=context.runtime, home=home, draft=draft) if judge else None
        with default_grader(context.runtime, recipe.grade.extract) as grader:
            scores = runner.grade(answers.completions(), asked, grader, heldout.problems(), recipe.grade, draft, ask)
        outcomes = {str(outcome): count for outcome, count in scores.overall.outcomes.items()}
        facts = {"rows": answers.row_count, "pass_at_1": scores.overall.pass_at_1, "outcomes": outcomes}
        return BuildResult(facts, answers.manifest.drops)

    judges = grader_identity(recipe.ask.problems, heldout, rule=recipe.grade.extract)
    declining = {"refusals": refusal.IDENTITY} if "general" in recipe.ask.problems else {}
    judged = {"judge": protocol_identity(recipe.grade.judge.protocol)} if recipe.grade.judge else {}
    tool_versions = {**judges, **language_identity(), **declining, **judged}
    return Build(EvalReport, recipe.grade, {"answers": answers, "heldout": heldout}, make, tool_versions)


@verb("inference")
def compare_preferences(
    context: BuildContext,
    reward_models: Mapping[PreferenceKind, RewardModel],
    evaluations: Mapping[str, EvalReport],
    heldout: ProblemSet,
    baseline: str | None = None,
) -> Build[PreferenceScores]:
    """Scores several models' stored answers to general prompts of `heldout` with reward models (paper, section D.1).

    `evaluations` maps model names to their evaluations, which hold the answers; `reward_models` has one model per kind
    of preference. With `baseline`, the name of one of the models, it also measures the win rate of each other model
    against it.

    Raises `ArtifactError` for a model without answers to general prompts.
    """

    def make(draft: Draft) -> BuildResult:
        scorers = {kind: scorer_of(model, context.runtime) for kind, model in reward_models.items()}
        said = {
            name: (scores_of(report).identity.template, report.completions()) for name, report in evaluations.items()
        }
        return BuildResult(write_preference_scores(said, heldout.problems(), scorers, baseline, draft))

    inputs: dict[str, Artifact] = {str(kind): model for kind, model in reward_models.items()}
    inputs |= {**evaluations, "heldout": heldout}
    scored = scoring_identity(reward_models.values())
    return Build(PreferenceScores, Recipe(), inputs, make, {**({"baseline": baseline} if baseline else {}), **scored})
