"""Curation selects the rows of all sources that make a set: the right domains and side, each row once, no overlap.

Built-in problems come first, then the user's sources in the order declared; of equal rows the first is kept. A training
row whose fact, question or content is also held out is dropped, whatever side its source names; so are pairs that
prefer opposite replies.
Not covered: whether references pass their verifiers and agree (`rewards.reference_checks`), near-duplicates
(`screening`).
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.toy_pairs import preference_pairs
from r1_pipeline.data.toy_problems import ProblemsRecipe, generate_problems
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import AddedField, Recipe, Runtime
from r1_pipeline.records import BUILTIN_DOMAINS, Domain, PreferencePair, Problem

T = TypeVar("T", Problem, PreferencePair)
DROPPED_ROWS = "set_aside.parquet"
CONTRADICTORY = "contradictory"
"""The drop reason of rows that contradict each other about one question."""


class _Sourced(Recipe):
    sources: Annotated[tuple[SourceRecipe, ...], AddedField()] = ()
    """The user's sources, in addition to the built-in ones."""


class CurateRecipe(_Sourced):
    """The recipe of a problem set."""

    problems: ProblemsRecipe
    """The recipe of the built-in problems."""
    builtin: Annotated[tuple[Domain, ...], AddedField()] = BUILTIN_DOMAINS
    """Domains whose built-in problems are included."""
    domains: tuple[Domain, ...]
    optional: tuple[Domain, ...]
    """Domains that are left out, with a warning, where this machine cannot verify them; for any other domain curation
    fails there."""
    excluded: Annotated[tuple[str, ...], AddedField()] = ()
    """Ids of problems that are left out, such as those whose references `r1 suspects` names."""
    heldout: bool
    """The side of the split that the set holds: held-out if true, else training."""

    @property
    def verifiers(self) -> tuple[str, ...]:
        """The names of the verifiers that sources declare for their own problems, sorted."""
        mappings = (source.mapping for source in self.sources)
        named = {mapping.verifier for mapping in mappings if isinstance(mapping, ProblemMapping) and mapping.verifier}
        return tuple(sorted(named))


class CuratePreferencesRecipe(_Sourced):
    """The recipe of a preference set."""

    builtin: Annotated[bool, AddedField()] = True
    """The built-in pairs are included if true."""
    heldout_share: float
    """Share kept for measuring the reward models, in (0, 1); it applies to the topics and forms of the built-in pairs
    and to the facts of others."""
    wrong_share: Annotated[float, AddedField()] = 0.0
    """Share of the built-in pairs whose label is wrong, in [0, 1]; a hash chooses them, on both sides of the split."""
    most: Annotated[int | None, AddedField()] = None
    """The maximum number of pairs of each kind on each side, drawn by the hash of their ids; None takes all."""


@dataclass(frozen=True)
class Sides(Generic[T]):
    """The rows of both sides of the split, and the dropped rows."""

    train: list[T] = field(default_factory=list)
    heldout: list[T] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)


def problem_sides(recipe: CurateRecipe, folders: Mapping[str, str]) -> Sides[Problem]:
    """Returns the problems of the recipe's domains, in order.

    `folders` maps the name of each source to the directory of its files. Raises `SourceError` like `read_source`, and
    `RecipeError` if an excluded id is that of no problem.
    """
    wanted = {*recipe.builtin} & {*recipe.domains}
    builtin: list[tuple[Problem, Side]] = [
        (p, "split") for p in generate_problems(recipe.problems) if p.domain in wanted
    ]
    sources = [source for source in recipe.sources if source.feeds in recipe.domains]
    return _without(recipe.excluded, _sides(Problem, builtin, sources, folders, recipe.problems.heldout_share))


def pair_sides(recipe: CuratePreferencesRecipe, folders: Mapping[str, str]) -> Sides[PreferencePair]:
    """Returns the preference pairs of both sides, in order; the arguments and errors are those of `problem_sides`."""
    builtin = preference_pairs(recipe.heldout_share, recipe.wrong_share) if recipe.builtin else []
    return _sides(PreferencePair, builtin, recipe.sources, folders, recipe.heldout_share)


def domains_without_source(recipe: CurateRecipe) -> dict[Domain, str]:
    """Returns each domain that has neither a built-in problem nor a source, with the message for it."""
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


