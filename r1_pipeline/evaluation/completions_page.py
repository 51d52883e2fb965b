"""This module writes the page of all completions: every reply to a held-out problem or a benchmark, to search and
filter.

The page is one file that loads nothing: its rows are JSON, compressed, in the page itself, and its own script puts them
in place as text, so that a reply cannot become markup. A content security policy allows this script only and no
connection. `templates/completions.js` filters; nothing is computed here but which rows are shown.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.data.language_id import LANGUAGES
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.evaluation.template import environment
from r1_pipeline.records import DOMAINS, Outcome, Problem, TestCase

if TYPE_CHECKING:
    import polars as pl

PAGE = "completions.html"
MAX_TEXT_BYTES = 64 * 2**20
"""The most text that the page holds, in bytes; a run with more shows the first samples of a problem and says so."""
COLUMNS = ("problem", "model", "sample", "outcome", "score", "tokens", "finish", "text", "detail")
"""The columns of a row in the page, in this order; `problem` and `model` are positions in their lists."""


@dataclass(frozen=True)
class Shown:
    """The contents of the page."""

    models: tuple[str, ...]
    problems: tuple[Mapping[str, str], ...]
    """The problems: benchmark, id, domain, language, question and reference."""
    rows: Mapping[str, list[Any]]
    """The rows by column (`COLUMNS`)."""
    total: int
    """The number of completions of the run; there are fewer rows if they do not fit into the page."""


def shown_completions(
    evaluations: Mapping[str, Mapping[str, EvalReport]],
    problem_sets: Iterable[ProblemSet],
    max_bytes: int = MAX_TEXT_BYTES,
) -> Shown:
    """Returns the completions of all evaluations, by benchmark and model, with their problems.

    If their texts exceed `max_bytes`, the last samples of the problems are left out, for all models alike. Raises
    `ArtifactError` if a problem set that was evaluated is not among `problem_sets`.
    """
    import polars as pl

    by_digest = {each.digest: each for each in problem_sets}
    models = tuple(dict.fromkeys(model for reports in evaluations.values() for model in reports))
    problems: list[dict[str, str]] = []
    tables = []
    for benchmark, reports in evaluations.items():
        places: dict[str, dict[str, int]] = {}
        for model, report in reports.items():
            digest = scores_of(report).identity.problems_digest
            if digest not in places:
                asked = _problems_of(report, digest, by_digest)
                places[digest] = {problem.id: place for place, problem in enumerate(asked, len(problems))}
                problems += [_described(benchmark, problem) for problem in asked]
            tables.append(_rows(report, models.index(model), places[digest]))
    table = pl.concat(tables) if tables else pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.Null))
    kept = _first_samples(table, max_bytes) if tables else table
    return Shown(models, tuple(problems), {c: kept[c].to_list() for c in COLUMNS}, table.height)


def render_completions(shown: Shown, profile: str, seed: int) -> str:
    """Returns the page of the completions."""
    script = files("r1_pipeline.evaluation").joinpath("templates/completions.js").read_text(encoding="utf-8")
    data = {
        "models": shown.models,
        "problems": shown.problems,
        "columns": shown.rows,
        "domains": {name: domain.title for name, domain in DOMAINS.items()},
        "languages": {name: language[0] for name, language in LANGUAGES.items()},
        "outcomes": list(Outcome),
    }
    packed = gzip.compress(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("completions.html.j2")
        .render(
            script=Markup(script),  # ours, from the package
            policy=f"'sha256-{allowed}'",
            data=base64.b64encode(packed).decode(),
            shown=shown,
            count=len(shown.rows["text"]),
            profile=profile,
            seed=seed,
        )
    )


def reference_of(problem: Problem) -> str:
    """Returns the reference answer of a problem, or its first tests."""
    if problem.tests:
        return "; ".join(map(_test_text, problem.tests[:3]))
    return problem.answer or ""


def _test_text(test: TestCase) -> str:
    match test.kind:
        case "call":
            return f"{test.function}({test.given[1:-1]}) = {test.expected}"
        case "stdin":
            return f"{test.given.strip()} → {test.expected.strip()}"
        case "unit":
            return test.given.strip()
        case "instruction":
            return f"{test.function} {test.given}"
        case "turn":
            return f"then: {test.given}"


def _problems_of(report: EvalReport, digest: str, by_digest: Mapping[str, ProblemSet]) -> list[Problem]:
    if digest not in by_digest:
        raise ArtifactError(f"{report.name} was asked problems that are not among the artifacts: {digest[:12]}")
    return by_digest[digest].problems()


def _described(benchmark: str, problem: Problem) -> dict[str, str]:
    return {
        "benchmark": benchmark,
        "id": problem.id,
        "domain": problem.domain,
        "language": problem.language,
        "question": problem.question,
        "reference": reference_of(problem),
    }


def _rows(report: EvalReport, model: int, place: Mapping[str, int]) -> "pl.DataFrame":
    import polars as pl

    return report.completions().select(
        pl.col("problem_id").replace_strict(place, return_dtype=pl.Int64).alias("problem"),
        pl.lit(model, pl.Int64).alias("model"),
        pl.col("sample_index").alias("sample"),
        "outcome",
        "score",
        "tokens",
        pl.col("finish_reason").alias("finish"),
        "text",
        pl.col("detail").fill_null(""),
    )


def _first_samples(table: "pl.DataFrame", max_bytes: int) -> "pl.DataFrame":
    """Returns the rows of as many samples a problem as fit, in the order of problems, models and samples."""
    import polars as pl

    size = pl.col("text").str.len_bytes() + pl.col("detail").str.len_bytes()
    sizes = table.group_by("sample", "problem").agg(size.sum().alias("bytes")).sort("sample", "problem")
    kept = sizes.filter(pl.col("bytes").cum_sum() <= max_bytes).select("sample", "problem")
    return table.join(kept, on=["sample", "problem"], how="semi").sort("problem", "model", "sample")
