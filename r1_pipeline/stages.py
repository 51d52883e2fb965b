"""The verbs. Each is called like a function: a workshop, artifacts and a recipe in, one artifact out.

    pretrain  curate  curate_preferences  reinforce  draft_cold_start  rewrite_cold_start  finetune  rejection_sample
    collect_general  sample_general  write_toy  merge  fit_preference  distill  ask  evaluate  compare_preferences

Verbs times recipes are the whole paper: `r1_zero`, `dev2`, `r1` are all `reinforce`, `dev1` and `dev3` are `finetune`.
A verb's function states what enters the fingerprint and how the artifact is made (`runtime.workshop.Build`), and hands
the work to the package that knows how; it holds no method of its own. Bump its entry in `VERSIONS` whenever a change
makes it write other bytes from the same inputs.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Annotated

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.edges import keep_out
from r1_pipeline.artifacts.kinds import (
    VERDICTS,
    Answers,
    Artifact,
    Checkpoint,
    Corpus,
    EvalReport,
    PreferenceScores,
    PreferenceSet,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.store import Facts
from r1_pipeline.artifacts.tables import write_records, write_table
from r1_pipeline.data.corpus import corpus_statistics, write_samples
from r1_pipeline.data.courtesies import Manner
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe, curate_pairs, put_aside
from r1_pipeline.data.merge import MergeRecipe, merge_parts
from r1_pipeline.data.mix import PromptSchedule, order_prompts
from r1_pipeline.data.screening.aside import aside, write_dropped
from r1_pipeline.data.screening.rows import screening_identity
from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.templates import TemplateName, template_hash
from r1_pipeline.data.toy import text_sources
from r1_pipeline.errors import ArtifactError, RecipeError
from r1_pipeline.evaluation import runner
from r1_pipeline.evaluation.preferences import write_preference_scores
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation import asking
from r1_pipeline.generation.asking import Asked, AskRecipe, Subject
from r1_pipeline.generation.judge import GenerativeJudge, opinion_rules
from r1_pipeline.generation.judging import completions_of
from r1_pipeline.generation.judging import judge as judge_completions
from r1_pipeline.generation.luck import IDENTITY as luck_identity
from r1_pipeline.generation.opening import engine_identity, open_engine
from r1_pipeline.generation.opinions import (
    ByJudge,
    ByReward,
    Opinion,
    SampleGeneralRecipe,
    approved_samples,
    opinions_by_judge,
    opinions_by_reward,
)
from r1_pipeline.generation.rejection import RejectionRecipe, RewriteRecipe, keep_samples, reworded, screened
from r1_pipeline.generation.rewriting import (
    REWRITES,
    VERBATIM,
    Rewrite,
    Rewriter,
    TemplateRewriter,
    rewriting_rules,
)
from r1_pipeline.generation.tokens import context_of, fitting, room_for, tokenize_with
from r1_pipeline.generation.toy_corpus import ToyCorpusRecipe, toy_corpus
from r1_pipeline.generation.writers import open_rewriter
from r1_pipeline.generation.written import written_samples
from r1_pipeline.recipe import Later, Recipe, require_optional
from r1_pipeline.records import DOMAINS, REASONING_DOMAINS, PreferenceKind
from r1_pipeline.rewards import refusal
from r1_pipeline.rewards.graders import default_grader, grader_identity, verifier_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.rewards.preference import calibration, calibration_error
from r1_pipeline.rewards.references import curate_problems
from r1_pipeline.rewards.rubric import Rubric, part_functions
from r1_pipeline.runtime.workshop import Build, Verbs, Workshop
from r1_pipeline.training.adopt import AdoptRecipe, adopt_base
from r1_pipeline.training.facts import model_facts, token_counter
from r1_pipeline.training.grpo import GrpoRecipe, tokens_spent, train_grpo
from r1_pipeline.training.objectives import objective_identity
from r1_pipeline.training.pretrain import PretrainRecipe, train_base
from r1_pipeline.training.reward_model import (
    RewardModelRecipe,
    RewardModelScorer,
    accuracy,
    fitting_pairs,
    pairwise_margins,
    train_reward_model,
)
from r1_pipeline.training.rollouts import rollout_identity
from r1_pipeline.training.sft import SftRecipe, chat_rows, train_sft

VERSIONS: Mapping[str, int] = {
    "pretrain": 6,
    "curate": 9,
    "curate_preferences": 8,
    "reinforce": 5,
    "draft_cold_start": 6,
    "rewrite_cold_start": 1,
    "finetune": 3,
    "rejection_sample": 5,
    "collect_general": 9,
    "sample_general": 1,
    "write_toy": 1,
    "merge": 6,
    "fit_preference": 3,
    "distill": 3,
    "ask": 5,
    "evaluate": 4,
    "compare_preferences": 4,
}

verb = Verbs(VERSIONS)


class GeneralRecipe(Recipe):
    """How much of the general prompts is taken."""

    rows: int
    """Rows, at most, of prompts drawn by the hash of their ids (`data.subset`)."""
    manners: Annotated[tuple[tuple[Manner, float], ...], Later()] = (("good", 1.0),)
    """(manner, relative frequency) of the built-in replies, before the verifier drops what is wrong."""


class ReinforceRecipe(Recipe):
    """One reinforcement run: what is asked, what is rewarded, how the policy moves."""

    template: TemplateName
    rubric: Rubric
    schedule: PromptSchedule
    grpo: GrpoRecipe


BaseRecipe = PretrainRecipe | AdoptRecipe
"""A base of the profile's own making, or one that exists."""


