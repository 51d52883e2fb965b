"""The bars that a full run must clear, measured on the values of a report.

Pass@1 is on held-out maths unless a claim says otherwise; format, language and tokens are a model's overall numbers.
The limits are set for the profile `tiny`. A bar whose models were not trained has no value, and neither
passes nor fails.
"""

from collections.abc import Callable
from typing import Literal, assert_never

from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.records import Record

Sense = Literal["at least", "at most", "above", "below"]

CLEARLY = 0.05
"""How far apart two language consistencies are to be called clearly apart."""


class Bar(Record):
    """A claim with its measured value."""

    claim: str
    value: float | None
    """None: not measured."""
    sense: Sense
    limit: float
    decimals: int
    """With which the value is shown."""

    @property
    def passed(self) -> bool | None:
        """None where there is no value."""
        if self.value is None:
            return None
        match self.sense:
            case "at least":
                return self.value >= self.limit
            case "at most":
                return self.value <= self.limit
            case "above":
                return self.value > self.limit
            case "below":
                return self.value < self.limit
            case _:
                assert_never(self.sense)


def bars(inputs: ReportInputs) -> list[Bar]:
    """All bars, in the order of the stages."""
    return [*_of_models(inputs), *_of_students(inputs), *_of_the_rest(inputs)]


def _bar(claim: str, value: float | None, sense: Sense, limit: float, decimals: int = 3) -> Bar:
    return Bar(claim=claim, value=value, sense=sense, limit=limit, decimals=decimals)


def _of_models(inputs: ReportInputs) -> list[Bar]:
    maths = _each(inputs, _maths)
    mean = _each(inputs, lambda s: s.overall.pass_at_1)
    tokens = _each(inputs, lambda s: s.overall.mean_tokens)
    form = _each(inputs, lambda s: s.overall.format_rate)
    tongue = _each(inputs, lambda s: s.overall.language_consistency)
    unrewarded = "dev2_no_language_reward"
    return [
        _bar("base: pass@1", maths("base"), "at most", 0.30),
        _bar("r1_zero: pass@1", maths("r1_zero"), "at least", 0.70),
        _bar("r1_zero − base: pass@1", _gain(maths, "r1_zero", "base"), "at least", 0.40),
        _bar("r1_zero: format rate", form("r1_zero"), "at least", 0.97),
        _bar("r1_zero − base: mean tokens", _gain(tokens, "r1_zero", "base"), "at least", 0.0, 1),
        _bar("r1_zero: language consistency", tongue("r1_zero"), "below", 0.90),
        _bar("dev2: language consistency", tongue("dev2"), "at least", 0.98),
        _bar("r1: language consistency", tongue("r1"), "at least", 0.98),
        _bar(f"dev2 − {unrewarded}: language consistency", _gain(tongue, "dev2", unrewarded), "at least", CLEARLY),
        _bar("r1 − best of r1_zero, dev2: pass@1", _gain(maths, "r1", "r1_zero", "dev2"), "at least", -0.02),
        _bar("r1 − best of r1_zero, dev2: mean over domains", _gain(mean, "r1", "r1_zero", "dev2"), "at least", 0.0),
    ]


def _of_students(inputs: ReportInputs) -> list[Bar]:
    maths = _each(inputs, _maths)
    students = sorted(name.removeprefix("distilled/") for name in inputs.models if name.startswith("distilled/"))
    return [
        _bar(f"distilled/{s} − its base: pass@1", _gain(maths, f"distilled/{s}", f"student_base/{s}"), "at least", 0.30)
        for s in students
    ]


def _of_the_rest(inputs: ReportInputs) -> list[Bar]:
    corpus, judges = inputs.corpus, inputs.reward_models
    agreement = corpus.agreed / corpus.rechecked if corpus.rechecked else None
    preference = _gain(inputs.general_preference.get, "r1", "dev3")
    return [
        *(
            _bar(
                f"{name}: accuracy on held-out pairs",
                judges[name].accuracy if name in judges else None,
                "at least",
                0.9,
            )
            for name in ("helpful_rm", "safety_rm")
        ),
        _bar("r1 − dev3: reward-model score on general prompts", preference, "above", 0.0),
        _bar("sft_corpus: share of re-checked rows that agree", agreement, "at least", 1.0),
        _bar("sft_corpus: problems shared with the held-out set", corpus.heldout_overlap, "at most", 0, 0),
        _bar("whole run: minutes", inputs.total_seconds / 60, "at most", 15, 1),
    ]


def _maths(scores: EvalScores) -> float | None:
    return scores.by_domain["math"].pass_at_1 if "math" in scores.by_domain else None


_Number = Callable[[str], float | None]


def _each(inputs: ReportInputs, number: Callable[[EvalScores], float | None]) -> _Number:
    return lambda name: number(inputs.models[name]) if name in inputs.models else None


def _gain(number: _Number, name: str, *others: str) -> float | None:
    """`name` less the best of `others`; None unless all are measured."""
    value, known = number(name), [v for v in map(number, others) if v is not None]
    return value - max(known) if value is not None and len(known) == len(others) else None
