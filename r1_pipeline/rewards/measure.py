"""One reply measured with everything the screen (`data.screen`) and the evaluation ask about it."""

from r1_pipeline.data.screen import Measured
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.records import Completion, Problem, Verdict
from r1_pipeline.rewards.fmt import is_well_formed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.repetition import repetition


def reasoning_of(template: TemplateName, text: str) -> str:
    """The text whose language counts: the reasoning, or everything where no reasoning can be told apart."""
    found = split_reply(template, text).reasoning
    return text if found is None else found


def measure(problem: Problem, completion: Completion, verdict: Verdict, template: TemplateName) -> Measured:
    """`completion` with its verdict and its readability."""
    text = completion.text
    return Measured(
        problem_id=problem.id,
        text=text,
        outcome=verdict.outcome,
        well_formed=is_well_formed(template, text),
        language_share=language_share(reasoning_of(template, text), problem.language),
        repetition=repetition(text),
        tokens=len(completion.token_ids),
    )
