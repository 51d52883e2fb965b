"""Gates that hold a model against what it came from: it may not surely be worse, in any domain or to the reward models.

A model is surely worse where the whole paired interval of the difference lies below the limit (`paired`). The intervals
of all domains hold at once with 95%, so noise alone fails one of them in a run of forty.
"""

from r1_pipeline.artifacts.kinds import EvalReport, PreferenceScores
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.evaluation.paired import differences, marks_of, mean_difference


def no_regression(report: EvalReport, before: EvalReport, limits: GateLimits) -> list[Gate]:
    """One gate a domain: the model solves no fewer held-out problems than the one that it came from."""
    after, known = (marks_of(each.completions(), "domain") for each in (report, before))
    found = differences(after, known, together=True)
    if not found:
        raise ArtifactError(f"{report.name} and {before.name} share no problem; ask both models the same ones")
    return [_gate(f"no_regression_{domain}", each, before.name, limits) for domain, each in found.items()]


def no_less_preferred(scores: PreferenceScores, after: str, before: str, limits: GateLimits) -> Gate:
    """The reward models like a model's answers to general prompts no less than those of the one that it came from."""
    table = scores.answers()
    both = (marks_of(table.filter(table["model"] == model), "kind") for model in (after, before))
    found = mean_difference(*both, counts=False)
    if found is None:
        raise ArtifactError(f"{scores.name} holds no general prompt that both {after} and {before} answered")
    return _gate("no_less_preferred", found, before, limits)


def _gate(name: str, found: Difference, before: str, limits: GateLimits) -> Gate:
    detail = f"upper end; {found.value:+.3f} ({found.lo:+.3f} to {found.hi:+.3f}) against {before}, {found.facts} facts"
    return Gate(name=name, value=found.hi, sense="at least", limit=0.0 - limits.regression, detail=detail)
