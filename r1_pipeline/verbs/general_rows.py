"""The verbs that collect replies to general prompts, written by people or sampled from a model and judged."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    VERDICTS,
    Artifact,
    Checkpoint,
    Completions,
    Corpus,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.corpus import write_samples
from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.toy_general import Manner
from r1_pipeline.errors import ArtifactError
from r1_pipeline.generation.engine_factory import engine_identity, open_engine
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.generation.judgements import (
    ByJudge,
    ByReward,
    Judgement,
    SampleGeneralRecipe,
    approved_samples,
    judgements_by_llm,
    judgements_by_reward_model,
)
from r1_pipeline.generation.llm_judge import LlmJudge, judge_rules
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.generation.scripted_replies import scripted_samples
from r1_pipeline.generation.tokens import room_for
from r1_pipeline.recipe import AddedField, Recipe, require_optional
from r1_pipeline.records import PreferenceKind
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.model_stats import token_counter
from r1_pipeline.training.reward_model import scorer_of, scoring_identity
from r1_pipeline.verbs.corpora import corpus_facts
from r1_pipeline.verbs.versions import verb


class GeneralRecipe(Recipe):
    """The number of general prompts to take, and the manner of the built-in replies."""

    rows: int
    """Maximum number of rows; their prompts are selected by the hash of their ids (`data.subset`)."""
    manners: Annotated[tuple[tuple[Manner, float], ...], AddedField()] = (("good", 1.0),)
    """Manners of the built-in replies, each with its relative frequency before the verifier drops wrong replies."""


@verb("data")
def collect_general(
    context: BuildContext, prompts: ProblemSet, tokenizer_of: Checkpoint, recipe: GeneralRecipe
) -> Build[Corpus]:
    """Collects written replies to general `prompts`: demonstrations, or the toy world's own.

    They take the place of DeepSeek-V3's SFT data (paper, section B.3.3). Tokens are counted with the tokenizer of the
    model `tokenizer_of`.

    Raises `ArtifactError` if no prompt has a reply that can be kept.
    """

    def make(draft: Draft) -> BuildResult:
        asked = shuffled(prompts.problems())[: recipe.rows]
        with default_grader(context.runtime) as grader:
            samples, drops = scripted_samples(asked, dict(recipe.manners), grader, token_counter(tokenizer_of.path))
        if not samples:
            raise ArtifactError(
                f"no prompt of {prompts.name} has a written reply that can be kept (dropped: {dict(drops)}); give a "
                'source whose mapping makes = "demonstration", or have a model reply (docs/data.md, "General data")'
            )
        write_samples(draft.path, samples)
        return corpus_facts(draft, drops)

    inputs = {"prompts": prompts, "tokenizer_of": tokenizer_of}
    tool_versions = {**grader_identity(("general",), prompts), **language_identity()}
    return Build(Corpus, recipe, inputs, make, tool_versions)


@verb("inference")
def sample_general(
    context: BuildContext,
    answers: Completions,
    prompts: ProblemSet,
    recipe: SampleGeneralRecipe,
    judge: Checkpoint | None = None,
    reward_models: Mapping[PreferenceKind, RewardModel] | None = None,
) -> Build[Corpus]:
    """Keeps a model's `answers` to general `prompts` that a judge or reward models approve of (paper, section B.3.3).

    `judge` is the checkpoint of an LLM judge; `reward_models` has one model per kind of preference. The recipe says
    which of the two it needs. Every opinion is stored with the corpus.

    Raises `RecipeError` for inputs that do not fit the recipe, `ArtifactError` if no row is kept.
    """
    how, models = recipe.keep.by, dict(reward_models or {})
    require_optional(context.name, recipe, {"judge": judge, "reward_models": models})

    def make(draft: Draft) -> BuildResult:
        asked = SamplingRecord.model_validate(answers.asked())
        by_id = {problem.id: problem for problem in prompts.problems()}
        said = [(by_id[completion.problem_id], completion) for completion in completions_of(answers.completions())]
        if isinstance(how, ByReward):
            scorers = {kind: scorer_of(model, context.runtime) for kind, model in models.items()}
            digests = {kind: model.digest for kind, model in models.items()}
            judgements = judgements_by_reward_model(scorers, digests, said, asked, how)
        else:
            assert judge is not None
            with open_engine(judge, how.engine, context.runtime, context.store.home) as engine:
                reader = LlmJudge(engine, judge.digest[:12], judge.template, how.sampling, how.seed)
                fits = room_for(judge.path, how.sampling.max_tokens)
                judgements = judgements_by_llm(reader, engine, said, asked, how, fits)
        samples, drops = approved_samples(said, judgements, asked, recipe.keep.per_problem)
        write_records(draft.path / VERDICTS, judgements, Judgement)
        write_samples(draft.path, samples)
        return corpus_facts(draft, drops + Counter(answers.manifest.drops))

    inputs: dict[str, Artifact] = {"answers": answers, "prompts": prompts}
    inputs |= {"judge": judge} if judge else {str(kind): model for kind, model in models.items()}
    engine, scored = {}, scoring_identity(models.values())
    if isinstance(how, ByJudge):
        engine = {"engine": engine_identity(how.engine)}
    return Build(Corpus, recipe.keep, inputs, make, {"rules": judge_rules(), **engine, **scored, **language_identity()})
