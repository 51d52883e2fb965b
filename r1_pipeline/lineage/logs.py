"""This module writes an evaluation in the formats of other projects, from its stored completions and scores.

    inspect      one JSON log, as `inspect_ai` 0.3 writes and reads it: a sample for each completion
    lighteval    `results/MODEL/results_DATE.json` and `details/MODEL/DATE/details_TASK_DATE.parquet`, as lighteval
                 0.13 writes them: a row for each problem
    model index  the scores in the header of a model's card on the Hugging Face Hub

The packages are not needed. A completion without a verdict has no score in a log, and is counted there as unscored.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.artifacts.tables import write_table
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.benchmarks import load_benchmark, shipped_benchmarks
from r1_pipeline.evaluation.scores import EvalScores, scores_of
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Problem

if TYPE_CHECKING:
    import polars as pl
    from huggingface_hub import EvalResult

LogFormat = Literal["inspect", "lighteval"]
SCORER = "verdict"
"""The name of the score of a completion in inspect's logs."""


def write_log(library: Library, report: EvalReport, form: LogFormat, target: Path) -> list[str]:
    """Writes an evaluation as a log to the new or empty folder `target`; returns the names of the files.

    Raises `ArtifactError` for a folder with something in it, and if a problem set is no longer stored.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target} is not an empty folder; name another, nothing is overwritten")
    sets = [ProblemSet.open(each.path) for each in library.upstream(report) if isinstance(each, ProblemSet)]
    problems = {problem.id: problem for each in sets for problem in each.problems()}
    if missing := set(report.completions()["problem_id"]) - problems.keys():
        raise ArtifactError(f"{len(missing)} problems of {report.name} are no longer stored; run: r1 run")
    if form == "inspect":
        target.mkdir(parents=True, exist_ok=True)
        name = f"{report.name.replace('/', '-')}.json"
        _write(target / name, inspect_log(report, problems))
        return [name]
    return _write_lighteval(report, problems, target)


def inspect_log(report: EvalReport, problems: Mapping[str, Problem]) -> dict[str, Any]:
    """Returns an evaluation as the content of a log of inspect_ai, version 2."""
    scores, made = scores_of(report), report.manifest.provenance
    task, model = names_of(report)
    sampled = scores.identity.sampling
    config = {"temperature": sampled.temperature, "top_p": sampled.top_p, "max_tokens": sampled.max_tokens}
    rows = report.completions().sort("problem_id", "sample_index")
    scored = sum(score is not None for score in rows["score"])
    metrics = {name: {"name": name, "value": value} for name, value in _metrics(scores).items()}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": report.manifest.fingerprint[:22],
            "run_id": report.digest[:22],
            "created": made.started,
            "task": task,
            "task_id": report.manifest.fingerprint[:22],
            "dataset": {"name": task, "samples": rows["problem_id"].n_unique(), "shuffled": False},
            "model": f"r1-pipeline/{model}",
            "model_generate_config": config,
            "config": {"epochs": scores.identity.samples},
            "packages": dict(made.packages),
            "metadata": {"digest": report.digest, "identity": scores.identity.model_dump(mode="json")},
        },
        "plan": {"name": "plan", "steps": [], "config": config},
        "results": {
            "total_samples": rows.height,
            "completed_samples": rows.height,
            "scores": [
                {
                    "name": SCORER,
                    "scorer": SCORER,
                    "scored_samples": scored,
                    "unscored_samples": rows.height - scored,
                    "params": {},
                    "metrics": metrics,
                }
            ],
        },
        "stats": {"started_at": made.started, "completed_at": made.started, "model_usage": {}},
        "samples": [_sample(row, problems[row["problem_id"]], model) for row in rows.iter_rows(named=True)],
    }


def _sample(row: Mapping[str, Any], problem: Problem, model: str) -> dict[str, Any]:
    stop = "max_tokens" if row["finish_reason"] == "length" else "stop"
    said = {"role": "assistant", "content": row["text"], "source": "generate", "model": f"r1-pipeline/{model}"}
    verdict = {"answer": row["extracted"], "explanation": row["detail"], "metadata": {"outcome": row["outcome"]}}
    scores = {} if row["score"] is None else {SCORER: {"value": "C" if row["score"] == 1.0 else "I", **verdict}}
    return {
        "id": problem.id,
        "epoch": row["sample_index"] + 1,
        "input": problem.question,
        "target": problem.answer or "",
        "messages": [{"role": "user", "content": problem.question, "source": "input"}, said],
        "output": {"model": f"r1-pipeline/{model}", "choices": [{"message": said, "stop_reason": stop}]},
        "scores": scores,
        "metadata": {"domain": problem.domain, "language": problem.language, "outcome": row["outcome"]},
    }


def _write_lighteval(report: EvalReport, problems: Mapping[str, Problem], target: Path) -> list[str]:
    task, model = names_of(report)
    date = report.manifest.provenance.started.replace(":", "-").partition("+")[0]
    results, details = Path("results") / model, Path("details") / model / date
    for folder in (results, details):
        (target / folder).mkdir(parents=True, exist_ok=True)
    numbers, rows = results / f"results_{date}.json", details / f"details_{task}|0_{date}.parquet"
    _write(target / numbers, lighteval_results(report))
    write_table(target / rows, lighteval_details(report, problems))
    return [str(numbers), str(rows)]


def lighteval_results(report: EvalReport) -> dict[str, Any]:
    """Returns the content of lighteval's file of results."""
    scores, made = scores_of(report), report.manifest.provenance
    task, model = names_of(report)
    sampled = scores.identity.sampling
    found = _metrics(scores) | {"pass_at_1_stderr": _standard_error(scores)}
    counted = {"original_num_docs": scores.overall.problems, "effective_num_docs": scores.overall.problems}
    return {
        "config_general": {
            "lighteval_sha": f"r1-pipeline {made.packages.get('r1-pipeline', '')}".strip(),
            "model_name": model,
            "model_config": {
                "model_name": model,
                "generation_parameters": {
                    "temperature": sampled.temperature,
                    "top_p": sampled.top_p,
                    "max_new_tokens": sampled.max_tokens,
                },
            },
            "start_time": made.started,
            "total_evaluation_time_secondes": str(made.seconds),
        },
        "results": {f"{task}|0": found, "all": found},
        "versions": {f"{task}|0": report.manifest.stage_version},
        "config_tasks": {f"{task}|0": {"name": task, "num_samples": [scores.identity.samples], **counted}},
        "summary_tasks": {},
        "summary_general": {},
    }


