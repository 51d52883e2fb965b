"""A user's rows are compared with what a profile can read and needs, before any work.

    fit_of(profile)       what each source brings, what does not fit, and what would stop the run: all at once
    require_fit(…)        raises if anything would stop it

Rows that do not fit are left out by the stages, which store each with its reason. Not covered: references, which
curation grades with their verifiers; built-in rows, which fit.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe, Sides, pair_sides, problem_sides
from r1_pipeline.data.ingest.declared import SourceRecipe
from r1_pipeline.data.ingest.mapping import PairMapping
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.data.licences import allowed
from r1_pipeline.data.origin import Origin
from r1_pipeline.errors import SourceError
from r1_pipeline.generation.tokens import Room, prompt_in
from r1_pipeline.graph.node import AssetName, Node
from r1_pipeline.graph.prompted import Prompted, base_of, base_recipe, prompted
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.profiles.sources import fed_nodes, learns_toy_world
from r1_pipeline.records import DOMAINS, PreferencePair, Problem, Record
from r1_pipeline.training.base_tokenizer import base_context, base_tokenizer
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe, split_pairs
from r1_pipeline.training.sft import SftRecipe, encode_rows, too_long
from r1_pipeline.verbs import BaseRecipe, ReinforceRecipe, collect_general, compare_preferences, rejection_sample

Row = Problem | PreferencePair
LONGER = "take a profile with a longer context, such as laptop, or shorter rows"


class Fit(Record):
    """The rows that a user's sources bring to a profile, and their faults."""

    sources: dict[str, str]
    """Source -> its rows on both sides, and how many do not fit, in a line."""
    notes: tuple[str, ...]
    """Changes to the run that these sources cause."""
    stops: tuple[str, ...]
    """Everything that would stop the run, each with its remedy."""


def fit_of(profile: Profile, chosen: Collection[str] | None = None) -> Fit:
    """Reads the user's sources and compares them with `profile`, or with its nodes `chosen`; nothing is written.

    Raises `SourceError` for a file that cannot be read, and `RequirementError` for a base that this machine lacks.
    """
    rows = _Rows(profile, frozenset(profile.graph.nodes if chosen is None else chosen))
    if not rows.sources:
        return Fit(sources={}, notes=(), stops=())
    stops = [*rows.unsolved(), *rows.unread(), *rows.unanswered(), *rows.unlicensed()]
    lines = {name: rows.line(source) for name, source in rows.sources.items()}
    return Fit(sources=lines, notes=tuple(rows.notes()), stops=tuple(dict.fromkeys(stops)))


def require_fit(profile: str, fit: Fit) -> None:
    """Raises `SourceError` with everything that would stop a run of the profile of this name."""
    if fit.stops:
        found = "; ".join(f"({number}) {stop}" for number, stop in enumerate(fit.stops, 1))
        raise SourceError(f"profile {profile} cannot run with these sources: {found}")


@dataclass(frozen=True)
class _Use:
    """The rows of one side that a stage reads, and those that its model cannot hold."""

    stage: AssetName
    what: str
    heldout: bool
    kept: Sequence[Row]
    dropped: Sequence[DroppedRow]
    limit: str
    """The limit that a row must fit into."""
    needed: bool = True
    """True if the stage cannot do without any row."""


