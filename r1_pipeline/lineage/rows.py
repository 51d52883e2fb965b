"""The row checks verify the rows of a corpus: identity, origin, counts, licences, held-out text, verdicts.

Every check names the rows that fail it, up to `NAMED` of them. Not covered: bytes and manifests (`integrity`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.kinds import Corpus, ProblemSet
from r1_pipeline.artifacts.manifest import CARD, MANIFEST
from r1_pipeline.data.corpus import heldout_problem
from r1_pipeline.data.samples import sample_id
from r1_pipeline.data.screening.normalization import plain
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.evaluation.rejudge import BATCH, Rejudged, random_rows, rejudge_samples
from r1_pipeline.lineage.cards import README, card_fields
from r1_pipeline.lineage.integrity import Finding, finding, named_findings
from r1_pipeline.lineage.training_data import Rows
from r1_pipeline.records import Domain, TestCase
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

TELLING = 10
"""The number of words that do not occur in a text by chance; the paper's n-gram."""


def check_ids(data: Corpus | ProblemSet) -> Iterator[Finding]:
    """Yields the rows whose id is not the hash of their content, or is also another row's."""
    import polars as pl

    column, hashed = _id_of(data), sample_id if isinstance(data, Corpus) else _problem_id
    edited = (row[column] for batch in _batches(data.scan()) for row in batch if hashed(row) != row[column])
    yield from named_findings(data, edited, "has been edited: its id is not the hash of its content")
    twice = data.scan().group_by(column).len().filter(pl.col("len") > 1).sort(column).collect()
    yield from named_findings(data, twice[column], "stands here more than once")


def check_origin(corpus: Corpus, parts: Iterable[Corpus]) -> Iterator[Finding]:
    """Yields the rows of a merged corpus that none of its parts has."""
    import polars as pl

    sources = [part.scan().select("sample_id") for part in parts]
    if sources:
        strange = corpus.scan().join(pl.concat(sources), on="sample_id", how="anti").select("sample_id").collect()
        yield from named_findings(
            corpus, strange["sample_id"], "is in none of the corpora that this one was merged from"
        )


def check_counts(data: Rows) -> Iterator[Finding]:
    """Yields the differences between manifest, card and files on rows, domains and licences, and rows without licence
    or source."""
    import polars as pl

    rows = data.scan()
    licences = _counts(rows, "licence")
    total = sum(licences.values())
    card = card_fields(data)
    claims = [
        (MANIFEST, "rows", data.statistics.get("rows"), total),
        (f"{CARD}/{README}", "rows", card.get("rows"), total),
        (f"{CARD}/{README}", "licences", card.get("licences"), licences),
    ]
    if "by_domain" in data.statistics:
        claims.append((MANIFEST, "by_domain", data.statistics["by_domain"], _counts(rows, "domain")))
    for where, what, stated_value, found in claims:
        if stated_value != found:
            yield finding(data, where, f"says {what} {stated_value}; the files have {found}")
    for column in ("licence", "source"):
        bare = rows.filter(pl.col(column).fill_null("").str.strip_chars() == "").select(_id_of(data)).collect()
        yield from named_findings(data, bare.to_series(), f"has no {column}")


def check_heldout(corpus: Corpus, heldout: Iterable[ProblemSet], full: bool) -> Iterator[Finding]:
    """Yields the rows about a held-out problem, by its id, or by its question in any typesetting.

    `full` also searches all rows for the words of questions of more than `TELLING` words.
    """
    import polars as pl

    for problems in heldout:
        items = problems.problems()
        leaks = heldout_problem(items, plain).is_not_null()
        questions = pl.DataFrame({"text": [item.question for item in items]}, schema={"text": pl.String})
        words = questions.select(plain(pl.col("text"))).to_series().unique()
        telling = words.filter(words.str.count_matches(" ") > TELLING).to_list()
        for text in ("question", "response") if full and telling else ():
            leaks |= plain(pl.col(text)).str.contains_any(telling)
        found = corpus.scan().filter(leaks).select("sample_id").collect(engine="streaming")
        yield from named_findings(corpus, found["sample_id"], f"holds a problem of {problems.name}")


def check_verdicts(
    corpus: Corpus, problem_sets: Iterable[ProblemSet], grader: Grader, domains: Iterable[Domain], rows: int | None
) -> Iterator[Finding]:
    """Yields the rows of these domains whose answer gets another verdict when graded again.

    `rows` random rows are graded, None for all.
    """
    import polars as pl

    chosen = corpus.scan().filter(pl.col("domain").is_in(list(domains)))
    for each in rejudge_samples(chosen if rows is None else random_rows(chosen, rows), problem_sets, grader):
        if not each.agrees:
            yield finding(corpus, f"row {each.row.sample_id}", _disagreement(each))


def _disagreement(rejudged: Rejudged) -> str:
    row, verdict = rejudged.row, rejudged.verdict
    if verdict is None:
        return f"is about problem {row.completion.problem_id}, which is in no problem set upstream"
    return f"was kept as {row.outcome} by {row.verifier}; {verdict.verifier} says {verdict.outcome}: {verdict.detail}"


def _counts(rows: "pl.LazyFrame", column: str) -> dict[str, int]:
    import polars as pl

    counted = rows.group_by(column).agg(rows=pl.len()).sort(column).collect()
    return dict(counted.iter_rows())


def _batches(rows: "pl.LazyFrame") -> Iterator[list[dict[str, Any]]]:
    for frame in rows.collect_batches(maintain_order=True, chunk_size=BATCH):
        yield frame.to_dicts()


def _id_of(data: Rows) -> str:
    return "sample_id" if isinstance(data, Corpus) else "id"


def _problem_id(row: Mapping[str, Any]) -> str:
    tests = [TestCase.model_validate(test) for test in json.loads(row["tests"])]
    return problem_id(row["question"], row["answer"], tests, row["domain"])