@verb("training")
def pretrain(at: Workshop, recipe: BaseRecipe) -> Build[Checkpoint]:
    """Makes a base model with its tokenizer: trained on the toy web, or one that was pretrained elsewhere.

    It stands where the paper has DeepSeek-V3-Base (paper, section 2), or a student's Qwen or Llama base.

    Raises `RequirementError` for a model that this machine lacks, `RecipeError` for one of another shape.
    """

    def make(draft: Draft) -> Facts:
        if isinstance(recipe, AdoptRecipe):
            adopt_base(recipe, at.runtime, draft)
            return model_facts(draft, "zero")
        train_base(recipe, at.runtime, draft)
        facts = model_facts(draft, "zero")
        return replace(facts, statistics={**facts.statistics, "sources": text_sources(recipe.web)})

    return Build(Checkpoint, recipe, {}, make)


@verb("data")
def curate(at: Workshop, recipe: CurateRecipe) -> Build[ProblemSet]:
    """Collects the problems on one side of the split, each of which passed its own verifier (paper, section B.3.1).

    What does not enter, for whatever reason, is set aside with the reason.

    Raises `SourceError` for a file that cannot be used, `GraderError` where nothing can be judged on this machine.
    """

    def make(draft: Draft) -> Facts:
        return curate_problems(recipe, at.runtime, draft)

    return Build(ProblemSet, recipe, {}, make, verifier_identity(recipe.domains, recipe.verifiers))


@verb("data")
def curate_preferences(at: Workshop, recipe: CuratePreferencesRecipe) -> Build[PreferenceSet]:
    """Collects preference pairs for both reward models, split by topic and form, or by fact (paper, section B.2).

    Raises `SourceError` for a file that cannot be used.
    """

    def make(draft: Draft) -> Facts:
        return curate_pairs(recipe, at.runtime, draft)

    return Build(PreferenceSet, recipe, {}, make)


