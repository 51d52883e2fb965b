"""Gates against regression: a model must not be significantly worse than its predecessor in a domain or in preference.

A model is significantly worse if the whole paired interval of the difference is below the limit (`paired`). The
intervals of all domains hold jointly with 95%, so that noise alone fails one of them in one run of forty.
"""

from r1_pipeline.artifacts.kinds import EvalReport, PreferenceScores
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.evaluation.paired import differences, marks_of, mean_difference


def no_regression(report: EvalReport, before: EvalReport, limits: GateLimits) -> list[Gate]:
    """Checks, in each domain, that the model is not worse on held-out problems than its predecessor."""
    after, known = (marks_of(each.completions(), "domain") for each in (report, before))
    found = differences(after, known, together=True)
    if not found:
        raise ArtifactError(f"{report.name} and {before.name} share no problem; evaluate both on the same problems")
    return [_gate(f"no_regression_{domain}", each, before.name, limits) for domain, each in found.items()]


def no_less_preferred(scores: PreferenceScores, after: str, before: str, limits: GateLimits) -> Gate:
    """Checks that the reward models score a model's replies to general prompts no lower than its predecessor's."""
    table = scores.answers()
    both = (marks_of(table.filter(table["model"] == model), "kind") for model in (after, before))
    found = mean_difference(*both, counts=False)
    if found is None:
        raise ArtifactError(
            f"{scores.name} has no general prompt that both {after} and {before} answered; evaluate both on the same "
            "prompts"
        )
    return _gate("no_less_preferred", found, before, limits)


def _gate(name: str, found: Difference, before: str, limits: GateLimits) -> Gate:
    detail = f"upper end; {found.value:+.3f} ({found.lo:+.3f} to {found.hi:+.3f}) against {before}, {found.facts} facts"
    return Gate(name=name, value=found.hi, sense="at least", limit=0.0 - limits.regression, detail=detail)