def _without(excluded: Sequence[str], sides: Sides[Problem]) -> Sides[Problem]:
    """Drops the problems with these ids."""
    known = {problem.id for problem in (*sides.train, *sides.heldout)}
    if strange := [each for each in excluded if each not in known]:
        raise RecipeError(f"excluded names {strange[0]!r}, which is the id of no problem; take ids from r1 suspects")
    dropped = [
        Place.of(problem.source).drop("excluded", "named in the recipe")
        for problem in (*sides.train, *sides.heldout)
        if problem.id in excluded
    ]
    return Sides(
        [problem for problem in sides.train if problem.id not in excluded],
        [problem for problem in sides.heldout if problem.id not in excluded],
        [*sides.dropped, *dropped],
    )


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
    """Returns `sides` with those training rows dropped whose fact, question or content is held out."""
    held = {name: row.source for row in sides.heldout for name in _names(row)}
    kept = []
    for row in sides.train:
        if other := next((held[name] for name in _names(row) if name in held), None):
            sides.dropped.append(Place.of(row.source).drop("also_heldout", f"as {place_of(other)}"))
        else:
            kept.append(row)
    return Sides(kept, sides.heldout, sides.dropped)


def _names(row: Problem | PreferencePair) -> tuple[str, str, str]:
    """Returns the three values of a row, content id, fact and question, of which duplicates share at least one."""
    return row.id, Origin.of(row.source).fact, normalized_question(row)


def normalized_question(row: Problem | PreferencePair) -> str:
    """Returns the question or prompt of a row with normalized spacing and Unicode composition."""
    text = row.question if isinstance(row, Problem) else row.prompt
    return " ".join(unicodedata.normalize("NFC", text).split())


PairScreen = Callable[[Sequence[PreferencePair]], tuple[list[PreferencePair], list[DroppedRow]]]
"""A function that splits pairs into those that are kept and dropped rows."""


def curate_pairs(recipe: CuratePreferencesRecipe, runtime: Runtime, draft: Draft, screen: PairScreen) -> BuildResult:
    """Writes the pairs of both sides that `screen` keeps; returns the statistics and the drop counts."""
    sides = _without_opposites(pair_sides(recipe, runtime.folders))
    (train, known), (heldout, also) = screen(sides.train), screen(sides.heldout)
    sides = Sides(train, heldout, [*sides.dropped, *known, *also])
    chosen = {"train": _drawn(sides.train, recipe.most), "heldout": _drawn(sides.heldout, recipe.most)}
    for name, pairs in chosen.items():
        write_records(draft.path / f"{name}.parquet", pairs, PreferencePair)
    taken = [pair for pairs in chosen.values() for pair in pairs]
    facts = {"rows": len(taken), **{name: len(pairs) for name, pairs in chosen.items()}}
    drops = record_dropped(draft, sides.dropped)
    return BuildResult({**facts, "ingested": ingested(recipe, taken, sides.dropped)}, drops)


def _drawn(pairs: list[PreferencePair], most: int | None) -> list[PreferencePair]:
    if most is None:
        return pairs
    kinds = dict.fromkeys(pair.kind for pair in pairs)
    return [pair for kind in kinds for pair in shuffled(each for each in pairs if each.kind == kind)[:most]]


def _without_opposites(sides: Sides[PreferencePair]) -> Sides[PreferencePair]:
    """Returns `sides` without pairs that prefer opposite replies; both are dropped, since neither can be trusted."""
    seen = {
        (row.kind, normalized_question(row), row.chosen, row.rejected): row.source
        for row in (*sides.train, *sides.heldout)
    }
    dropped = list(sides.dropped)

    def sound(rows: Iterable[PreferencePair]) -> Iterable[PreferencePair]:
        for row in rows:
            if other := seen.get((row.kind, normalized_question(row), row.rejected, row.chosen)):
                dropped.append(Place.of(row.source).drop(CONTRADICTORY, f"{place_of(other)} prefers the other reply"))
            else:
                yield row

    return Sides(list(sound(sides.train)), list(sound(sides.heldout)), dropped)


def ingested(
    recipe: _Sourced, taken: Iterable[Problem | PreferencePair], dropped: Sequence[DroppedRow]
) -> dict[str, Any]:
    """Returns for each of the user's sources its licence, origin and digest, and the numbers of rows taken and
    dropped."""
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
    """Writes the dropped rows to `logs/`, which is not part of the content, and adds a note; returns the count of each
    reason."""
    if dropped and draft.leads:
        (draft.path / LOGS).mkdir(exist_ok=True)
        write_records(draft.path / LOGS / DROPPED_ROWS, dropped, DroppedRow)
        draft.note(
            f"{len(dropped)} rows dropped, see {LOGS}/{DROPPED_ROWS}; first: {dropped[0].where}: {dropped[0].detail}"
        )
    return Counter(row.reason for row in dropped)