@verb("training")
def reinforce(
    at: Workshop,
    policy: Checkpoint,
    problems: ProblemSet,
    recipe: ReinforceRecipe,
    general: ProblemSet | None = None,
    reward_models: Mapping[PreferenceKind, RewardModel] | None = None,
    budget: Checkpoint | None = None,
) -> Build[Checkpoint]:
    """Trains `policy` by GRPO on `problems` and `general` prompts (paper, sections 2 and B.5), without a critic.

    Rules judge reasoning; `reward_models`, one a kind of preference, judge replies to `general`. With `budget`, it
    stops once it has generated and trained as many tokens as making `budget` took.

    Raises `RecipeError` for sets that do not fill the schedule, `GuardTrippedError` where a guard of the run stops it.
    """
    models = dict(reward_models or {})
    inputs: dict[str, Artifact] = {"policy": policy, "problems": problems}
    inputs |= {str(kind): model for kind, model in models.items()}
    if general is not None:
        inputs["general"] = general
    if budget is not None:
        inputs["budget"] = budget

    def make(draft: Draft) -> Facts:
        asked, aside = fitting(problems.problems(), policy.path, recipe.template, recipe.grpo.max_completion_tokens)
        others, also = fitting(
            general.problems() if general else [], policy.path, recipe.template, recipe.grpo.max_completion_tokens
        )
        drops = put_aside(draft, [*aside, *also])
        prompts = order_prompts(
            recipe.schedule,
            asked,
            others,
            steps=recipe.grpo.problems // recipe.grpo.prompts_per_step,
            prompts_per_step=recipe.grpo.prompts_per_step,
        )
        scorers = {kind: RewardModelScorer(model.path, at.runtime) for kind, model in models.items()}
        with default_grader(at.runtime) as grader:
            parts = part_functions(recipe.rubric, grader, recipe.template, scorers)
            train_grpo(
                policy.path,
                prompts,
                recipe.template,
                parts,
                recipe.rubric.weights,
                recipe.grpo,
                at.runtime,
                draft,
                token_budget=sum(budget.tokens.values()) if budget else None,
            )
        facts = model_facts(draft, recipe.template, tokens_spent(read_metrics(draft.metrics), recipe.grpo))
        return replace(facts, drops=drops)

    consistency = language_identity() if "language" in recipe.rubric.weights else {}
    judged = {*REASONING_DOMAINS, *(name for name in problems.by_domain if DOMAINS[name].reasoning)}
    judges, drawn = grader_identity(judged, problems), rollout_identity(recipe.grpo.rollouts)
    uses = {**judges, **consistency, **drawn, **objective_identity(recipe.grpo.objective)}
    return Build(Checkpoint, recipe, inputs, make, uses)


@verb("data")
def draft_cold_start(
    at: Workshop, answers: Answers, problems: ProblemSet, tokenizer_of: Checkpoint, recipe: RejectionRecipe
) -> Build[Corpus]:
    """Keeps R1-Zero's right and readable `answers` to `problems`, in think-then-summary form (paper, section B.3.2).

    A template rewrites them; the new text is judged and measured again. Tokens are counted with the tokenizer of the
    model `tokenizer_of`.

    Raises `ArtifactError` where no row would be kept, `GraderError` where nothing can be judged on this machine.
    """
    rewriter = TemplateRewriter()
    return _sampled(at, answers, problems, recipe, rewriter.writer, lambda _: nullcontext(rewriter), tokenizer_of)


@verb("inference")
def rewrite_cold_start(
    at: Workshop,
    answers: Answers,
    problems: ProblemSet,
    tokenizer_of: Checkpoint,
    recipe: RewriteRecipe,
    writer: Checkpoint | None = None,
) -> Build[Corpus]:
    """Keeps R1-Zero's right and readable `answers` to `problems` in the words of a model (paper, section B.3.2).

    The new text is judged and measured again, its tokens counted with the tokenizer of `tokenizer_of`. The model is the
    checkpoint `writer`, or where that is None the server of the recipe; its prompts and replies are stored beside.

    Raises `ArtifactError` where no row would be kept, `EngineError` where the model cannot be asked.
    """
    how, rules = recipe.keep.writer, rewriting_rules()
    require_optional(at.name, recipe, {"writer": writer})

    def rewriter(draft: Draft) -> AbstractContextManager[Rewriter]:
        return open_rewriter(writer, how, at.runtime, at.store.home, draft)

    uses = {"engine": engine_identity(how.engine)}
    uses |= {"template": template_hash(writer.template)} if writer else {}
    made = _sampled(at, answers, problems, recipe, rules, rewriter, tokenizer_of)
    inputs = {**made.inputs, **({"writer": writer} if writer else {})}
    return replace(made, inputs=inputs, uses={**made.uses, **uses})


@verb("data")
def rejection_sample(at: Workshop, answers: Answers, problems: ProblemSet, recipe: RejectionRecipe) -> Build[Corpus]:
    """Keeps the correct, readable `answers` to `problems` but lucky guesses, word for word (paper, section B.3.3).

    Raises `ArtifactError` where no row would be kept, `GraderError` where nothing can be judged on this machine.
    """
    return _sampled(at, answers, problems, recipe, VERBATIM)


