"""Which rows of all sources make a set: the right domains, the right side, each once, and nothing on both sides.

Built-in problems come first, then the user's sources in the order declared; of rows that are alike the first counts.
A training row whose fact, question or content is also held out is set aside, whatever its source says; so are pairs
that prefer opposite replies.
Not covered: whether references pass their verifiers and agree (`rewards.reference_checks`), near-duplicates
(`screening`).
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.manifest import LOGS
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.ingest.declared import Side, SourceRecipe
from r1_pipeline.data.ingest.mapping import ProblemMapping
from r1_pipeline.data.ingest.rows import DroppedRow, Place, place_of, read_source
from r1_pipeline.data.origin import Origin
from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.toy_pairs import preference_pairs
from r1_pipeline.data.toy_problems import ProblemsRecipe, generate_problems
from r1_pipeline.recipe import AddedField, Recipe, Runtime
from r1_pipeline.records import BUILTIN_DOMAINS, Domain, PreferencePair, Problem

T = TypeVar("T", Problem, PreferencePair)
DROPPED_ROWS = "set_aside.parquet"
CONTRADICTORY = "contradictory"
"""Reason for which rows are set aside that say opposite things about one question."""


class _Sourced(Recipe):
    sources: Annotated[tuple[SourceRecipe, ...], AddedField()] = ()
    """The user's, beside the built-in ones."""


class CurateRecipe(_Sourced):
    """Which problems make a set."""

    problems: ProblemsRecipe
    """The built-in ones."""
    builtin: Annotated[tuple[Domain, ...], AddedField()] = BUILTIN_DOMAINS
    """Domains whose built-in problems take part."""
    domains: tuple[Domain, ...]
    optional: tuple[Domain, ...]
    """Domains that are left out, and said to be, where this machine cannot verify them; any other fails there."""
    heldout: bool
    """Which side of the split: train or held-out."""

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Verifiers that sources name for their own problems."""
        mappings = (source.mapping for source in self.sources)
        named = {mapping.verifier for mapping in mappings if isinstance(mapping, ProblemMapping) and mapping.verifier}
        return tuple(sorted(named))


class CuratePreferencesRecipe(_Sourced):
    """Which preference pairs make a set."""

    builtin: Annotated[bool, AddedField()] = True
    """Whether the built-in pairs take part."""
    heldout_share: float
    """Share kept for measuring the reward models, in (0, 1): of the topics and of the forms of the built-in pairs, of
    the facts of others."""
    wrong_share: Annotated[float, AddedField()] = 0.0
    """Share of the built-in pairs whose label is wrong, drawn by hash, on both sides of the split."""


@dataclass(frozen=True)
class Sides(Generic[T]):
    """Rows on both sides of the split, and rows on none."""

    train: list[T] = field(default_factory=list)
    heldout: list[T] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)


def problem_sides(recipe: CurateRecipe, folders: Mapping[str, str]) -> Sides[Problem]:
    """Problems of the recipe's domains, in order; `folders` says where the files of each source lie."""
    wanted = {*recipe.builtin} & {*recipe.domains}
    builtin: list[tuple[Problem, Side]] = [
        (p, "split") for p in generate_problems(recipe.problems) if p.domain in wanted
    ]
    sources = [source for source in recipe.sources if source.feeds in recipe.domains]
    return _sides(Problem, builtin, sources, folders, recipe.problems.heldout_share)


def pair_sides(recipe: CuratePreferencesRecipe, folders: Mapping[str, str]) -> Sides[PreferencePair]:
    """Preference pairs, in order."""
    builtin = preference_pairs(recipe.heldout_share, recipe.wrong_share) if recipe.builtin else []
    return _sides(PreferencePair, builtin, recipe.sources, folders, recipe.heldout_share)


def domains_without_source(recipe: CurateRecipe) -> dict[Domain, str]:
    """Domains for which there is neither a built-in problem nor a source -> what to say about it."""
    fed = {*recipe.builtin, *(source.feeds for source in recipe.sources)}
    return {domain: "no source has problems of this domain" for domain in recipe.domains if domain not in fed}


def _sides(
    kind: type[T],
    builtin: Iterable[tuple[T, Side]],
    sources: Iterable[SourceRecipe],
    folders: Mapping[str, str],
    share: float,
) -> Sides[T]:
    sides: Sides[T] = Sides()
    first: dict[tuple[bool, str], str] = {}
    for row, side in _rows(kind, builtin, sources, folders, sides.dropped):
        held = is_heldout(row.source, share) if side == "split" else side == "heldout"
        known = first.setdefault((held, row.id), row.source)
        if known is not row.source:
            sides.dropped.append(Place.of(row.source).drop("repeated", f"the same as {place_of(known)}"))
        else:
            (sides.heldout if held else sides.train).append(row)
    return _without_overlap(sides)


