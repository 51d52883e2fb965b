"""This module says in words what every step of the recipe learned, what it lost, and where no change is clear.

A domain rose or fell if the 95% interval of the paired difference excludes zero (`comparisons`). The intervals cover
the variation within one run, not between seeds.
"""

from urllib.parse import urlencode

from r1_pipeline.evaluation.comparisons import Comparison, comparisons
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.paired import OVERALL
from r1_pipeline.records import DOMAINS, Record


class Fall(Record):
    """A domain, or the mean over domains, in which a step made the model worse."""

    sentence: str
    """The fall in words: `Logic fell by 5.2 points, from 40.1 to 34.9 %.`"""
    query: str
    """The selection of the page of completions that shows the problems that were lost."""


class Finding(Record):
    """The change that one step of the recipe made."""

    after: str
    before: str
    sentence: str
    """The domains that rose, and those without a clear change."""
    fell: tuple[Fall, ...]


def findings(inputs: ReportInputs) -> list[Finding]:
    """Returns the finding of every comparison of two models, in the order of the graph."""
    return [_finding(inputs, each) for each in comparisons(inputs)]


def _finding(inputs: ReportInputs, step: Comparison) -> Finding:
    found = {name: step.by_domain[name] for name in (*DOMAINS, OVERALL) if name in step.by_domain}
    rose = [f"{_name(name)} ({_values(inputs, step, name)} %)" for name, each in found.items() if each.lo > 0]
    unclear = [_name(name) for name, each in found.items() if each.lo <= 0 <= each.hi]
    parts = [f"{_listed(rose)} rose" if rose else "nothing rose"]
    if unclear:
        parts.append(f"no clear change in {_listed(unclear)}")
    return Finding(
        after=step.after,
        before=step.before,
        sentence="; ".join(parts) + ".",
        fell=tuple(_fall(inputs, step, name, each) for name, each in found.items() if each.hi < 0),
    )


def _fall(inputs: ReportInputs, step: Comparison, name: str, found: Difference) -> Fall:
    title, domain = _name(name), {} if name == OVERALL else {"domain": name}
    points = f"{-100 * found.value:.1f} points, from {_values(inputs, step, name)} %"
    return Fall(
        sentence=f"{title[0].upper()}{title[1:]} fell by {points}.",
        query=urlencode({"model": step.after, "other": step.before, "difference": "worse", **domain}),
    )


def _values(inputs: ReportInputs, step: Comparison, name: str) -> str:
    """Returns pass@1 before and after the step, in percent."""
    models = (inputs.models[step.before], inputs.models[step.after])
    scores = (model.overall if name == OVERALL else model.by_domain[name] for model in models)
    return " to ".join(f"{100 * each.pass_at_1:.1f}" for each in scores)


def _name(name: str) -> str:
    return "the mean over domains" if name == OVERALL else DOMAINS[name].title


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
