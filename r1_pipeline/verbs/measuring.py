"""The verbs that sample from models, evaluate them and compare them by preference."""

from collections.abc import Mapping

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Answers,
    Artifact,
    Checkpoint,
    EvalReport,
    PreferenceScores,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.store import Facts
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.templates import template_hash
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation import runner
from r1_pipeline.evaluation.preferences import write_preference_scores
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation import asking
from r1_pipeline.generation.asking import Asked, AskRecipe, Subject
from r1_pipeline.generation.opening import engine_identity, open_engine
from r1_pipeline.generation.tokens import fitting
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import PreferenceKind
from r1_pipeline.rewards import refusal
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.runtime.workshop import Build, Workshop
from r1_pipeline.training.reward_model import (
    RewardModelScorer,
)
from r1_pipeline.verbs.versions import verb


@verb("inference")
def ask(at: Workshop, model: Checkpoint, problems: ProblemSet, recipe: AskRecipe) -> Build[Answers]:
    """Samples completions of `model` for `problems` in the model's own template, and stores them ungraded.

    Every evaluation and every sampled corpus starts from it (paper, sections B.3.2, B.3.3 and D.1), so that a changed
    verifier grades the stored completions and nothing is sampled again.

    Raises `RequirementError` for an engine that this machine lacks, `EngineError` if text cannot be generated.
    """
    template = model.template

    def make(draft: Draft) -> Facts:
        subject = Subject(model=model.name, model_digest=model.digest, problems_digest=problems.digest)
        chosen = asking.select(problems.problems(), recipe, draft)
        fit, dropped = fitting(chosen, model.path, template, recipe.sampling.max_tokens)
        drops = record_dropped(draft, dropped)
        with open_engine(model, recipe.engine, at.runtime, at.store.home) as engine:
            said = asking.ask(engine, fit, template, recipe, subject, draft)
        return Facts({"rows": said.height, "tokens": {"generated": int(said["token_ids"].list.len().sum())}}, drops)

    uses = {"engine": engine_identity(recipe.engine), "template": template_hash(template)}
    return Build(Answers, recipe, {"model": model, "problems": problems}, make, uses)


@verb("data")
def evaluate(at: Workshop, answers: Answers, heldout: ProblemSet, recipe: EvaluateRecipe) -> Build[EvalReport]:
    """Scores a model's stored `answers` to the problems of `heldout` (paper, section D.1).

    Raises `ArtifactError` if `answers` is empty, `GraderError` if this machine cannot grade.
    """

    def make(draft: Draft) -> Facts:
        if not answers.row_count:
            raise ArtifactError(
                f"{answers.name} holds no answers to {heldout.name} (dropped: {answers.manifest.drops}); hold out more"
            )
        asked = Asked.model_validate(answers.asked())
        with default_grader(at.runtime, recipe.grade.extract) as grader:
            scores = runner.grade(answers.completions(), asked, grader, heldout.problems(), recipe.grade, draft)
        outcomes = {str(outcome): count for outcome, count in scores.overall.outcomes.items()}
        facts = {"rows": answers.row_count, "pass_at_1": scores.overall.pass_at_1, "outcomes": outcomes}
        return Facts(facts, answers.manifest.drops)

    judges = grader_identity(recipe.ask.problems, heldout, rule=recipe.grade.extract)
    declining = {"refusals": refusal.IDENTITY} if "general" in recipe.ask.problems else {}
    uses = {**judges, **language_identity(), **declining}
    return Build(EvalReport, recipe.grade, {"answers": answers, "heldout": heldout}, make, uses)


@verb("inference")
def compare_preferences(
    at: Workshop,
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

    def make(draft: Draft) -> Facts:
        scorers = {kind: RewardModelScorer(model.path, at.runtime) for kind, model in reward_models.items()}
        said = {
            name: (scores_of(report).identity.template, report.completions()) for name, report in evaluations.items()
        }
        return Facts(write_preference_scores(said, heldout.problems(), scorers, baseline, draft))

    inputs: dict[str, Artifact] = {str(kind): model for kind, model in reward_models.items()}
    inputs |= {**evaluations, "heldout": heldout}
    return Build(PreferenceScores, Recipe(), inputs, make, {"baseline": baseline} if baseline else {})
