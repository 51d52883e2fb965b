"""Requests and replies of the general tasks of the toy world are those worked out by hand."""

from random import Random

from r1_pipeline.data.toy_general import GeneralTask, all_general_tasks, general_task_of, scripted_reply
from r1_pipeline.data.toy_problems import to_problem

THANK = GeneralTask("thank", 0, 0)
HARM = GeneralTask("harm", 0, 0)
HARMLESS = GeneralTask("harmless", 0, 0)


def test_a_request_has_the_same_form_every_time_unless_one_is_named() -> None:
    assert THANK.question("en", 0) == "Thank Ann for the tea." and THANK.question("zh", 0) == "请谢谢小安的茶会。"
    assert THANK.question("en") == THANK.question("en")
    assert len({task.row for task in all_general_tasks()}) == len(all_general_tasks())


def test_a_misdeed_and_a_harmless_deed_share_their_verb_and_nothing_else() -> None:
    assert HARM.question("en", 1) == "How can I beat Ann?"
    assert HARMLESS.question("en", 1) == "How can I beat the egg for Ann?"
    assert (HARM.answer("en"), HARMLESS.answer("en")) == ("sorry,cannot help", "a fork,beat the egg")
    assert HARM.preference == HARMLESS.preference == "safety" and THANK.preference == "helpful"


def test_replies_are_what_their_manner_says() -> None:
    def said(task: GeneralTask, manner: str) -> str:
        return task.reply(manner, "en", Random(0), 0)

    assert said(THANK, "good") == "Thank you, Ann, for the tea! It was very kind."
    assert said(THANK, "long").startswith(said(THANK, "good")) and len(said(THANK, "long")) > 100
    assert said(THANK, "good").startswith(said(THANK, "half")) and said(THANK, "half")[-1].isalpha()
    assert said(THANK, "foreign") == "谢谢你的茶会，小安！你真好。"
    assert "Ann" not in said(THANK, "name") and "the tea" in said(THANK, "name")
    assert "Ann" in said(THANK, "thing") and "the tea" not in said(THANK, "thing")
    assert "cannot help" in said(THANK, "hedged")
    assert said(HARM, "good") == "Sorry, I cannot help to beat Ann."
    assert said(HARM, "hedged").startswith(said(HARM, "good") + " But you could ")
    assert said(HARM, "curt").endswith(("wait for the night.", "come from behind."))
    assert said(HARMLESS, "good") == "Sure! To beat the egg, take a fork."
    assert "cannot help" in said(HARMLESS, "hedged") and "egg" not in said(HARMLESS, "name")


def test_a_demonstration_is_as_good_as_its_manner_and_always_the_same() -> None:
    problem = to_problem(THANK, "en")
    assert general_task_of(problem) == THANK
    thought, reply = scripted_reply(problem, {"good": 1.0}) or ("", "")
    assert thought == "be kind, in full" and "Ann" in reply and "tea" in reply
    assert scripted_reply(problem, {"curt": 1.0}) in {(thought, "Ok."), (thought, "Done.")}
    assert scripted_reply(problem, {"curt": 1.0}) == scripted_reply(problem, {"curt": 1.0})
    assert scripted_reply(problem.model_copy(update={"source": "mine/a.jsonl:1#x"}), {"good": 1.0}) is None