@verb("data")
def collect_general(
    at: Workshop, prompts: ProblemSet, tokenizer_of: Checkpoint, recipe: GeneralRecipe
) -> Build[Corpus]:
    """Collects written replies to general `prompts`, demonstrations or the toy world's own.

    They stand where the paper reuses DeepSeek-V3's SFT data (paper, section B.3.3). Tokens are counted with the
    tokenizer of the model `tokenizer_of`.

    Raises `ArtifactError` where no prompt has a reply that may be kept.
    """

    def make(draft: Draft) -> Facts:
        asked = shuffled(prompts.problems())[: recipe.rows]
        with default_grader(at.runtime) as grader:
            samples, drops = written_samples(asked, dict(recipe.manners), grader, token_counter(tokenizer_of.path))
        if not samples:
            raise ArtifactError(
                f"no prompt of {prompts.name} has a written reply that may be kept (dropped: {dict(drops)}); give a "
                'source whose mapping makes = "demonstration", or have a model reply (docs/data.md, "General data")'
            )
        write_samples(draft.path, samples)
        return _corpus_facts(draft, drops)

    inputs = {"prompts": prompts, "tokenizer_of": tokenizer_of}
    uses = {**grader_identity(("general",), prompts), **language_identity()}
    return Build(Corpus, recipe, inputs, make, uses)


@verb("data")
def write_toy(at: Workshop, budget: Corpus, tokenizer_of: Checkpoint, recipe: ToyCorpusRecipe) -> Build[Corpus]:
    """Writes texts of the toy world's own authors, as many tokens of them as the corpus `budget` has.

    A student that is tuned on them is what distillation (paper, section B.4.3) is compared with. Tokens are counted
    with the tokenizer of the model `tokenizer_of`.

    Raises `RecipeError` for a web that is too short, not right or not in the chat form, and for a problem of `budget`
    that is not of the toy world.
    """

    def make(draft: Draft) -> Facts:
        rows = itertools.chain.from_iterable(frame.iter_rows() for frame in budget.batches(("problem_id", "response")))
        with default_grader(at.runtime) as grader:
            samples, drops = toy_corpus(recipe, rows, list(budget.by_domain), grader, token_counter(tokenizer_of.path))
        write_samples(draft.path, samples)
        return _corpus_facts(draft, drops)

    uses = {**grader_identity(budget.by_domain), **language_identity()}
    return Build(Corpus, recipe, {"budget": budget, "tokenizer_of": tokenizer_of}, make, uses)


@verb("inference")
def sample_general(
    at: Workshop,
    answers: Answers,
    prompts: ProblemSet,
    recipe: SampleGeneralRecipe,
    judge: Checkpoint | None = None,
    reward_models: Mapping[PreferenceKind, RewardModel] | None = None,
) -> Build[Corpus]:
    """Keeps a model's `answers` to general `prompts` that a judge or reward models approve of (paper, section B.3.3).

    `judge` is a checkpoint that is asked for its opinion, `reward_models` have one model a kind of preference; the
    recipe says which of them it takes. Every opinion is stored beside.

    Raises `RecipeError` for another input than the recipe takes, `ArtifactError` where no row would be kept.
    """
    how, models = recipe.keep.by, dict(reward_models or {})
    require_optional(at.name, recipe, {"judge": judge, "reward_models": models})

    def make(draft: Draft) -> Facts:
        asked = Asked.model_validate(answers.asked())
        by_id = {problem.id: problem for problem in prompts.problems()}
        said = [(by_id[completion.problem_id], completion) for completion in completions_of(answers.completions())]
        if isinstance(how, ByReward):
            scorers = {kind: RewardModelScorer(model.path, at.runtime) for kind, model in models.items()}
            digests = {kind: model.digest for kind, model in models.items()}
            opinions = opinions_by_reward(scorers, digests, said, asked, how)
        else:
            assert judge is not None
            with open_engine(judge, how.engine, at.runtime, at.store.home) as engine:
                reader = GenerativeJudge(engine, judge.digest[:12], judge.template, how.sampling, how.seed)
                fits = room_for(judge.path, how.sampling.max_tokens)
                opinions = opinions_by_judge(reader, engine, said, asked, how, fits)
        samples, drops = approved_samples(said, opinions, asked, recipe.keep.per_problem)
        write_records(draft.path / VERDICTS, opinions, Opinion)
        write_samples(draft.path, samples)
        return _corpus_facts(draft, drops + Counter(answers.manifest.drops))

    inputs: dict[str, Artifact] = {"answers": answers, "prompts": prompts}
    inputs |= {"judge": judge} if judge else {str(kind): model for kind, model in models.items()}
    engine = {"engine": engine_identity(how.engine)} if isinstance(how, ByJudge) else {}
    return Build(Corpus, recipe.keep, inputs, make, {"rules": opinion_rules(), **engine, **language_identity()})