def lighteval_details(report: EvalReport, problems: Mapping[str, Problem]) -> "pl.DataFrame":
    """Returns lighteval's table of details: a row for each problem, with all its completions."""
    import polars as pl

    task, _ = names_of(report)
    rows = []
    for (id_,), group in report.completions().sort("sample_index").group_by("problem_id", maintain_order=True):
        problem, judged = problems[str(id_)], group["score"].drop_nulls()
        doc = {"query": problem.question, "choices": [problem.answer or ""], "gold_index": 0}
        score = judged.mean() if len(judged) else None
        rows.append(
            {
                "doc": {"id": problem.id, "task_name": f"{task}|0", **doc},
                "metric": {"pass_at_1": score, "outcomes": group["outcome"].to_list()},
                "model_response": {"text": group["text"].to_list(), "output_tokens": group["token_ids"].to_list()},
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def names_of(report: EvalReport) -> tuple[str, str]:
    """Returns the benchmark and the model of an evaluation, `gsm8k/distilled/qwen` being gsm8k of distilled-qwen."""
    task, _, model = report.name.partition("/")
    return task, model.replace("/", "-") or task


def _metrics(scores: EvalScores) -> dict[str, float]:
    at_k = {f"pass_at_{k}": value for k, value in scores.overall.pass_at_k.items()}
    return {
        "pass_at_1": scores.overall.pass_at_1,
        **at_k,
        f"cons_at_{scores.identity.samples}": scores.overall.cons_at_k,
    }


def _standard_error(scores: EvalScores) -> float:
    """Returns the standard error whose 95% interval is as wide as the one that is reported."""
    interval = scores.overall.pass_at_1_ci
    return (interval.hi - interval.lo) / (2 * 1.959964)


def model_index(reports: Iterable[EvalReport]) -> "list[EvalResult]":
    """Returns the scores of a model as entries of the model index of its card, which the Hub shows."""
    return [entry for report in reports for entry in _index_entries(report)]


def _index_entries(report: EvalReport) -> "Iterator[EvalResult]":
    from huggingface_hub import EvalResult

    scores = scores_of(report)
    task, _ = names_of(report)
    known = load_benchmark(task) if task in shipped_benchmarks() else None
    asked = scores.identity
    protocol = {"samples": asked.samples, "temperature": asked.sampling.temperature, "top_p": asked.sampling.top_p}
    for name, value in _metrics(scores).items():
        yield EvalResult(
            task_type="text-generation",
            dataset_type=(known.hub if known else None) or task,
            dataset_name=known.title if known else task,
            dataset_revision=asked.problems_digest,
            metric_type=name.replace("_at_", "@"),
            metric_value=round(value, 6),
            metric_name=name.replace("_at_", "@"),
            metric_args=protocol,
        )


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
