"""Laws of the summary in words: a domain rose or fell where its interval says so, and a fall is red and a sentence."""

import re

from report_fakes import report_inputs

from r1_pipeline.evaluation.findings import findings
from r1_pipeline.evaluation.report import build_report


def test_a_step_says_what_rose_what_fell_and_where_nothing_is_clear() -> None:
    found = {(each.after, each.before): each for each in findings(report_inputs())}
    cold = found["dev1", "r1_zero"]
    assert cold.sentence == "General (32.2 to 40.2 %) rose."
    falls = [each.sentence for each in cold.fell]
    assert falls[0] == "Mathematics fell by 18.3 points, from 79.4 to 61.1 %."
    assert falls[-1] == "The mean over domains fell by 9.1 points, from 70.6 to 61.5 %."
    assert cold.fell[0].query == "model=dev1&other=r1_zero&difference=worse&domain=math"
    assert cold.fell[-1].query == "model=dev1&other=r1_zero&difference=worse"


def test_a_difference_of_nothing_is_no_finding() -> None:
    inputs = report_inputs()
    same = {"r1_zero": inputs.marks["base"]}
    models = {**inputs.models, "r1_zero": inputs.models["base"]}
    (first, *_) = findings(inputs.model_copy(update={"marks": {**inputs.marks, **same}, "models": models}))
    everything = "Mathematics, Code, STEM, Logic, General and the mean over domains"
    assert (first.sentence, first.fell) == (f"nothing rose; no clear change in {everything}.", ())


def test_the_page_says_a_fall_in_red_with_the_way_to_the_replies() -> None:
    html = build_report(report_inputs())[1]
    section = html[html.index('<section id="summary">') :].partition("</section>")[0]
    falls = re.findall(r'<strong class="fell">(.*?) <a href="(.*?)">', section)
    query = "model=dev1&amp;other=r1_zero&amp;difference=worse&amp;domain=math"
    assert ("Mathematics fell by 18.3 points, from 79.4 to 61.1 %.", f"completions.html#{query}") in falls
    assert re.search(r"\.fell \{ color: var\(--bad\)", html)


def test_no_table_of_the_page_makes_it_scroll_sideways_and_every_wide_one_is_reached_by_keyboard() -> None:
    html = build_report(report_inputs())[1]
    for table in re.finditer("<table", html):
        assert html[: table.start()].endswith('<div class="scroll" tabindex="0">')
