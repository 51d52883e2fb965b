"""The verbs that merge and write corpora, and the statistics of a corpus."""

import itertools
from collections.abc import Mapping

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.edges import exclusion_edge
from r1_pipeline.artifacts.kinds import (
    Checkpoint,
    Corpus,
    ProblemSet,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.corpus import corpus_statistics, write_samples
from r1_pipeline.data.merge import MergeRecipe, merge_parts
from r1_pipeline.data.screening.problems import canaries_identity, canaries_of
from r1_pipeline.data.screening.rows import screening_identity
from r1_pipeline.errors import ArtifactError
from r1_pipeline.generation.control_corpus import ToyCorpusRecipe, toy_corpus
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.model_stats import token_counter
from r1_pipeline.verbs.versions import verb


@verb("data")
def merge(
    context: BuildContext,
    parts: Mapping[str, Corpus],
    heldout: ProblemSet,
    recipe: MergeRecipe,
    benchmarks: Mapping[str, ProblemSet] | None = None,
) -> Build[Corpus]:
    """Merges all `parts` into the SFT corpus, in an order drawn from the seed (paper, section B.3.3).

    It drops rows that contain text of `heldout` or of a problem set of `benchmarks`, or a canary of theirs, duplicates
    and unreadable rows, and stores the evidence for each.

    Raises `ArtifactError` if no row is left.
    """
    others = {exclusion_edge(name): problems for name, problems in (benchmarks or {}).items()}

    def make(draft: Draft) -> BuildResult:
        ordered = [parts[name] for name in sorted(parts)]
        kept_out = [problem for problems in (heldout, *others.values()) for problem in problems.problems()]
        canaries = canaries_of(benchmarks or {})
        runtime = context.runtime
        drops = merge_parts(ordered, kept_out, recipe, runtime.threads, draft, runtime.cluster, canaries)
        for part in ordered:
            drops.update(part.manifest.drops)
        return corpus_facts(draft, drops)

    identity = {**screening_identity(), **canaries_identity(benchmarks or {})}
    return Build(Corpus, recipe, {**parts, "heldout": heldout, **others}, make, identity)


@verb("data")
def write_toy(
    context: BuildContext, budget: Corpus, tokenizer_of: Checkpoint, recipe: ToyCorpusRecipe
) -> Build[Corpus]:
    """Writes texts by the toy world's own authors, as many tokens of them as the corpus `budget` has.

    A student tuned on these texts is the control for distillation (paper, section B.4.3). Tokens are counted with the
    tokenizer of the model `tokenizer_of`.

    Raises `RecipeError` for a web that is too short, incorrect or not in chat form, and for a problem of `budget` that
    is not from the toy world.
    """

    def make(draft: Draft) -> BuildResult:
        rows = itertools.chain.from_iterable(frame.iter_rows() for frame in budget.batches(("problem_id", "response")))
        with default_grader(context.runtime) as grader:
            samples, drops = toy_corpus(recipe, rows, list(budget.by_domain), grader, token_counter(tokenizer_of.path))
        write_samples(draft.path, samples)
        return corpus_facts(draft, drops)

    tool_versions = {**grader_identity(budget.by_domain), **language_identity()}
    return Build(Corpus, recipe, {"budget": budget, "tokenizer_of": tokenizer_of}, make, tool_versions)


def corpus_facts(draft: Draft, drops: Mapping[str, int]) -> BuildResult:
    """Counts a draft's rows and tokens; raises `ArtifactError` for a corpus without rows."""
    facts = corpus_statistics(draft.path)
    if not facts["rows"]:
        raise ArtifactError(f"{draft.name} would be empty (dropped: {dict(drops)}); relax its rules or train further")
    return BuildResult(facts, dict(drops))
