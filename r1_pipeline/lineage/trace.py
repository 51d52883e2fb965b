"""A trace follows one row of a corpus, or one rollout, back to everything that made it, as a tree of `Node`s.

The tree has the row's problem and source, the checkpoint that wrote it, the data that this was trained on, and so on to
the base model. It is rendered for the terminal, as JSON or as a page. Not covered: questions about whole models
(`training_data`), verification (`audit`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Corpus, ProblemSet
from r1_pipeline.data.origin import Origin
from r1_pipeline.errors import ArtifactError
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Record

if TYPE_CHECKING:
    import polars as pl

Fact = str | int | float | None
TEXT = ("question", "response")
SAMPLING = ("engine", "temperature", "top_p", "max_tokens", "seed", "sample_index")
ROLLOUT = ("text", "step", "prompt", "sample_index", "template", "seed", "finish_reason", "flat", "trained")
VERDICT_OF_ROLLOUT = ("verifier", "detail")
VERDICT = ("outcome", "verifier", "tokens", "language_share")


class Node(Record):
    """A thing that contributed to the row."""

    part: str
    """The relation to the node above: `problem`, `written by`, `rewritten by`, or the name of an edge of the graph."""
    name: str
    facts: dict[str, Fact]
    below: tuple["Node", ...]


def trace(library: Library, wanted: str) -> Node:
    """Returns the tree of the corpus row with this `sample_id`, or of the rollout with this `rollout_id`.

    Raises `ArtifactError` if there is neither.
    """
    rows = _rows(library.of_kind(Corpus), "sample_id", wanted)
    if not rows:
        return _rollout(library, wanted)
    row, corpora = rows[0][1], [corpus for corpus, _ in rows]
    return Node(
        part="row",
        name=wanted,
        facts={name: row[name] for name in TEXT},
        below=(
            _problem(library, row),
            Node(part="sampling", name=row["engine"], facts={name: row[name] for name in SAMPLING[1:]}, below=()),
            Node(part="verdict", name=row["outcome"], facts={name: row[name] for name in VERDICT[1:]}, below=()),
            *(Node(part="stands in", name=c.name, facts=_facts(c), below=()) for c in corpora),
            _author(library, corpora, "written by", row["generator"]),
            *([_author(library, corpora, "rewritten by", row["writer"])] if row.get("writer") else []),
        ),
    )


def _rollout(library: Library, wanted: str) -> Node:
    """Returns the tree of a rollout: its problem, its rewards, and the models whose weights it moved."""
    rows = _rows(library.of_kind(Checkpoint), "rollout_id", wanted)
    if not rows:
        raise ArtifactError(
            f"nothing under {library.root} has a row {wanted!r}; ids are the columns sample_id of samples*.parquet "
            f"and rollout_id of rollouts-*.parquet"
        )
    row = rows[0][1]
    parts = {each["part"]: each["score"] for each in row["parts"]}
    verdict = [
        Node(part="verdict", name=row["outcome"], facts={name: row[name] for name in VERDICT_OF_ROLLOUT}, below=())
    ]
    return Node(
        part="rollout",
        name=wanted,
        facts={name: row[name] for name in ROLLOUT if name in row},
        below=(
            _problem(library, row),
            *(verdict if row["outcome"] else []),
            Node(part="reward", name=str(row["reward"]), facts={**parts, "advantage": row["advantage"]}, below=()),
            *(_artifact(library, "moved the weights of", model, set()) for model, _ in rows),
        ),
    )


def _author(library: Library, corpora: Sequence[Corpus], part: str, author: str) -> Node:
    """Returns the author of a row: the model with this digest, with its ancestors, or anything else with this name."""
    known = (a for corpus in reversed(corpora) for a in library.upstream(corpus) if a.digest == author)
    model = next(known, None)
    return _artifact(library, part, model, set()) if model else Node(part=part, name=author, facts={}, below=())


def _problem(library: Library, row: Mapping[str, Any]) -> Node:
    """Returns the problem of a row; a rollout has its problem's id alone, and the rest comes from a problem set."""
    sets = _rows(library.of_kind(ProblemSet), "id", row["problem_id"])
    if "source" not in row:
        if not sets:
            return Node(
                part="problem", name=row["problem_id"], facts={"missing": f"not under {library.root}"}, below=()
            )
        row = {**sets[0][1], **row}
    origin = Origin.of(row["source"])
    file = f"{origin.source}/{origin.file}"
    where: dict[str, Fact] = {"source": file, "line": origin.line} if origin.file else {"source": origin.source}
    about: dict[str, Fact] = {"domain": row["domain"], "language": row["language"]}
    facts = {**about, **where, "fact": origin.fact, "licence": row["licence"]}
    reference = {"reference answer": sets[0][1]["answer"]} if sets else {}
    below = tuple(Node(part="stands in", name=s.name, facts=_facts(s), below=()) for s, _ in sets)
    return Node(part="problem", name=row["problem_id"], facts=facts | reference, below=below)


def _artifact(library: Library, part: str, artifact: Artifact, shown: set[Path]) -> Node:
    """Returns the node of `artifact` with its inputs; an artifact in `shown` is not expanded again."""
    if artifact.path in shown:
        return Node(part=part, name=artifact.name, facts={"digest": artifact.digest, "see": "above"}, below=())
    shown.add(artifact.path)
    below = []
    for edge, reference, source in library.edges(artifact):
        if source is None:
            lost: dict[str, Fact] = {"digest": reference.digest, "missing": f"not under {library.root}"}
            below.append(Node(part=edge, name=reference.name, facts=lost, below=()))
        else:
            below.append(_artifact(library, edge, source, shown))
    return Node(part=part, name=artifact.name, facts=_facts(artifact), below=tuple(below))


def _facts(artifact: Artifact) -> dict[str, Fact]:
    manifest = artifact.manifest
    counted = {name: artifact.statistics.get(name) for name in ("rows", "steps", "parameters")}
    tokens = artifact.statistics.get("tokens", {}) if isinstance(artifact, Checkpoint) else {}
    return {
        "kind": manifest.kind,
        "stage": f"{manifest.stage}@{manifest.stage_version}",
        "digest": manifest.digest,
        "fingerprint": manifest.fingerprint,
        **{name: number for name, number in counted.items() if number is not None},
        **{f"tokens {what}": count for what, count in tokens.items()},
        "made": manifest.provenance.started,
        "commit": manifest.provenance.commit,
    }


def _rows(sets: list[Any], column: str, wanted: str) -> list[tuple[Any, dict[str, Any]]]:
    """Returns (set, row) for every set that has a row with this value, newest set first."""
    by_table = {str(table): each for each in sets for table in _tables(each)}
    if not by_table:
        return []
    found = []
    for row in _found(list(by_table), column, wanted).iter_rows(named=True):
        found.append((by_table[row.pop("table")], row))
    return sorted(found, key=lambda pair: pair[0].manifest.provenance.started, reverse=True)


def _tables(artifact: Artifact) -> list[Path]:
    return artifact.rollout_tables() if isinstance(artifact, Checkpoint) else artifact.tables()


def _found(tables: list[str], column: str, wanted: str) -> "pl.DataFrame":
    """Returns the rows with this value; one column is searched, then only the matching rows are read."""
    import polars as pl

    rows = pl.scan_parquet(  # columns differ: only sets of prompts have their kinds
        tables, include_file_paths="table", missing_columns="insert", extra_columns="ignore"
    )
    places = rows.select(column).with_row_index("place").filter(pl.col(column) == wanted).collect()["place"]
    return pl.concat([rows.clear(), *(rows.slice(place, 1) for place in places)]).collect()
