"""This module computes rewards: a rubric's weighted sum of parts, each computed from verdicts or texts.

`reward = Σ weight · part` over the parts that apply (paper, equations 4 and 8-10): accuracy for reasoning problems,
preference for general ones, format and language for both. Tag count, repetition and over-length are not in the paper,
and off unless a profile weights or watches them. A part that does not apply is None. If the reference or the grader was
at fault, **every** part is None: the sample has no reward and is left out of the group's statistics (TRL does so with
rows that are all None), because a missing accuracy term would otherwise count as zero. Outcomes are logged with
accuracy. Not covered: advantages, and the step at which the preference part enters training (the stages decide).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Completion, Outcome, PreferenceKind, Problem, Verdict
from r1_pipeline.registry import Registry
from r1_pipeline.rewards.format_check import is_well_formed
from r1_pipeline.rewards.graded_format import graded_format
from r1_pipeline.rewards.instructions import share_followed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.overlong import Overlong, overlong_penalty
from r1_pipeline.rewards.preference import Scorer, preference_kind, squash
from r1_pipeline.rewards.reflection import is_reflective
from r1_pipeline.rewards.repetition import repetition
from r1_pipeline.rewards.tags import tag_share
from r1_pipeline.rewards.toy_general_score import general_score
from r1_pipeline.rewards.verifier import Grader

Part = str
"""The name of a part: one of `BUILTIN_PARTS`, or of `PARTS`."""
BUILTIN_PARTS: tuple[Part, ...] = ("accuracy", "format", "language", "preference", "tags", "repetition", "overlong")
"""The names of the parts that have a field of their own in `Rubric`."""
Log = Callable[[str, float], None]
"""A function that logs a scalar of the current batch by its name."""
PartFn = Callable[[Sequence[Problem], Sequence[Completion], Log], list[float | None]]
"""A function that returns one value for each pair of problem and completion; None where the part does not apply."""
TakeVerdicts = Callable[[Sequence[Verdict | None]], None]
"""A function that takes the verdicts on a batch, in order; None for a general prompt."""
Measure = Callable[[Problem, Completion, TemplateName], float | None]
"""A function that returns a value in [-1, 1] from one completion's text; None where it does not apply."""
PARTS: Registry[Measure] = Registry(
    "reward part",
    {
        "courtesy": general_score,
        "reflection": is_reflective,
        "graded_format": graded_format,
        "instructions": share_followed,
    },
)
"""Further reward parts, to which recipe files add; a rubric weights them in `others`, or watches them."""


class Annealed(Recipe):
    """The course of a weight that moves linearly during training and then stays."""

    part: Part
    to: float
    """The weight from step `end` on."""
    begin: int = Field(ge=0)
    """The optimizer step until which the part has the rubric's own weight."""
    end: int
    """The optimizer step from which the part has its last weight."""

    def at(self, step: int, weight: float) -> float:
        """Returns the weight at this step of a part that begins with `weight`."""
        done = min(max(step - self.begin, 0) / (self.end - self.begin), 1.0)
        return weight + done * (self.to - weight)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Annealed":
        if self.end <= self.begin:
            raise ValueError(f"the weight of {self.part!r} moves from step {self.begin} to {self.end}; end later")
        return self


class Rubric(Recipe):
    """The weights of the reward parts; a part of weight 0 is computed only if it is watched.

    Raises `UnknownNameError` for an unknown part, and `RecipeError` if `overlong` is watched without its limits or a
    part is annealed that has no weight.
    """

    accuracy: float
    """The weight of accuracy: 1.0 for a correct answer, 0.0 else; reasoning problems, and general prompts that name a
    verifier of their own."""
    format: float
    """The weight of format: 1.0 for a well-formed reply, 0.0 else; above about 0.2 the tiny model learns the format
    and forgets arithmetic."""
    language: float
    """The weight of the share of reasoning words in the problem's language (equation 7)."""
    preference: float
    """The weight of the reward models' raw score; general problems only."""
    tags: Annotated[float, AddedField()] = 0.0
    """The weight of the share of the template's tags that occur exactly once."""
    repetition: Annotated[float, AddedField()] = 0.0
    """The weight of minus the share of repeated n-grams."""
    overlong: Annotated[Overlong | None, AddedField()] = None
    """The weight and limits of the penalty, in [-1, 0], for replies close to the token limit."""
    others: Annotated[tuple[tuple[Annotated[str, AfterValidator(PARTS.valid)], float], ...], AddedField()] = ()
    """The names and weights of further parts (`PARTS`)."""
    annealed: Annotated[tuple[Annealed, ...], AddedField()] = ()
    """The weights that move from the rubric's own to another during training."""
    watched: tuple[Part, ...] = ()
    """The parts that are computed and logged even if their weight is 0."""

    def model_post_init(self, _: Any) -> None:
        if unknown := [part for part in self.watched if part not in BUILTIN_PARTS and part not in PARTS]:
            raise UnknownNameError("reward part", unknown[0], [*BUILTIN_PARTS, *PARTS])
        if "overlong" in self.watched and self.overlong is None:
            raise RecipeError("overlong is watched without limits; give the rubric an Overlong of weight 0")
        if still := [each.part for each in self.annealed if each.part not in self.weights]:
            raise RecipeError(f"the weight of {still[0]!r} is annealed and it has none; weigh the part, or watch it")

    @property
    def weights(self) -> dict[Part, float]:
        """The weights by part, of all parts that are watched or whose weight is not zero."""
        overlong = self.overlong.weight if self.overlong else 0.0
        weights = {part: overlong if part == "overlong" else getattr(self, part) for part in BUILTIN_PARTS}
        weights |= {part: dict(self.others).get(part, 0.0) for part in PARTS}
        return {part: weight for part, weight in weights.items() if weight or part in self.watched}


