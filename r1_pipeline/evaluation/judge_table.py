"""The table `[judge]` of a benchmark's TOML file, and the scores that a benchmark can be compared by."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.generation.judge_protocol import JudgeRecipe, Protocol
from r1_pipeline.records import Record, Sampling

Metric = Literal["pass_at_1", "cons_at_k", "win_rate", "length_controlled_win_rate", "mean_grade"]
"""A score of a benchmark; the last three come from judges."""
_NEEDED: Mapping[str, Protocol] = {
    "win_rate": "pairwise",
    "length_controlled_win_rate": "pairwise",
    "mean_grade": "grade",
}


class JudgeTable(Record):
    """The table `[judge]` of a benchmark's TOML file."""

    protocol: Protocol
    """`three_way`, `pairwise` with the reference as the baseline's reply, or `grade` from 1 to 10."""
    models: tuple[str, ...] = Field(min_length=1)
    """The names of the judges; several vote."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 2048
    seed: int = 0
    longest: Annotated[int, Field(gt=0)] = 100_000
    """The largest number of characters of a reply that judges are shown; a longer one has no verdict."""
    weight: Annotated[int, Field(gt=0)] = 1
    """The number of comparisons that a clear preference counts as."""
    passing: Annotated[int, Field(ge=1, le=10)] = 8
    """The smallest mean grade that counts as correct."""

    @property
    def recipe(self) -> JudgeRecipe:
        """The recipe of the judges."""
        sampling = Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)
        return JudgeRecipe(sampling=sampling, **self.model_dump(exclude={"temperature", "top_p", "max_tokens"}))


def check_metric(metric: Metric, judge: JudgeTable | None) -> None:
    """Raises `ValueError` for a metric that rules, or judges with this protocol, do not give."""
    needed = _NEEDED.get(metric)
    if needed and (judge is None or judge.protocol != needed):
        raise ValueError(f'the metric {metric} comes from judges; add [judge] with protocol = "{needed}"')


def metric_value(scores: EvalScores, metric: Metric) -> float:
    """Returns the score of this name, which the evaluation must have."""
    value = getattr(scores.judged if metric in _NEEDED else scores.overall, metric)
    assert isinstance(value, float)
    return value