@verb("data")
def merge(
    at: Workshop,
    parts: Mapping[str, Corpus],
    heldout: ProblemSet,
    recipe: MergeRecipe,
    benchmarks: Mapping[str, ProblemSet] | None = None,
) -> Build[Corpus]:
    """Merges all `parts` into the SFT corpus, in an order of the seed (paper, section B.3.3).

    Rows with text of `heldout` or of a problem set of `benchmarks`, repeated and unreadable rows are dropped, each with
    its proof.

    Raises `ArtifactError` where no row would be left.
    """
    others = {keep_out(name): problems for name, problems in (benchmarks or {}).items()}

    def make(draft: Draft) -> Facts:
        ordered = [parts[name] for name in sorted(parts)]
        kept_out = [problem for problems in (heldout, *others.values()) for problem in problems.problems()]
        drops = merge_parts(ordered, kept_out, recipe, at.runtime.threads, draft, at.runtime.cluster)
        for part in ordered:
            drops.update(part.manifest.drops)
        return _corpus_facts(draft, drops)

    return Build(Corpus, recipe, {**parts, "heldout": heldout, **others}, make, screening_identity())


@verb("training")
def finetune(at: Workshop, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    """Trains `base`, not any later model, on `corpus` in chat form by SFT (paper, section B.4.2).

    Raises `RecipeError` where no row fits the model, `GuardTrippedError` where no weight has changed.
    """
    return _finetuned(at, base, corpus, recipe)


@verb("training")
def distill(at: Workshop, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    """Trains `base`, a student's, on the teacher's `corpus` by SFT, without RL (paper, section B.4.3).

    Raises `RecipeError` where no row fits the model, `GuardTrippedError` where no weight has changed.
    """
    return _finetuned(at, base, corpus, recipe)


@verb("training")
def fit_preference(
    at: Workshop, base: Checkpoint, preferences: PreferenceSet, kind: PreferenceKind, recipe: RewardModelRecipe
) -> Build[RewardModel]:
    """Trains `base` into a scalar reward model for one `kind` of preference (paper, section B.2).

    It learns from the training pairs of `preferences` and is measured on the held-out ones.

    Raises `RecipeError` where too few pairs fit the model.
    """

    def make(draft: Draft) -> Facts:
        ours, theirs = ([p for p in preferences.pairs(s) if p.kind == kind] for s in ("train", "heldout"))
        train, aside = fitting_pairs(base.path, ours, recipe.max_tokens)
        heldout, also = fitting_pairs(base.path, theirs, context_of(base.path))
        drops = put_aside(draft, [*aside, *also])
        if not (train and heldout):
            raise RecipeError(
                f"{len(train)} pairs are left to train on and {len(heldout)} to measure with ({dict(drops)}); add some"
            )
        train_reward_model(base.path, train, recipe, at.runtime, draft)
        margins = pairwise_margins(RewardModelScorer(draft.path, at.runtime), heldout)
        sure = calibration(margins, bins=10)
        measured = {
            "accuracy": accuracy(margins),
            "calibration": [group.model_dump() for group in sure],
            "calibration_error": calibration_error(sure),
        }
        counts = {"heldout_pairs": len(heldout), "train_pairs": len(train)}
        return Facts({"kind": kind, **measured, **counts}, drops)

    return Build(RewardModel, recipe, {"base": base, "preferences": preferences}, make, {"kind": kind})


@verb("inference")
def ask(at: Workshop, model: Checkpoint, problems: ProblemSet, recipe: AskRecipe) -> Build[Answers]:
    """Asks `model` every problem of `problems` in the model's own template, and stores what it says, not judged.

    It lies below every evaluation and every sampled corpus (paper, sections B.3.2, B.3.3 and D.1), so that a changed
    verifier judges the stored answers and asks nothing again.

    Raises `RequirementError` for an engine that this machine lacks, `EngineError` where text cannot be generated.
    """
    template = model.template

    def make(draft: Draft) -> Facts:
        subject = Subject(model=model.name, model_digest=model.digest, problems_digest=problems.digest)
        chosen = asking.select(problems.problems(), recipe, draft)
        fit, aside = fitting(chosen, model.path, template, recipe.sampling.max_tokens)
        drops = put_aside(draft, aside)
        with open_engine(model, recipe.engine, at.runtime, at.store.home) as engine:
            said = asking.ask(engine, fit, template, recipe, subject, draft)
        return Facts({"rows": said.height, "tokens": {"generated": int(said["token_ids"].list.len().sum())}}, drops)

    uses = {"engine": engine_identity(recipe.engine), "template": template_hash(template)}
    return Build(Answers, recipe, {"model": model, "problems": problems}, make, uses)


@verb("data")
def evaluate(at: Workshop, answers: Answers, heldout: ProblemSet, recipe: EvaluateRecipe) -> Build[EvalReport]:
    """Scores a model's stored `answers` to the problems of `heldout` (paper, section D.1).

    Raises `ArtifactError` where `answers` holds none, `GraderError` where nothing can be judged on this machine.
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
    """Scores several models' stored answers to general prompts of `heldout` by reward models (paper, section D.1).

    `evaluations` has the answers by model, `reward_models` one model a kind of preference. With `baseline`, the name of
    one of the models, it also says how often the others' answers are liked better.

    Raises `ArtifactError` for a model that was asked no general prompt.
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


def _sampled(
    at: Workshop,
    answers: Answers,
    problems: ProblemSet,
    recipe: RejectionRecipe,
    rewriter: str,
    open_rewriter: Callable[[Draft], AbstractContextManager[Rewriter]] | None = None,
    tokenizer_of: Checkpoint | None = None,
) -> Build[Corpus]:
    """The rows of `recipe`: in the words of a rewriter, counted with the tokenizer of a model, or word for word."""

    def make(draft: Draft) -> Facts:
        if not answers.row_count:  # all its domains are left out, or their problems are too long
            write_samples(draft.path, [])
            return Facts(corpus_statistics(draft.path), answers.manifest.drops)
        asked, known = Asked.model_validate(answers.asked()), problems.problems()
        with default_grader(at.runtime) as grader:
            judged = judge_completions(answers.completions(), known, grader, asked.template)
            passed, dropped = screened(judged, known, recipe.keep)
            writer = None
            if open_rewriter and tokenizer_of:
                tokenize = tokenize_with(tokenizer_of.path)
                with open_rewriter(draft) as by:
                    passed, more, rewrites, writer = reworded(passed, known, by, tokenize, grader, recipe.keep.rules)
                write_records(draft.path / REWRITES, rewrites, Rewrite)
                dropped += more
        samples, others = keep_samples(passed, known, asked, recipe.keep.per_problem, writer)
        write_table(draft.path / VERDICTS, judged.select("problem_id", "sample_index", "outcome", "verifier"))
        write_samples(draft.path, samples)
        drops = write_dropped(draft, aside([*dropped, *others]))
        return _corpus_facts(draft, drops + Counter(answers.manifest.drops))

    judges = grader_identity(recipe.ask.problems, problems)
    uses = {"rewriter": rewriter, **judges, **language_identity()}
    inputs: dict[str, Artifact] = {"answers": answers, "problems": problems}
    inputs |= {"tokenizer_of": tokenizer_of} if tokenizer_of else {}
    uses |= {"luck": luck_identity} if recipe.keep.luck else {}
    return Build(Corpus, recipe.keep, inputs, make, uses)


def _finetuned(at: Workshop, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    def make(draft: Draft) -> Facts:
        drops = train_sft(base.path, chat_rows(corpus), recipe, at.runtime, draft)
        return replace(model_facts(draft, "chat"), drops=drops)

    return Build(Checkpoint, recipe, {"base": base, "corpus": corpus}, make)


def _corpus_facts(draft: Draft, drops: Mapping[str, int]) -> Facts:
    facts = corpus_statistics(draft.path)
    if not facts["rows"]:
        raise ArtifactError(f"{draft.name} would be empty (dropped: {dict(drops)}); loosen its rules or train further")
    return Facts(facts, dict(drops))
