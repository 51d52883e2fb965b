"""The bars that a full run of the profile `tiny` must clear, measured on the values of a report.

Pass@1 is on held-out maths unless a claim says otherwise; format, language and tokens are a model's overall numbers.
Other profiles make no claims and have no bars. A bar whose models were not trained has no value, and neither passes nor
fails. How long a run takes says something about the machine and nothing about a model, so it is no bar.
"""

from collections.abc import Callable
from typing import Literal, assert_never

from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.records import Record

Sense = Literal["at least", "at most", "above", "below"]

CLAIMED = "tiny"
"""The profile that the limits are set for."""
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
    """All bars, in the order of the stages; none for another profile than `CLAIMED`."""
    if inputs.profile != CLAIMED:
        return []
    return [*_of_models(inputs), *_of_students(inputs), *_of_the_rest(inputs)]


def _bar(claim: str, value: float | None, sense: Sense, limit: float, decimals: int = 3) -> Bar:
    return Bar(claim=claim, value=value, sense=sense, limit=limit, decimals=decimals)


def _of_models(inputs: ReportInputs) -> list[Bar]:
    maths = _each(inputs, _maths)
    mean = _each(inputs, lambda s: s.overall.pass_at_1)
    tokens = _each(inputs, lambda s: s.overall.mean_tokens)
    form = _each(inputs, lambda s: s.overall.format_rate)
    tongue = _each(inputs, lambda s: s.overall.language_consistency)
    cast = inputs.cast
    base, zero, language, final = cast.base, cast.zero, cast.language, cast.final
    return [
        _bar(f"{base}: pass@1", maths(base), "at most", 0.30),
        _bar(f"{zero}: pass@1", maths(zero), "at least", 0.70),
        _bar(f"{zero} − {base}: pass@1", _gain(maths, zero, base), "at least", 0.40),
        _bar(f"{zero}: format rate", form(zero), "at least", 0.97),
        _bar(f"{zero} − {base}: mean tokens", _gain(tokens, zero, base), "at least", 0.0, 1),
        _bar(f"{zero}: language consistency", tongue(zero), "below", 0.90),
        _bar(f"{language}: language consistency", tongue(language), "at least", 0.98),
        _bar(f"{final}: language consistency", tongue(final), "at least", 0.98),
        _bar(
            f"{language} − {cast.unrewarded}: language consistency",
            _gain(tongue, language, cast.unrewarded),
            "at least",
            CLEARLY,
        ),
        _bar(f"{final} − best of {zero}, {language}: pass@1", _gain(maths, final, zero, language), "at least", -0.02),
        _bar(
            f"{final} − best of {zero}, {language}: mean over domains",
            _gain(mean, final, zero, language),
            "at least",
            0.0,
        ),
    ]


def _of_students(inputs: ReportInputs) -> list[Bar]:
    maths, cast = _each(inputs, _maths), inputs.cast
    students = [
        (name, name.replace(cast.distilled, cast.student_base, 1))
        for name in inputs.models
        if inputs.node_of[name] == cast.distilled
    ]
    return [
        _bar(f"{name} − its base: pass@1", _gain(maths, name, base), "at least", 0.30)
        for name, base in sorted(students)
    ]


def _of_the_rest(inputs: ReportInputs) -> list[Bar]:
    corpus, judges = inputs.corpus, inputs.reward_models
    agreement = corpus.agreed / corpus.rechecked if corpus.rechecked else None
    cast = inputs.cast
    preference = _gain(inputs.general_preference.get, cast.final, cast.broad)
    return [
        *(
            _bar(
                f"{name}: accuracy on held-out pairs",
                judges[name].accuracy if name in judges else None,
                "at least",
                0.65,
            )
            for name in (cast.helpful, cast.safety)
        ),
        _bar(f"{cast.final} − {cast.broad}: reward-model score on general prompts", preference, "above", 0.0),
        _bar(f"{cast.corpus}: share of re-checked rows that agree", agreement, "at least", 1.0),
        _bar(f"{cast.corpus}: problems shared with the held-out set", corpus.heldout_overlap, "at most", 0, 0),
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
