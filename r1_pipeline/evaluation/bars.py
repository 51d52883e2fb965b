"""The bars that a full run of the profile `tiny`, or of `laptop`, must clear, measured on the values of a report.

Pass@1 is on held-out maths unless a claim says otherwise; format, language and tokens are a model's overall numbers.
A difference between two models is taken problem by problem, and has a 95% interval (`paired`). Other profiles make no
claims and have no bars; a domain without problems on this machine has none either. A bar whose models were not trained
has no value and is not met. The duration of a run is no bar, because it depends on the machine and not on a model.

To add a bar, add a function of `ReportInputs` to those of a profile in `CLAIMS`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar, assert_never

from r1_pipeline.evaluation.comparisons import students
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.paired import differences, mean_difference
from r1_pipeline.evaluation.reflection import Depth, corrected_share
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.records import DOMAINS, Domain, Record

T = TypeVar("T")
Sense = Literal["at least", "at most", "above", "below"]

CLEARLY = 0.05
"""The difference from which two language consistencies are clearly apart."""
NO_LONGER = 1.25
"""The largest growth of replies to the shallowest sums; a base leaves out the format, which costs tokens."""
OTHER_DOMAINS: tuple[Domain, ...] = ("code", "stem", "logic")
"""The domains, apart from maths, in which every trained model must be above its base."""


class Bar(Record):
    """A claim with its measured value and its limit."""

    claim: str
    value: float | None
    """The measured value; None if it was not measured."""
    sense: Sense
    limit: float
    decimals: int
    """The number of decimals with which the page shows the value."""
    interval: tuple[float, float] | None = None
    """The 95% interval of the value, if it is a difference between two models."""

    @property
    def passed(self) -> bool | None:
        """True if the value meets the limit; None if there is no value."""
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
    """Returns all bars in the order of the stages; none for a profile that `CLAIMS` does not name."""
    profile, _, _ = inputs.profile.partition(":")  # the rest names another base
    return [bar for claims in CLAIMS.get(profile, ()) for bar in claims(inputs)]


def _of_models(inputs: ReportInputs) -> Iterator[Bar]:
    maths = _each(inputs, _maths)
    tokens = _each(inputs, lambda s: s.overall.mean_tokens)
    form = _each(inputs, lambda s: s.overall.format_rate)
    tongue = _each(inputs, lambda s: s.overall.language_consistency)
    cast = inputs.cast
    base, zero, language, final = cast.base, cast.zero, cast.language, cast.final
    yield _bar(f"{base}: pass@1", maths(base), "at most", 0.30)
    yield _bar(f"{zero}: pass@1", maths(zero), "at least", 0.70)
    yield _gain(f"{zero} − {base}: pass@1", _in_maths(inputs, zero, base), 0.40)
    yield _bar(f"{zero}: format rate", form(zero), "at least", 0.97)
    yield _bar(f"{zero} − {base}: mean tokens", _less(tokens, zero, base), "at least", 0.0, 1)
    yield _bar(f"{zero}: clipped share of tokens, greatest of a step", _clipped(inputs), "above", 0.0)
    yield _bar(f"{zero}: language consistency", tongue(zero), "below", 0.90)
    yield _bar(f"{language}: language consistency", tongue(language), "at least", 0.98)
    yield _bar(f"{final}: language consistency", tongue(final), "at least", 0.98)
    apart = _less(tongue, language, cast.unrewarded)
    yield _bar(f"{language} − {cast.unrewarded}: language consistency", apart, "at least", CLEARLY)
    others = (zero, language)
    best = _lowest(_in_maths(inputs, final, other) for other in others)
    yield _gain(f"{final} − best of {zero}, {language}: pass@1", best, -0.02)
    best = _lowest(_over_domains(inputs, final, other) for other in others)
    yield _gain(f"{final} − best of {zero}, {language}: mean over domains", best, 0.0)


def _of_domains(inputs: ReportInputs) -> Iterator[Bar]:
    """Every trained model is above the base of its line in the other domains too, and the intervals do not overlap."""
    cast = inputs.cast
    pairs = [(name, cast.base) for name in (cast.zero, cast.language, cast.final)] + students(inputs)
    for domain in OTHER_DOMAINS:
        if domain not in inputs.left_out:
            for name, base in pairs:
                claim = f"{name}: lower end of {DOMAINS[domain].title}, above the upper end of {base}"
                yield _bar(claim, _apart(inputs, domain, name, base), "above", 0.0)


def _of_students(inputs: ReportInputs) -> Iterator[Bar]:
    for name, base in students(inputs):
        yield _gain(f"{name} − its base: pass@1", _in_maths(inputs, name, base), 0.30)


def _of_answers(inputs: ReportInputs) -> Iterator[Bar]:
    """No trained model answers most STEM problems with one letter, which would be reinforced guessing."""
    bases = (inputs.cast.base, inputs.cast.student_base)
    letters = {
        name: found["stem"]
        for name, found in inputs.favourites.items()
        if "stem" in found and inputs.node_of[name] not in bases
    }
    share = max((each.share for each in letters.values()), default=None)
    yield _bar("STEM: most frequent letter of any trained model", share, "at most", 0.45)


def _of_thought(inputs: ReportInputs) -> Iterator[Bar]:
    """Reinforcement makes replies to hard problems longer, and the model finds and corrects its slips."""
    base, zero = inputs.cast.beginning
    found = _both(inputs.depths, zero, base)
    deepest, shallowest, corrected = _growth(*found) if found else (None, None, None)
    yield _bar(f"{zero} over {base}: share of sums with a slip found and corrected", corrected, "at least", 3.0, 2)
    yield _bar(f"{zero} over {base}: mean tokens on the deepest sums", deepest, "at least", 1.5, 2)
    yield _bar(f"{zero} over {base}: mean tokens on the shallowest sums", shallowest, "at most", NO_LONGER, 2)


def _growth(after: Sequence[Depth], before: Sequence[Depth]) -> tuple[float, float, float | None]:
    """Returns three ratios of after to before: mean tokens on the deepest and on the shallowest sums, and the share of
    replies with a corrected slip, which is None if there was none before."""
    shares = corrected_share(after), corrected_share(before)
    growth = shares[0] / shares[1] if shares[0] is not None and shares[1] else None
    return after[-1].mean_tokens / before[-1].mean_tokens, after[0].mean_tokens / before[0].mean_tokens, growth


def _of_the_rest(inputs: ReportInputs) -> Iterator[Bar]:
    corpus, judges = inputs.corpus, inputs.reward_models
    agreement = corpus.agreed / corpus.rechecked if corpus.rechecked else None
    cast = inputs.cast
    for name in (cast.helpful, cast.safety):
        accuracy = judges[name].accuracy if name in judges else None
        yield _bar(f"{name}: accuracy on held-out pairs", accuracy, "at least", 0.75)
        yield _bar(f"{name}: accuracy on held-out pairs, which are not all easy", accuracy, "at most", 0.95)
    liked = _both(inputs.liked, cast.final, cast.broad)
    more = mean_difference(*liked, counts=False) if liked else None
    claim = f"{cast.final} − {cast.broad}: reward-model score on general prompts, lower end"
    yield _bar(claim, more.lo if more else None, "above", 0.0)
    yield _bar(f"{cast.corpus}: share of re-checked rows that agree", agreement, "at least", 1.0)
    if "stem" not in inputs.left_out:
        lucky = corpus.support.unsupported / corpus.support.rows if corpus.support.rows else None
        yield _bar(f"{cast.corpus}: STEM rows whose reasoning does not support their answer", lucky, "at most", 0.02)
    yield _shared(inputs)


def _of_a_real_model(inputs: ReportInputs) -> Iterator[Bar]:
    """Reinforcement brings out what a pretrained base can do and does not show, and both students learn from it."""
    base, zero = inputs.cast.base, inputs.cast.zero
    yield _gain(f"{zero} − {base}: pass@1", _in_maths(inputs, zero, base), 0.25)
    yield _bar(f"{zero}: format rate", _each(inputs, lambda s: s.overall.format_rate)(zero), "at least", 0.90)
    for name, before in [(zero, base), *students(inputs)]:
        claim = f"{name}: lower end of {DOMAINS['math'].title}, above the upper end of {before}"
        yield _bar(claim, _apart(inputs, "math", name, before), "above", 0.0)
    yield _shared(inputs)


CLAIMS: Mapping[str, tuple[Callable[[ReportInputs], Iterable[Bar]], ...]] = {
    "tiny": (_of_models, _of_domains, _of_students, _of_answers, _of_thought, _of_the_rest),
    "laptop": (_of_a_real_model,),
    "laptop-bf16": (_of_a_real_model,),
}
"""Profile -> the functions that yield its bars, in the order in which the report shows them."""


def _shared(inputs: ReportInputs) -> Bar:
    claim = f"{inputs.cast.corpus}: problems shared with the held-out set"
    return _bar(claim, inputs.corpus.heldout_overlap, "at most", 0, 0)


def _bar(claim: str, value: float | None, sense: Sense, limit: float, decimals: int = 3) -> Bar:
    return Bar(claim=claim, value=value, sense=sense, limit=limit, decimals=decimals)


def _gain(claim: str, found: Difference | None, limit: float) -> Bar:
    bar = _bar(claim, found.value if found else None, "at least", limit)
    return bar.model_copy(update={"interval": (found.lo, found.hi)}) if found else bar


def _both(known: dict[str, T], after: str, before: str) -> tuple[T, T] | None:
    return (known[after], known[before]) if after in known and before in known else None


def _in_maths(inputs: ReportInputs, after: str, before: str) -> Difference | None:
    marks = _both(inputs.marks, after, before)
    return differences(*marks).get("math") if marks else None


def _over_domains(inputs: ReportInputs, after: str, before: str) -> Difference | None:
    marks = _both(inputs.marks, after, before)
    return mean_difference(*marks) if marks else None


def _lowest(found: Iterable[Difference | None]) -> Difference | None:
    """Returns the lowest difference, which is the one to the best of the others; None unless all are measured."""
    each = list(found)
    known = [one for one in each if one]
    return min(known, key=lambda one: one.value) if known and len(known) == len(each) else None


def _apart(inputs: ReportInputs, domain: Domain, name: str, base: str) -> float | None:
    models = _both(inputs.models, name, base)
    if models is None or not all(domain in model.by_domain for model in models):
        return None
    after, before = (model.by_domain[domain].pass_at_1_ci for model in models)
    return after.lo - before.hi


def _clipped(inputs: ReportInputs) -> float | None:
    steps = inputs.training.get(inputs.cast.zero, ())
    return max((step["clipped"] for step in steps if "clipped" in step), default=None)


def _maths(scores: EvalScores) -> float | None:
    return scores.by_domain["math"].pass_at_1 if "math" in scores.by_domain else None


_Number = Callable[[str], float | None]


def _each(inputs: ReportInputs, number: Callable[[EvalScores], float | None]) -> _Number:
    return lambda name: number(inputs.models[name]) if name in inputs.models else None


def _less(number: _Number, name: str, other: str) -> float | None:
    value, known = number(name), number(other)
    return value - known if value is not None and known is not None else None