def weights_at(rubric: Rubric, step: int) -> dict[Part, float]:
    """Returns the weights of `rubric.weights` at this optimizer step."""
    moved = {each.part: each for each in rubric.annealed}
    return {part: moved[part].at(step, weight) if part in moved else weight for part, weight in rubric.weights.items()}


def reward(rubric: Rubric, parts: Mapping[Part, float | None]) -> float | None:
    """Returns the weighted sum over the parts that apply (paper, equations 4 and 8); None if none applies."""
    weights = {part: weight for part, weight in rubric.weights.items() if weight}
    terms = [weight * value for part, weight in weights.items() if (value := parts.get(part)) is not None]
    return sum(terms) if terms else None


def part_functions(
    rubric: Rubric,
    grader: Grader,
    template: TemplateName,
    scorers: Mapping[PreferenceKind, Scorer],
    judged: TakeVerdicts | None = None,
) -> dict[Part, PartFn]:
    """Returns one function for each part in `rubric.weights`; `scorers` may be empty if preference has no weight.

    The part accuracy hands its verdicts to `judged`.
    """

    def graded(problems: Sequence[Problem], completions: Sequence[Completion], log: Log) -> list[float | None]:
        scores: list[float | None] = [None] * len(problems)
        rows = [row for row, problem in enumerate(problems) if _is_judged(problem)]
        verdicts = grader.grade_all([(problems[row], completions[row]) for row in rows], template)
        for row, verdict in zip(rows, verdicts, strict=True):
            scores[row] = verdict.score
        found = Counter(verdict.outcome for verdict in verdicts)
        for outcome in Outcome if rows else ():
            log(f"outcome/{outcome}", found[outcome] / len(rows))
        if judged is not None and log is not _silent:
            of_row = dict(zip(rows, verdicts, strict=True))
            judged([of_row.get(row) for row in range(len(problems))])
        return scores

    def rule(measure: Callable[[Problem, Completion], float | None]) -> PartFn:
        """Makes a part of a measure of text; it is None where a reasoning problem could not be graded."""

        def part(problems: Sequence[Problem], completions: Sequence[Completion], _: Log) -> list[float | None]:
            scores = graded(problems, completions, _silent) if rubric.accuracy else [0.0] * len(problems)
            return [
                None if score is None and _is_judged(problem) else measure(problem, completion)
                for score, problem, completion in zip(scores, problems, completions, strict=True)
            ]

        return part

    def preference(problems: Sequence[Problem], completions: Sequence[Completion], _: Log) -> list[float | None]:
        return reward_model_scores(problems, completions, template, scorers)

    def penalty(_: Problem, completion: Completion) -> float:
        assert rubric.overlong is not None
        return overlong_penalty(rubric.overlong, len(completion.token_ids))

    known: dict[Part, PartFn] = {
        "accuracy": graded,
        "format": rule(lambda _, reply: float(is_well_formed(template, reply.text))),
        "language": rule(lambda problem, reply: language_share(reasoning_of(template, reply.text), problem.language)),
        "preference": preference,
        "tags": rule(lambda _, reply: tag_share(template, reply.text)),
        "repetition": rule(lambda _, reply: -repetition(reply.text)),
        "overlong": rule(penalty),
        **{name: rule(partial(_measured, measure, template)) for name, measure in PARTS.items()},
    }
    return {part: known[part] for part in rubric.weights}


def _is_judged(problem: Problem) -> bool:
    """Returns True if a verifier judges replies to this problem; other general prompts have reward models only."""
    return problem.domain != "general" or problem.verifier is not None


def _measured(measure: Measure, template: TemplateName, problem: Problem, completion: Completion) -> float | None:
    return measure(problem, completion, template)


def _silent(name: str, value: float) -> None:
    """Logs nothing; it stands in for a `Log`."""


def reasoning_of(template: TemplateName, text: str) -> str:
    """Returns the text whose language counts: the reasoning, or the whole text if no reasoning can be separated."""
    found = split_reply(template, text).reasoning
    return text if found is None else found


def reward_model_scores(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    template: TemplateName,
    scorers: Mapping[PreferenceKind, Scorer],
) -> list[float | None]:
    """Returns the reward models' raw scores of general replies in order; None for reasoning problems.

    A reply without a final part is scored as an empty reply.
    """
    scores: list[float | None] = [None] * len(problems)
    for kind, scorer in scorers.items():
        rows: list[int] = []
        replies: list[str] = []
        for row, (problem, completion) in enumerate(zip(problems, completions, strict=True)):
            final = split_reply(template, completion.text).final
            if problem.domain == "general" and preference_kind(problem) == kind:
                rows.append(row)
                replies.append((final or "") if kind == "helpful" else completion.text)
        if rows:
            values = scorer.score([problems[row].question for row in rows], replies)
            for row, value in zip(rows, values, strict=True):
                scores[row] = value
    return scores


def preference_scores(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    template: TemplateName,
    scorers: Mapping[PreferenceKind, Scorer],
) -> list[float | None]:
    """Returns the scores of `reward_model_scores` mapped to (0, 1), for comparisons of models.

    A reply without a final part gets 0.0.
    """
    scores = reward_model_scores(problems, completions, template, scorers)
    return [
        None if score is None else squash(score) if split_reply(template, completion.text).final else 0.0
        for score, completion in zip(scores, completions, strict=True)
    ]
