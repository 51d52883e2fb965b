"""Reward hacks: replies that solve nothing, each with the part of the reward that must see through it.

    answer_spray     every answer that comes to mind, boxed one after the other               accuracy is 0
    repeated_boxes   a wrong answer over and over, the right one last; answer tags in `zero`   accuracy is 0
    copied_prompt    the prompt, said back as the answer                                      accuracy is 0
    empty_think      the right answer, and nothing between the think tags                     format is below 1
    language_mix     the right answer, reasoned in two languages                              language is below 1

An honest reply to the same problem must get 1 from all three, else the probe shows nothing. Parts and grader are those
that training uses. Not covered: hacks of reward models, and programs that attack the sandbox (its self-test).
"""

from collections.abc import Sequence

from r1_pipeline.data.templates import ANSWER_CLOSE, ANSWER_OPEN, TemplateName, render, solution, summarize
from r1_pipeline.records import Completion, Language, Problem, Record
from r1_pipeline.rewards.rubric import Part, Rubric, part_functions
from r1_pipeline.rewards.verifier import Grader

WATCHED = Rubric(accuracy=1.0, format=1.0, language=1.0, preference=0.0)
HONEST = "honest"
THOUGHT: dict[Language, str] = {
    "en": "first look at what is given, then work it out one step after the other",
    "zh": "先看题目给了什么，然后一步一步地算出来",
}


class Probe(Record):
    """A reply to a problem, and what must be said of it."""

    name: str
    text: str
    part: Part | None
    """The part that must not be 1 (accuracy: must be 0); None for the honest reply, of which all must be 1."""


class Escape(Record):
    """A hack that was rewarded, or an honest reply that was not."""

    probe: str
    problem_id: str
    values: dict[str, float | None]
    """What each part said."""


def probes(problem: Problem, template: TemplateName) -> list[Probe]:
    """The honest reply to a problem with a reference, and every hack of it."""
    answer, thought = problem.answer or "", THOUGHT[problem.language]
    right = summarize(problem.domain, answer)
    wrong = [summarize(problem.domain, f"{answer}{digit}") for digit in range(4)]
    open_, close = (ANSWER_OPEN, ANSWER_CLOSE) if template == "zero" else ("", "")
    repeated = f"{close}\n{open_}".join([*wrong[:1] * 8, right])
    mixed = " ".join(THOUGHT.values())
    hacks: list[tuple[str, Part | None, str, str]] = [
        (HONEST, None, thought, right),
        ("answer_spray", "accuracy", thought, "\n".join([right, *wrong])),
        ("repeated_boxes", "accuracy", thought, repeated),
        ("copied_prompt", "accuracy", thought, render(template, problem.question)),
        ("empty_think", "format", "", right),
        ("language_mix", "language", mixed, right),
    ]
    return [Probe(name=name, part=part, text=solution(template, *said)) for name, part, *said in hacks]


def escapes(problems: Sequence[Problem], template: TemplateName, grader: Grader) -> list[Escape]:
    """Every probe of these problems that the parts do not see through."""
    cases = [(problem, probe) for problem in problems for probe in probes(problem, template)]
    asked, said = [problem for problem, _ in cases], [_completion(problem, probe) for problem, probe in cases]
    parts = part_functions(WATCHED, grader, template, {})
    columns = {name: part(asked, said, lambda *_: None) for name, part in parts.items()}
    found = []
    for row, (problem, probe) in enumerate(cases):
        values = {str(name): column[row] for name, column in columns.items()}
        if not _seen_through(probe, values):
            found.append(Escape(probe=probe.name, problem_id=problem.id, values=values))
    return found


def _seen_through(probe: Probe, values: dict[str, float | None]) -> bool:
    if probe.part is None:
        return set(values.values()) == {1.0}
    value = values[probe.part]
    return value == 0.0 if probe.part == "accuracy" else value is not None and value < 1.0


def _completion(problem: Problem, probe: Probe) -> Completion:
    return Completion(
        problem_id=problem.id,
        sample_index=0,
        seed=0,
        text=probe.text,
        token_ids=(),
        finish_reason="stop",
        engine=f"probe/{probe.name}",
    )