@dataclass(frozen=True)
class _Rows:
    """The rows of a profile, and those that its chosen stages can read."""

    profile: Profile
    chosen: frozenset[str]

    def line(self, source: SourceRecipe) -> str:
        """Describes the rows of a source on both sides."""
        counts, unfit, limits = [], [], []
        for heldout in (False, True):
            lost = ((_by_source(use.dropped)[source.name], use.limit) for use in self.uses if use.heldout == heldout)
            worst = max(lost, default=(0, ""))
            unfit.append(worst[0])
            limits.append(worst[1])
            counts.append(max((_by_source(rows)[source.name] for rows in self._sides(heldout)), default=0))
        text = f"{source.feeds}, {counts[0]} rows to train on and {counts[1]} held out"
        if not any(unfit):
            return text
        return f"{text}; too long and left out are {unfit[0]} and {unfit[1]}: {limits[unfit[0] == 0]}"

    def notes(self) -> Iterator[str]:
        """Yields what changes for a profile whose bases know the toy world alone."""
        if learns_toy_world(self.profile) and any(DOMAINS[s.feeds].reasoning for s in self._problem_sources):
            yield "its gates on what was learned only warn: its bases know the built-in problems alone"

    def unsolved(self) -> Iterator[str]:
        """Yields a stop where a base that is trained on the toy world alone is to learn from no problem of it."""
        for use in self.uses:
            base = base_of(self.profile.bound, use.stage)
            toy = isinstance(self.profile.bound.recipe(base), PretrainRecipe)
            learns = isinstance(self.profile.bound.recipe(use.stage), ReinforceRecipe) and use.what == "reasoning"
            if learns and toy and use.kept and not any(self._built_in(row) for row in use.kept):
                yield (
                    "its bases are trained on the toy world alone and will solve none of your problems, so nothing can "
                    "be learned from them; add built-in reasoning problems (builtin), or take a real base: laptop"
                )

    def unread(self) -> Iterator[str]:
        """Yields a stop for all rows of a kind that stages need and cannot read."""
        lacking: dict[tuple[str, bool], list[_Use]] = {}
        for use in self.uses:
            if use.needed and not use.kept:
                lacking.setdefault((use.what, use.heldout), []).append(use)
        for (what, heldout), (use, *more) in lacking.items():
            lost = ", ".join(f"{name} {count}" for name, count in sorted(_by_source(use.dropped).items()))
            side = "held out" if heldout else "to train on"
            stages = f"{use.stage} and {len(more)} other stages need" if more else f"{use.stage} needs"
            why = f"too long are {lost}: {use.limit}; {LONGER}" if lost else self._why_none(what)
            yield f"no {what} rows are left {side}, which {stages}; {why}"

    def _why_none(self, what: str) -> str:
        """Returns the reason why one side has no row of a kind, with file and line where a row was dropped."""
        feeds = what if what == "general" else "preference" if what.endswith("preference") else ""
        names = {name for name, source in self.sources.items() if feeds in ("", source.feeds)}
        dropped = [row for sides in self._problems.values() for row in sides.dropped]
        dropped += [row for sides in self._pairs.values() for row in sides.dropped]
        first = next((row for row in dropped if row.source in names), None)
        why = f"{first.where} was dropped: {first.detail}; correct it, " if first else ""
        return f'{why}set side = "split" for a source of them, or add them to builtin'

    def unanswered(self) -> Iterator[str]:
        """Yields a stop where no prompt to train on has a written reply."""
        for node in self._nodes_of(collect_general):
            prompts = self._sets[node.inputs["prompts"].node]  # type: ignore[union-attr]
            if not any(row.reply or self._built_in(row) for row in prompts):
                yield (
                    f'no demonstration is on the training side, which {node.name} needs; set side = "split" or "train" '
                    'for a source of them, or add "general" to builtin'
                )

    def unlicensed(self) -> Iterator[str]:
        """Yields a stop for each source whose licence the corpus must not contain."""
        permitted = self.profile.gates.licences
        corpora = [node.name for node in self.profile.graph if any(c.name == "licences_allowed" for c in node.checks)]
        for source in self._problem_sources:
            if source.side == "heldout" or not self.chosen & set(corpora):
                continue
            if not allowed(source.licence, permitted):
                yield (
                    f"{source.name} has the licence {source.licence}, which the gate licences_allowed of {corpora[0]} "
                    'rejects; hold it out (side = "heldout"), leave it out, or permit it in a recipe file '
                    f"(GateLimits.licences; permitted are {', '.join(permitted)})"
                )

    @cached_property
    def sources(self) -> dict[str, SourceRecipe]:
        """The user's sources by name."""
        recipes = (self.profile.recipes[name] for name in fed_nodes(self.profile))
        given = (recipe for recipe in recipes if isinstance(recipe, CurateRecipe | CuratePreferencesRecipe))
        return {source.name: source for recipe in given for source in recipe.sources}

    @property
    def _problem_sources(self) -> list[SourceRecipe]:
        return [source for source in self.sources.values() if not isinstance(source.mapping, PairMapping)]

    @cached_property
    def uses(self) -> list[_Use]:
        """Every use of rows by a chosen stage."""
        found = [*self._prompts(), *self._demonstrations(), *self._preferences()]
        return [use for use in found if use.stage.asset in self.chosen]

    @cached_property
    def _problems(self) -> dict[str, Sides[Problem]]:
        """Node -> its problems on both sides."""
        return {
            name: problem_sides(recipe, self.profile.runtime.folders)
            for name in fed_nodes(self.profile)
            if isinstance(recipe := self.profile.recipes[name], CurateRecipe)
        }

    @cached_property
    def _pairs(self) -> dict[str, Sides[PreferencePair]]:
        """Node -> its pairs on both sides."""
        return {
            name: pair_sides(recipe, self.profile.runtime.folders)
            for name in fed_nodes(self.profile)
            if isinstance(recipe := self.profile.recipes[name], CuratePreferencesRecipe)
        }

    @cached_property
    def _sets(self) -> dict[str, list[Problem]]:
        """Node -> the problems on its side."""
        return {name: each.heldout if self._is_heldout(name) else each.train for name, each in self._problems.items()}

    def _sides(self, heldout: bool) -> Iterator[Sequence[Row]]:
        for name, problems in self._sets.items():
            if self._is_heldout(name) == heldout:
                yield problems
        for sides in self._pairs.values():
            yield sides.heldout if heldout else sides.train

    def _is_heldout(self, name: str) -> bool:
        recipe = self.profile.recipes[name]
        return isinstance(recipe, CurateRecipe) and recipe.heldout

    def _prompts(self) -> Iterator[_Use]:
        known: dict[tuple[str, str, str, int], tuple[list[Problem], list[DroppedRow]]] = {}
        for each in prompted(self.profile.bound):
            name, recipe = each.problems.asset, base_recipe(self.profile.bound, each.base)
            if name not in self._sets or recipe is None:
                continue
            key = (name, str(each.base), each.template, each.reply_tokens)
            if key not in known:
                known[key] = self._room(each, recipe).split(
                    [row for row in self._sets[name] if not self._built_in(row)]
                )
            kept = [*known[key][0], *(row for row in self._sets[name] if self._built_in(row))]
            yield from self._prompt_uses(each, kept, known[key][1])

    def _prompt_uses(self, each: Prompted, kept: Sequence[Problem], dropped: Sequence[DroppedRow]) -> Iterator[_Use]:
        heldout = self._is_heldout(each.problems.asset)
        limit = f"prompt and a reply of up to {each.reply_tokens} tokens, of {self._context(each.base)} in all"
        asked = [row for row in kept if row.domain in each.domains]
        verbs = [node.verb for node in self.profile.graph if node.verb and each.reader.asset in node.parents]
        optional = bool(verbs) and all(verb is rejection_sample for verb in verbs)
        if list(each.domains) == ["general"]:
            yield _Use(each.reader, "general", heldout, asked, dropped, limit)
            return
        reinforces = isinstance(self.profile.bound.recipe(each.reader), ReinforceRecipe)
        reasoning = [row for row in asked if DOMAINS[row.domain].reasoning]
        yield _Use(each.reader, "reasoning", heldout, reasoning, dropped, limit, reinforces or not optional)
        if "general" in each.domains and self._nodes_of(compare_preferences):
            general = [row for row in asked if row.domain == "general"]
            yield _Use(each.reader, "general", heldout, general, dropped, limit)

    def _demonstrations(self) -> Iterator[_Use]:
        for source in self._nodes_of(collect_general):
            name = source.inputs["prompts"].node  # type: ignore[union-attr]
            rows = [row for row in self._sets[name] if row.reply]
            for stage in self.profile.bound.names.values():
                recipe = self.profile.bound.recipe(stage)
                base = base_of(self.profile.bound, stage)
                of = base_recipe(self.profile.bound, base)
                if isinstance(recipe, SftRecipe) and of and stage.asset in self.profile.graph.descendants(source.name):
                    limit = min(recipe.max_tokens, self._context(base))
                    tokenizer = base_tokenizer(of, self.profile.runtime)
                    texts = [(prompt_in(recipe.template, row.question, tokenizer), row.reply or "") for row in rows]
                    said = zip(rows, encode_rows(tokenizer, texts), strict=True)
                    dropped = [fault for row, pair in said if (fault := too_long(row.source, limit, pair))]
                    text = f"prompt and written reply of up to {limit} tokens in all"
                    yield _Use(stage, "demonstration", False, rows, dropped, text, needed=False)

    def _preferences(self) -> Iterator[_Use]:
        for stage in self.profile.bound.names.values():
            recipe, node = self.profile.bound.recipe(stage), self.profile.graph.node(stage.asset)
            base = base_of(self.profile.bound, stage)
            of = base_recipe(self.profile.bound, base)
            if not isinstance(recipe, RewardModelRecipe) or of is None:
                continue
            sides = self._pairs[node.inputs["preferences"].node]  # type: ignore[union-attr]
            for heldout, rows in enumerate((sides.train, sides.heldout)):
                context = self._context(base)
                limit = context if heldout else min(recipe.max_tokens, context)
                kind = [row for row in rows if row.kind == node.given["kind"]]
                own = [row for row in kind if not self._built_in(row)]
                kept, dropped = split_pairs(base_tokenizer(of, self.profile.runtime), limit, own)
                kept += [row for row in kind if self._built_in(row)]
                text = f"prompt and the longer reply of up to {limit} tokens in all"
                yield _Use(stage, f"{node.given['kind']} preference", bool(heldout), kept, dropped, text)

    def _room(self, each: Prompted, recipe: BaseRecipe) -> Room:
        tokenizer = base_tokenizer(recipe, self.profile.runtime)
        return Room(tokenizer, base_context(recipe, self.profile.runtime), each.template, each.reply_tokens)

    def _context(self, base: AssetName) -> int:
        recipe = base_recipe(self.profile.bound, base)
        assert recipe is not None
        return base_context(recipe, self.profile.runtime)

    def _built_in(self, row: Row) -> bool:
        return Origin.of(row.source).source not in self.sources

    def _nodes_of(self, verb: object) -> list[Node]:
        return [node for node in self.profile.graph if node.verb is verb and node.name in self.chosen]


def _by_source(rows: Sequence[Row | DroppedRow]) -> Counter[str]:
    """Counts rows by the name of their source."""
    return Counter(row.source if isinstance(row, DroppedRow) else Origin.of(row.source).source for row in rows)
