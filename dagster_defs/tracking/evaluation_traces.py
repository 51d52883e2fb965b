"""Evaluations in MLflow: scores by benchmark on the run and on the model, and a sample of completions as traces.

A trace is one completion with its question; its assessment is the verdict, with the verifier's reason. The scores have
the benchmark's name and the digest of its problems, so that the page of a logged model has one row for each data set.
"""

from typing import TYPE_CHECKING

from dagster_defs.tracking.traces import Assessment, Reply, log_replies
from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.data.subset import shuffled
from r1_pipeline.evaluation.scores import EvalScores, scores_of
from r1_pipeline.lineage.library import Library, root_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

COMPLETION = "r1.completion_id"
"""The tag of a trace that holds `PROBLEM/SAMPLE`."""
DIGEST_LIMIT = 36
"""MLflow's limit on the length of a data set's digest."""


def log_evaluation(client: "MlflowClient", run_id: str, report: EvalReport, count: int) -> None:
    """Logs the scores of an evaluation to its run and its model, and `count` of its completions as traces."""
    scores, run = scores_of(report), client.get_run(run_id)
    benchmark = report.name.partition("/")[0]
    query = f"tags.`r1.digest` = '{scores.identity.model_digest}'"
    models = client.search_logged_models([run.info.experiment_id], filter_string=query, max_results=1)
    for key, value in measures(benchmark, scores).items():
        if key not in run.data.metrics:
            client.log_metric(
                run_id,
                key,
                value,
                dataset_name=benchmark,
                dataset_digest=scores.identity.problems_digest[:DIGEST_LIMIT],
                model_id=models[0].model_id if models else None,
            )
    log_replies(client, run_id, "completion", COMPLETION, _replies(report, count))


def measures(benchmark: str, scores: EvalScores) -> dict[str, float]:
    """Returns pass@1, the majority vote and tokens of an evaluation, and pass@1 of every domain, by metric name."""
    overall = scores.overall
    whole = {"pass_at_1": overall.pass_at_1, "cons_at_k": overall.cons_at_k, "mean_tokens": overall.mean_tokens}
    domains = {f"{domain}/pass_at_1": each.pass_at_1 for domain, each in scores.by_domain.items()}
    return {f"{benchmark}/{name}": value for name, value in (whole | domains).items()}


def _replies(report: EvalReport, count: int) -> dict[str, Reply]:
    """Returns the first completions of `count` problems by id; the hash of their ids selects the problems."""
    if not count:
        return {}
    library = Library.of(root_of(report.path))
    sets = [ProblemSet.open(each.path) for each in library.upstream(report) if isinstance(each, ProblemSet)]
    rows = report.completions().sort("problem_id", "sample_index").unique("problem_id", keep="first")
    asked = set(rows["problem_id"])
    problems = {problem.id: problem for each in sets for problem in each.problems() if problem.id in asked}
    chosen = {problem.id: problem for problem in shuffled(list(problems.values()))[:count]}
    found = {}
    for row in rows.filter(rows["problem_id"].is_in(list(chosen))).sort("problem_id").iter_rows(named=True):
        problem = chosen[row["problem_id"]]
        facts = {"domain": problem.domain, "language": problem.language, "finish_reason": row["finish_reason"]}
        found[f"{problem.id}/{row['sample_index']}"] = Reply(
            asked={"question": problem.question, "reference": problem.answer or "tests"},
            text=row["text"],
            facts=facts | {"tokens": len(row["token_ids"])},
            assessments=(Assessment("verdict", row["outcome"], row["verifier"], row["detail"]),),
        )
    return found
