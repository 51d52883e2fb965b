"""The verbs that measure the difficulty of problems: pass rates from stored answers, or from stored rollouts."""

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Completions, Difficulty, ProblemSet
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.difficulty import DifficultyRecipe, RolloutDifficultyRecipe, write_pass_rates
from r1_pipeline.evaluation.rejudge import BATCH
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import DOMAINS, STORED
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.verbs.versions import verb


@verb("data")
def measure_difficulty(
    context: BuildContext, answers: Completions, problems: ProblemSet, recipe: DifficultyRecipe
) -> Build[Difficulty]:
    """Measures the pass rate of the model behind `answers` on each problem of `problems` (paper, section D.1).

    The paper reports pass@1 of whole benchmarks; a prompt schedule needs that of each problem.

    Raises `ArtifactError` if no answer has a score, `GraderError` if this machine cannot grade.
    """

    def make(draft: Draft) -> BuildResult:
        asked, known = SamplingRecord.model_validate(answers.asked()), problems.problems()
        said = answers.completions()
        ours = said.filter(said["problem_id"].is_in([problem.id for problem in known]))
        measured = {"model": asked.model, "model_digest": asked.model_digest, "of": "answers"}
        with default_grader(context.runtime) as grader:
            return write_pass_rates([ours], known, grader, asked.template, measured, draft)

    inputs = {"answers": answers, "problems": problems}
    return Build(Difficulty, Recipe(), inputs, make, grader_identity(recipe.ask.problems, problems))


@verb("data")
def rollout_difficulty(
    context: BuildContext, rollouts: Checkpoint, problems: ProblemSet, recipe: RolloutDifficultyRecipe
) -> Build[Difficulty]:
    """Measures the pass rate of the policy that became `rollouts`, in its stored rollouts (paper, section D.1).

    Only rollouts for `problems` with a verdict count, from the step of the recipe on. Raises `ArtifactError` if there
    are none, `GraderError` if this machine cannot grade.
    """

    def make(draft: Draft) -> BuildResult:
        import polars as pl

        known = problems.problems()
        ours = pl.col("problem_id").is_in([problem.id for problem in known])
        rows = rollouts.rollouts().filter(pl.col("step") >= recipe.from_step, pl.col("outcome").is_not_null(), ours)
        if rows.select(pl.len()).collect(engine="streaming").item() == 0:
            raise ArtifactError(
                f"{rollouts.name} has no judged rollouts for {problems.name} from step {recipe.from_step} on; lower "
                "from_step, or measure on answers"
            )
        measured = {"model": rollouts.name, "model_digest": rollouts.digest, "of": "rollouts"}
        parts = rows.select(STORED).collect_batches(maintain_order=True, chunk_size=BATCH)
        with default_grader(context.runtime) as grader:
            return write_pass_rates(parts, known, grader, rollouts.template, measured, draft)

    judged = [domain for domain in problems.by_domain if DOMAINS[domain].reasoning]
    inputs = {"rollouts": rollouts, "problems": problems}
    return Build(Difficulty, recipe, inputs, make, grader_identity(judged, problems))
