"""Effects beside their controls: is an effect still there when what could have written it into the data is taken out?

A `Control` names two models whose difference is the effect, and two whose difference is the effect under the control:
the same stages on another web, say, or another corpus of the same size. Both differences are taken problem by problem,
with a 95% interval clustered by fact (`paired`), and the verdict follows from the two intervals alone:

    absent      the effect's own interval does not lie on its side of zero, so there is nothing to control
    stays       under the control the interval lies on the effect's side of zero too
    weakens     it does so, and wholly nearer to zero than the effect's
    vanishes    it does not, and lies wholly nearer to zero than the effect's, or beyond
    undecided   it does not, and overlaps the effect's: too few problems were asked to tell
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from r1_pipeline.artifacts.kinds import EvalReport
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.paired import Marks, marks_of, mean_difference
from r1_pipeline.records import Domain, Record

if TYPE_CHECKING:
    import polars as pl

Measure = Literal["pass@1", "language consistency", "tokens"]
COLUMNS: Mapping[Measure, str] = {"pass@1": "score", "language consistency": "language_share", "tokens": "tokens"}
"""Measure -> the column of judged completions that holds it."""
Verdict = Literal["absent", "stays", "weakens", "vanishes", "undecided"]
SENTENCES: Mapping[Verdict, str] = {
    "absent": "not seen without the control either",
    "stays": "stays under its control",
    "weakens": "stays under its control, and is smaller",
    "vanishes": "vanishes under its control",
    "undecided": "not decided: under its control it is not seen, and the intervals overlap",
}


class Control(Record):
    """An effect, and what is compared to see it without and under its control. Models are named by their nodes."""

    effect: str
    """What the paper's graph shows, in a sentence without its stop."""
    control: str
    """What is otherwise under the control, in a sentence without its stop."""
    measure: Measure
    domains: tuple[Domain, ...]
    """Domains over which the unweighted mean is taken."""
    rises: bool
    """Whether the effect is a difference above zero; else it is one below."""
    pair: tuple[str, str]
    """The effect is how much higher the first one measures than the second."""
    under: tuple[str, str]
    """The same under the control."""


class Controlled(Record):
    """An effect and its control, measured."""

    effect: str
    control: str
    measure: Measure
    rises: bool
    pair: tuple[str, str]
    """Models, partition after a slash."""
    under: tuple[str, str]
    difference: Difference
    controlled: Difference

    @property
    def verdict(self) -> Verdict:
        """What the two intervals say."""
        nearest, _ = _towards(self.difference, self.rises)
        lowest, highest = _towards(self.controlled, self.rises)
        if nearest <= 0:
            return "absent"
        if lowest > 0:
            return "weakens" if highest < nearest else "stays"
        return "vanishes" if highest < nearest else "undecided"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        return SENTENCES[self.verdict]


def measured(
    controls: Iterable[Control], evaluations: Mapping[str, EvalReport], node_of: Mapping[str, str]
) -> tuple[Controlled, ...]:
    """Every control of which all models were evaluated, once for each partition of its first model.

    `evaluations` are those of the held-out problems by model; raises `ArtifactError` where two models share no problem.
    """
    tables = {name: report.completions() for name, report in evaluations.items()}
    return tuple(found for control in controls for found in _measured(control, tables, node_of))


def _measured(
    control: Control, tables: "Mapping[str, pl.DataFrame]", node_of: Mapping[str, str]
) -> Iterator[Controlled]:
    first = control.pair[0]
    for part in [name.removeprefix(first) for name in tables if node_of[name] == first]:
        pair, under = (_in_partition(two, part, tables) for two in (control.pair, control.under))
        if all(name in tables for name in (*pair, *under)):
            yield Controlled(
                **control.model_dump(include={"effect", "control", "measure", "rises"}),
                pair=pair,
                under=under,
                difference=_difference(control, tables, pair),
                controlled=_difference(control, tables, under),
            )


def _in_partition(nodes: tuple[str, str], part: str, models: Container[str]) -> tuple[str, str]:
    """The models of two nodes in one partition; a node without partitions has one model for all of them."""
    one, other = (f"{node}{part}" if f"{node}{part}" in models else node for node in nodes)
    return one, other


def _difference(control: Control, tables: "Mapping[str, pl.DataFrame]", models: tuple[str, str]) -> Difference:
    after, before = (_marks(tables[name], control) for name in models)
    shares = control.measure != "tokens"
    largest = 1.0 if shares else max((mark.score for mark in (*after, *before)), default=0.0)
    found = mean_difference(after, before, counts=control.measure == "pass@1", largest=largest)
    if found is None:
        asked = ", ".join(control.domains)
        raise ArtifactError(f"{' and '.join(models)} share no problem of {asked}; ask both models the same ones")
    return found


def _marks(completions: "pl.DataFrame", control: Control) -> Marks:
    asked = completions.filter(completions["domain"].is_in(control.domains))
    return marks_of(asked, "domain", COLUMNS[control.measure])


def _towards(found: Difference, rises: bool) -> tuple[float, float]:
    """(lower, upper end) of the interval in the direction of the effect."""
    return (found.lo, found.hi) if rises else (-found.hi, -found.lo)
