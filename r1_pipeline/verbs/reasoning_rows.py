"""Rows of a corpus from answers to reasoning problems: word for word, or rewritten for the cold start."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    VERDICTS,
    Artifact,
    Checkpoint,
    Completions,
    Corpus,
    ProblemSet,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records, write_table
from r1_pipeline.data.corpus import corpus_statistics, write_samples
from r1_pipeline.data.screening.dropped import dropped_frame, write_dropped
from r1_pipeline.data.templates import template_hash
from r1_pipeline.generation.engine_factory import engine_identity
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.guessing import IDENTITY as guessing_identity
from r1_pipeline.generation.rejection import (
    RejectionRecipe,
    RewriteRecipe,
    keep_samples,
    rewrite_all,
    screen_completions,
)
from r1_pipeline.generation.rewriter_factory import open_rewriter
from r1_pipeline.generation.rewriting import (
    REWRITES,
    VERBATIM,
    Rewrite,
    Rewriter,
    TemplateRewriter,
    rewriting_rules,
)
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.generation.tokens import tokenize_with
from r1_pipeline.recipe import require_optional
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.verbs.corpora import corpus_facts
from r1_pipeline.verbs.versions import verb


@verb("data")
def draft_cold_start(
    context: BuildContext, answers: Completions, problems: ProblemSet, tokenizer_of: Checkpoint, recipe: RejectionRecipe
) -> Build[Corpus]:
    """Keeps R1-Zero's correct, readable `answers` to `problems`, in think-then-summary form (paper, section B.3.2).

    A template rewrites them; the new text is graded and screened again. Tokens are counted with the tokenizer of the
    model `tokenizer_of`.

    Raises `ArtifactError` if no row is kept, `GraderError` if this machine cannot grade.
    """
    rewriter = TemplateRewriter()
    return _sampled(context, answers, problems, recipe, rewriter.writer, lambda _: nullcontext(rewriter), tokenizer_of)


@verb("inference")
def rewrite_cold_start(
    context: BuildContext,
    answers: Completions,
    problems: ProblemSet,
    tokenizer_of: Checkpoint,
    recipe: RewriteRecipe,
    writer: Checkpoint | None = None,
) -> Build[Corpus]:
    """Keeps R1-Zero's correct, readable `answers` to `problems`, rewritten by a model (paper, section B.3.2).

    The new text is graded and screened again; its tokens are counted with the tokenizer of `tokenizer_of`. The model
    is the checkpoint `writer`, or the recipe's server if that is None; its prompts and replies are stored with the
    corpus.

    Raises `ArtifactError` if no row is kept, `EngineError` if the model cannot be reached.
    """
    how, rules = recipe.keep.writer, rewriting_rules()
    require_optional(context.name, recipe, {"writer": writer})

    def rewriter(draft: Draft) -> AbstractContextManager[Rewriter]:
        return open_rewriter(writer, how, context.runtime, context.store.home, draft)

    tool_versions = {"engine": engine_identity(how.engine)}
    tool_versions |= {"template": template_hash(writer.template)} if writer else {}
    made = _sampled(context, answers, problems, recipe, rules, rewriter, tokenizer_of)
    inputs = {**made.inputs, **({"writer": writer} if writer else {})}
    return replace(made, inputs=inputs, tool_versions={**made.tool_versions, **tool_versions})


@verb("data")
def rejection_sample(
    context: BuildContext, answers: Completions, problems: ProblemSet, recipe: RejectionRecipe
) -> Build[Corpus]:
    """Keeps correct, readable `answers` to `problems` word for word, without lucky guesses (paper, section B.3.3).

    If none is kept, the corpus is empty and a note says so: it is one part of several.

    Raises `GraderError` if this machine cannot grade.
    """
    return _sampled(context, answers, problems, recipe, VERBATIM)


def _sampled(
    context: BuildContext,
    answers: Completions,
    problems: ProblemSet,
    recipe: RejectionRecipe,
    rewriter: str,
    open_rewriter: Callable[[Draft], AbstractContextManager[Rewriter]] | None = None,
    tokenizer_of: Checkpoint | None = None,
) -> Build[Corpus]:
    """Builds the rows of `recipe`, word for word or rewritten; rewritten rows are counted with a model's tokenizer."""

    def make(draft: Draft) -> BuildResult:
        if not answers.row_count:  # all its domains are left out, or their problems are too long
            write_samples(draft.path, [])
            return BuildResult(corpus_statistics(draft.path), answers.manifest.drops)
        asked, known = SamplingRecord.model_validate(answers.asked()), problems.problems()
        with default_grader(context.runtime) as grader:
            judged = grade_completions(answers.completions(), known, grader, asked.template)
            passed, dropped = screen_completions(judged, known, recipe.keep)
            writer = None
            if open_rewriter and tokenizer_of:
                tokenize = tokenize_with(tokenizer_of.path)
                with open_rewriter(draft) as by:
                    passed, more, rewrites, writer = rewrite_all(passed, known, by, tokenize, grader, recipe.keep.rules)
                write_records(draft.path / REWRITES, rewrites, Rewrite)
                dropped += more
        samples, others = keep_samples(passed, known, asked, recipe.keep.per_problem, writer)
        write_table(draft.path / VERDICTS, judged.select("problem_id", "sample_index", "outcome", "verifier"))
        write_samples(draft.path, samples)
        drops = write_dropped(draft, dropped_frame([*dropped, *others]))
        drops += Counter(answers.manifest.drops)
        if not samples and rewriter == VERBATIM:  # the corpus has other parts; the cold start has none
            draft.note(f"no completion of {draft.name} is kept (dropped: {dict(drops)}); the corpus goes without them")
            return BuildResult(corpus_statistics(draft.path), drops)
        return corpus_facts(draft, drops)

    judges = grader_identity(recipe.ask.problems, problems)
    tool_versions = {"rewriter": rewriter, **judges, **language_identity()}
    inputs: dict[str, Artifact] = {"answers": answers, "problems": problems}
    inputs |= {"tokenizer_of": tokenizer_of} if tokenizer_of else {}
    tool_versions |= {"luck": guessing_identity} if recipe.keep.luck else {}
    return Build(Corpus, recipe.keep, inputs, make, tool_versions)
