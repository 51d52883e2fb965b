"""This module tests effects against controls: it measures an effect again without the data that could have caused it.

A `Control` names two models whose difference is the effect, and two whose difference is the effect under the control:
for example the same stages on another web, or another corpus of the same size. Both differences are taken problem by
problem, with a 95% interval clustered by fact (`paired`). The verdict follows from the two intervals alone:

    absent      the effect's own interval is not entirely on its side of zero, so there is nothing to control
    stays       under the control, the interval is on the effect's side of zero too
    weakens     it is on that side, and entirely nearer to zero than the effect's interval
    vanishes    it is not on that side, and entirely nearer to zero than the effect's interval, or beyond zero
    undecided   it is not on that side, and overlaps the effect's interval: there are too few problems to decide
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
"""The column of judged completions for each measure."""
Verdict = Literal["absent", "stays", "weakens", "vanishes", "undecided"]
SENTENCES: Mapping[Verdict, str] = {
    "absent": "not seen without the control either",
    "stays": "stays under its control",
    "weakens": "stays under its control, but is smaller",
    "vanishes": "vanishes under its control",
    "undecided": "undecided: not seen under its control, but the intervals overlap",
}
"""The text of each verdict on the page."""


class Control(Record):
    """An effect, and the models that show it without and under its control; models are named by their nodes."""

    effect: str
    """The effect in the paper's graph, as a sentence without its full stop."""
    control: str
    """The change under the control, as a sentence without its full stop."""
    measure: Measure
    domains: tuple[Domain, ...]
    """The domains over which the unweighted mean is taken."""
    rises: bool
    """True if the effect is a difference above zero, False if it is one below."""
    pair: tuple[str, str]
    """Two models; the effect is the measure of the first minus that of the second."""
    under: tuple[str, str]
    """The two models that correspond to `pair` under the control."""


class Controlled(Record):
    """A measured effect and its control."""

    effect: str
    control: str
    measure: Measure
    rises: bool
    pair: tuple[str, str]
    """The two models of the effect, with the partition after a slash."""
    under: tuple[str, str]
    """The two models under the control."""
    difference: Difference
    """The effect without its control."""
    controlled: Difference
    """The effect under its control."""

    @property
    def verdict(self) -> Verdict:
        """The verdict that follows from the two intervals; see the module's docstring."""
        nearest, _ = _towards(self.difference, self.rises)
        lowest, highest = _towards(self.controlled, self.rises)
        if nearest <= 0:
            return "absent"
        if lowest > 0:
            return "weakens" if highest < nearest else "stays"
        return "vanishes" if highest < nearest else "undecided"

    @property
    def sentence(self) -> str:
        """The text of the verdict on the page."""
        return SENTENCES[self.verdict]


def measured(
    controls: Iterable[Control], evaluations: Mapping[str, EvalReport], node_of: Mapping[str, str]
) -> tuple[Controlled, ...]:
    """Measures every control whose models were all evaluated, once for each partition of its first model.

    `evaluations` are those of the held-out problems by model. Raises `ArtifactError` if two models share no problem.
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
    """Returns the models of two nodes in one partition; a node without partitions has one model for all of them."""
    one, other = (f"{node}{part}" if f"{node}{part}" in models else node for node in nodes)
    return one, other


def _difference(control: Control, tables: "Mapping[str, pl.DataFrame]", models: tuple[str, str]) -> Difference:
    after, before = (_marks(tables[name], control) for name in models)
    shares = control.measure != "tokens"
    largest = 1.0 if shares else max((mark.score for mark in (*after, *before)), default=0.0)
    found = mean_difference(after, before, counts=control.measure == "pass@1", largest=largest)
    if found is None:
        domains = ", ".join(control.domains)
        raise ArtifactError(f"{' and '.join(models)} share no problem of {domains}; evaluate both on the same problems")
    return found


def _marks(completions: "pl.DataFrame", control: Control) -> Marks:
    rows = completions.filter(completions["domain"].is_in(control.domains))
    return marks_of(rows, "domain", COLUMNS[control.measure])


def _towards(found: Difference, rises: bool) -> tuple[float, float]:
    """Returns the lower and upper end of the interval in the direction of the effect."""
    return (found.lo, found.hi) if rises else (-found.hi, -found.lo)
