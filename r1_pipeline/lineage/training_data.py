"""This module answers which rows, sources and licences a model was trained on, and which models were trained on a row.

A model learns directly from the rows that it was trained on, and indirectly from everything that its parent, the writer
of those rows or its reward models had learned. Inputs that filter rows, count them or set an amount are not trained on
(`artifacts.edges`). Not covered: evaluation, from which no model of the graph learns.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.edges import is_training_edge
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Corpus, PreferenceSet, ProblemSet, RewardModel
from r1_pipeline.data.origin import PLACE_PATTERN
from r1_pipeline.errors import ArtifactError, WrongKindError
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Record

if TYPE_CHECKING:
    import polars as pl

Model = Checkpoint | RewardModel
Rows = ProblemSet | PreferenceSet | Corpus


class Share(Record):
    """The rows of one source and licence that a model learned from."""

    learner: str
    """The model that was trained on them: the one queried, or one that it learned from."""
    data: str
    digest: str
    """The content digest of `data`; for rows that a stage makes itself, the digest of the model."""
    source: str
    licence: str
    domain: str
    rows: int


class Rewarded(Record):
    """The rollouts of one model about the problems of one source and licence."""

    learner: str
    """The model that they moved: the one queried, or one that it learned from."""
    source: str
    licence: str
    domain: str
    prompts: int
    rollouts: int
    flat: float
    """The share of rollouts in groups of equal rewards, which have no gradient, in [0, 1]."""
    reward: float | None
    """The mean reward."""


class Learner(Record):
    """A model that learned from a row, source or licence."""

    model: str
    digest: str
    rows: int
    """The number of these rows that the model itself was trained on."""
    through: tuple[str, ...]
    """The models that were trained on them and that it learned from; empty if there are none."""


def training_sources(library: Library, model: Artifact) -> list[Share]:
    """Returns what `model` learned from, its own rows first; raises `WrongKindError` for anything but a model."""
    if not isinstance(model, Model):
        raise WrongKindError(f"{model.name} is {model.kind}, not a model; name a checkpoint or a reward model")
    return [share for learner in training_ancestors(library, model) for share in _shares(library, learner)]


def rollout_sources(library: Library, model: Artifact) -> list[Rewarded]:
    """Returns the sources of the rollouts that moved `model` and the models that it learned from, its own first.

    Raises `WrongKindError` for anything but a model, `ArtifactError` if none of them has stored rollouts.
    """
    if not isinstance(model, Model):
        raise WrongKindError(f"{model.name} is {model.kind}, not a model; name a checkpoint")
    line = [
        each for each in training_ancestors(library, model) if isinstance(each, Checkpoint) and each.rollout_tables()
    ]
    if not line:
        raise ArtifactError(f"neither {model.name} nor what it learned from has stored rollouts")
    return [each for learner in line for each in own_rollout_sources(library, learner)]


def own_rollout_sources(library: Library, learner: Checkpoint) -> list[Rewarded]:
    """Returns the sources of the rollouts that are stored with one model."""
    import polars as pl

    sets = [data.scan() for data in training_sets(library, learner) if isinstance(data, ProblemSet)]
    places = pl.concat([each.select("id", "source", "licence") for each in sets]).unique("id")
    keys = (
        pl.col("source").str.replace(PLACE_PATTERN, "").fill_null("?"),
        pl.col("licence").fill_null("?"),
        "domain",
    )
    counted = (
        learner.rollouts()
        .join(places, left_on="problem_id", right_on="id", how="left")
        .group_by(*keys)
        .agg(
            prompts=pl.col("prompt").n_unique(),
            rollouts=pl.len(),
            flat=pl.col("flat").mean(),
            reward=pl.col("reward").mean(),
        )
        .sort("source", "licence", "domain")
        .collect(engine="streaming")
    )
    return [Rewarded(learner=learner.name, **row) for row in counted.iter_rows(named=True)]


def models_trained_on(library: Library, wanted: str) -> list[Learner]:
    """Returns every model that learned from the rows with this sample, problem or pair id, source, or licence.

    A source is named as in the rows, or by its first parts: `NAME`, `NAME/FILE`, `NAME/FILE:LINE`. Raises
    `ArtifactError` if no row matches.
    """
    sets = library.of_kind(ProblemSet, PreferenceSet, Corpus)
    rows = {data.path: _matching(data, wanted) for data in sets if isinstance(data, Rows)}
    own = {model.path: _own(model, wanted) for model in library.of_kind(Checkpoint, RewardModel)}
    if not any((*rows.values(), *own.values())):
        raise ArtifactError(f"no row has the id, source or licence {wanted!r}; r1 trace MODEL --sources lists them")
    learners = []
    for model in library.of_kind(Checkpoint, RewardModel):
        line = training_ancestors(library, model)
        seen = {m.path: own[m.path] + sum(rows[data.path] for data in training_sets(library, m)) for m in line}
        through = sorted({m.name for m in line[1:] if seen[m.path]})
        if seen[model.path] or through:
            learners.append(
                Learner(model=model.name, digest=model.digest, rows=seen[model.path], through=tuple(through))
            )
    return learners


def training_sets(library: Library, model: Artifact) -> list[Rows]:
    """Returns the sets of rows that a model was itself trained on."""
    return [source for source in library.sources(model, is_training_edge) if isinstance(source, Rows)]


def training_ancestors(library: Library, model: Artifact) -> list[Artifact]:
    """Returns `model`, then every model that it learned from, nearest first."""
    ancestors = with_ancestors([model], lambda artifact: library.sources(artifact, is_training_edge))
    return [artifact for artifact in ancestors if isinstance(artifact, Model)]


def training_rows(data: Rows) -> "pl.LazyFrame":
    """Returns the rows of a set that models are trained on; of preference pairs, not the held-out ones."""
    import polars as pl

    return pl.scan_parquet([table for table in data.tables() if table.stem != "heldout"])


def row_counts(rows: "pl.LazyFrame") -> "pl.DataFrame":
    """Returns the number of `rows` of each `source` (without line and fact), `licence` and `domain`.

    The domain of preference pairs is their kind.
    """
    import polars as pl

    domain = pl.col("domain" if "domain" in rows.collect_schema() else "kind").alias("domain")
    keys = rows.select(pl.col("source").str.replace(PLACE_PATTERN, ""), "licence", domain)
    return keys.group_by("source", "licence", "domain").agg(rows=pl.len()).sort("source", "licence", "domain").collect()


def _shares(library: Library, learner: Artifact) -> Iterator[Share]:
    for row in learner.sources:
        yield Share(learner=learner.name, data=f"made by {learner.manifest.stage}", digest=learner.digest, **row)
    for data in training_sets(library, learner):
        for row in row_counts(training_rows(data)).iter_rows(named=True):
            yield Share(learner=learner.name, data=data.name, digest=data.digest, **row)


def _own(model: Artifact, wanted: str) -> int:
    """Returns the number of matching rows that the model's stage made for itself."""
    return sum(
        row["rows"] for row in model.sources if row["licence"] == wanted or f"{row['source']}/".startswith(f"{wanted}/")
    )


def _matching(data: Rows, wanted: str) -> int:
    import polars as pl

    rows = training_rows(data)
    named = [name for name in ("sample_id", "problem_id", "id", "source", "licence") if name in rows.collect_schema()]
    whole = [pl.col(name) == wanted for name in named]
    within = [pl.col("source").str.starts_with(wanted + mark) for mark in "/:#"]
    return int(rows.filter(pl.any_horizontal(*whole, *within)).select(pl.len()).collect().item())
