"""This module lists the model comparisons of a report: each model with its predecessor, and the paper's own pairs."""

from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.paired import OVERALL, differences, mean_difference
from r1_pipeline.records import Record


class Comparison(Record):
    """The difference in pass@1 between two models on the held-out problems."""

    after: str
    before: str
    by_domain: dict[str, Difference]
    """The difference in pass@1 by domain, and under `overall` that of the mean over domains."""

    @property
    def name(self) -> str:
        """The name of the comparison, such as `r1_zero − base`."""
        return f"{self.after} − {self.before}"


def comparisons(inputs: ReportInputs) -> list[Comparison]:
    """Returns every comparison whose two models were evaluated, in the order of the graph."""
    cast = inputs.cast
    line = [
        (cast.zero, cast.base),
        (cast.cold, cast.zero),
        (cast.language, cast.cold),
        (cast.language, cast.unrewarded),
        (cast.broad, cast.base),
        (cast.final, cast.broad),
        (cast.final, cast.zero),
    ]
    distilled = students(inputs)
    reinforced = [(cast.reinforced_student, base) for _, base in distilled[:1]]
    both = [(student, cast.reinforced_student) for student, _ in distilled[:1]]
    pairs = [*line, *distilled, *reinforced, *both]
    found = (_compared(inputs, after, before) for after, before in pairs)
    return [each for each in found if each]


def students(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Returns every distilled student with its base; the student whose base is also reinforced comes first."""
    cast = inputs.cast
    names = [name for name, node in inputs.node_of.items() if node == cast.distilled and name in inputs.models]
    return [(name, name.replace(cast.distilled, cast.student_base, 1)) for name in names]


def _compared(inputs: ReportInputs, after: str, before: str) -> Comparison | None:
    if not (after in inputs.marks and before in inputs.marks):
        return None
    marks = inputs.marks[after], inputs.marks[before]
    overall = mean_difference(*marks)
    if overall is None:
        return None
    return Comparison(after=after, before=before, by_domain={**differences(*marks), OVERALL: overall})
