"""The seam by which a benchmark is added: a name, its problems, and how they are asked and judged.

    BENCHMARKS["aime_2024"] = Benchmark(problems=aime_2024, template="chat", grader=default_grader)

A benchmark is evaluated by the same verb as the held-out set (`evaluation.runner`). The held-out problems of a profile
are the only benchmark of this repository; public sets come with the sources that fetch them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Problem
from r1_pipeline.rewards.verifier import Grader


@dataclass(frozen=True)
class Benchmark:
    """Problems with the template and the grader that belong to them."""

    problems: Callable[[], list[Problem]]
    template: TemplateName
    grader: Callable[[Runtime], Grader]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`; raises `UnknownNameError` with the names there are."""
    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, sorted(BENCHMARKS))
    return BENCHMARKS[name]
