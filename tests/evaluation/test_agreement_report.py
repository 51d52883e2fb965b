"""The law of second opinions in the report: a stored agreement is shown with its figures, and none leaves no trace."""

from report_fakes import report_inputs

from r1_pipeline.evaluation.agreement import second_opinion
from r1_pipeline.evaluation.outside.environment import Opinion
from r1_pipeline.evaluation.outside.graders import OUTSIDE, Answer, Job
from r1_pipeline.evaluation.report import build_report
from r1_pipeline.records import Outcome


def test_a_stored_agreement_is_in_numbers_and_page() -> None:
    job = Job(answer="7", reference="7", domain="math", question="")
    answers = [
        Answer(id=str(number), job=job, grades="math", outcome=Outcome.CORRECT, reading="7", detail="")
        for number in range(4)
    ]
    verdicts = {str(number): Opinion(correct=number > 0, reading="7", why="") for number in range(4)}
    graders = [grader for grader in OUTSIDE if grader.name == "qwen"]
    made = second_opinion("evaluation/r1", "d", answers, ["maths@6"], {"qwen": verdicts}, graders, {})
    numbers, page = build_report(report_inputs().model_copy(update={"agreements": (made,)}))
    (shown,) = numbers["agreements"]["evaluation/r1"]["agreements"]
    assert (shown["agreement"], shown["ours_only"], shown["kappa"]) == (0.75, 1, 0.0)
    assert "Second opinions" in page
    assert "qwen (evalscope 0.17.1)" in page


def test_without_an_agreement_the_report_is_as_before() -> None:
    numbers, page = build_report(report_inputs())
    assert "agreements" not in numbers
    assert "Second opinions" not in page
