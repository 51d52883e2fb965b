"""A row of a corpus has the columns of its problem, and an id over all its columns."""

from r1_pipeline.data.samples import sample_from_problem, sample_id
from r1_pipeline.records import Outcome, Problem


def test_an_answer_has_what_its_problem_says_and_the_id_of_its_content() -> None:
    problem = Problem(
        id="p", question="1 + 1?", answer="2", tests=(), domain="math", language="zh", source="s#1", licence="MIT"
    )
    columns = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 9, "seed": 1, "sample_index": 3, "tokens": 4}
    judged = {"outcome": Outcome.CORRECT, "verifier": "maths@1", "language_share": 1.0}
    row = sample_from_problem(problem, "<think>2</think>2", generator="g", engine="e", **columns, **judged)
    assert (row.problem_id, row.question, row.response) == ("p", "1 + 1?", "<think>2</think>2")
    assert (row.domain, row.language, row.source, row.licence) == ("math", "zh", "s#1", "MIT")
    assert row.sample_id == sample_id(row.model_dump(mode="json"))
    assert row.sample_id != sample_from_problem(problem, "3", generator="g", engine="e", **columns, **judged).sample_id