def _rows(
    kind: type[T],
    builtin: Iterable[tuple[T, Side]],
    sources: Iterable[SourceRecipe],
    folders: Mapping[str, str],
    dropped: list[DroppedRow],
) -> Iterable[tuple[T, Side]]:
    yield from builtin
    for source in sources:
        for row_or_not in read_source(source, Path(folders[source.name])):
            if isinstance(row_or_not, kind):
                yield row_or_not, source.side
            elif isinstance(row_or_not, DroppedRow):
                dropped.append(row_or_not)


def _without_overlap(sides: Sides[T]) -> Sides[T]:
    """Training rows whose fact, question or content is held out, set aside."""
    held = {name: row.source for row in sides.heldout for name in _names(row)}
    kept = []
    for row in sides.train:
        if other := next((held[name] for name in _names(row) if name in held), None):
            sides.dropped.append(Place.of(row.source).drop("also_heldout", f"as {place_of(other)}"))
        else:
            kept.append(row)
    return Sides(kept, sides.heldout, sides.dropped)


def _names(row: Problem | PreferencePair) -> tuple[str, str, str]:
    """What two rows that are about the same have in common: content, fact or question."""
    return row.id, Origin.of(row.source).fact, asked(row)


def asked(row: Problem | PreferencePair) -> str:
    """The question or prompt of a row, the same for every way of spacing and composing its characters."""
    text = row.question if isinstance(row, Problem) else row.prompt
    return " ".join(unicodedata.normalize("NFC", text).split())


def curate_pairs(recipe: CuratePreferencesRecipe, runtime: Runtime, draft: Draft) -> BuildResult:
    """Writes the pairs of both sides."""
    sides = _without_opposites(pair_sides(recipe, runtime.folders))
    for name, pairs in (("train", sides.train), ("heldout", sides.heldout)):
        write_records(draft.path / f"{name}.parquet", pairs, PreferencePair)
    taken = [*sides.train, *sides.heldout]
    facts = {"rows": len(taken), "train": len(sides.train), "heldout": len(sides.heldout)}
    drops = record_dropped(draft, sides.dropped)
    return BuildResult({**facts, "ingested": ingested(recipe, taken, sides.dropped)}, drops)


def _without_opposites(sides: Sides[PreferencePair]) -> Sides[PreferencePair]:
    """Pairs of which another prefers what they reject, set aside with it: nobody can say which is right."""
    said = {(row.kind, asked(row), row.chosen, row.rejected): row.source for row in (*sides.train, *sides.heldout)}
    dropped = list(sides.dropped)

    def sound(rows: Iterable[PreferencePair]) -> Iterable[PreferencePair]:
        for row in rows:
            if other := said.get((row.kind, asked(row), row.rejected, row.chosen)):
                dropped.append(Place.of(row.source).drop(CONTRADICTORY, f"{place_of(other)} prefers the other reply"))
            else:
                yield row

    return Sides(list(sound(sides.train)), list(sound(sides.heldout)), dropped)


def ingested(
    recipe: _Sourced, taken: Iterable[Problem | PreferencePair], dropped: Sequence[DroppedRow]
) -> dict[str, Any]:
    """Facts about the user's sources: how many of their rows were taken, and how many set aside."""
    rows, others = (Counter(Place.of(row.source).source for row in taken), Counter(row.source for row in dropped))
    return {
        source.name: {
            "licence": source.licence,
            "origin": source.origin,
            "digest": source.digest,
            "rows": rows[source.name],
            "set_aside": others[source.name],
        }
        for source in recipe.sources
    }


def record_dropped(draft: Draft, dropped: Sequence[DroppedRow]) -> Counter[str]:
    """Writes rows to `logs/`, which is no part of the content, and says so; returns how many had which reason."""
    if dropped and draft.leads:
        (draft.path / LOGS).mkdir(exist_ok=True)
        write_records(draft.path / LOGS / DROPPED_ROWS, dropped, DroppedRow)
        draft.note(
            f"{len(dropped)} rows set aside, see {LOGS}/{DROPPED_ROWS}; first: {dropped[0].where}: {dropped[0].detail}"
        )
    return Counter(row.reason for row in dropped)
