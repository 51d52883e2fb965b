import pytest

from r1_pipeline.records import Outcome


@pytest.mark.parametrize(
    ("required", "reply", "outcome"),
    [
        ("Ann,morning", "Good morning, Ann!", Outcome.CORRECT),
        ("Ann,morning", "Good morning!", Outcome.WRONG),
        ("Ann", "Good morning, Annabel!", Outcome.WRONG),
        ("sorry,cannot help", "Sorry, I cannot help.", Outcome.CORRECT),
        ("小安,早上", "早上好，小安！", Outcome.CORRECT),
        ("小安，早上", "晚上好，小安！", Outcome.WRONG),
        ("", "Good morning!", Outcome.UNGRADABLE),
        (None, "Good morning!", Outcome.UNREFERENCED),
    ],
)
def test_all_required_words_whole_and_in_any_case(required, reply, outcome, grader, problem):
    assert grader.judge(problem(required, "general"), reply).outcome is outcome


def test_padding_until_the_words_are_there_is_wrong(grader, problem):
    fits, too_long = "Ann " + "well " * 59, "Ann " + "well " * 60
    assert grader.judge(problem("Ann", "general"), fits).outcome is Outcome.CORRECT
    assert grader.judge(problem("Ann", "general"), too_long).outcome is Outcome.WRONG
