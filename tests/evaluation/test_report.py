"""Laws of the report: the JSON keeps its schema, the page is one safe file, and both work for incomplete runs."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from report_fakes import report_inputs

from r1_pipeline.evaluation import paper
from r1_pipeline.evaluation.answer_bias import FrequentAnswer
from r1_pipeline.evaluation.bars import bars
from r1_pipeline.evaluation.cells import Cell, clock, number
from r1_pipeline.evaluation.inputs import CorpusStats, Exchange, Reply, ReportInputs
from r1_pipeline.evaluation.judged_scores import JudgedScores
from r1_pipeline.evaluation.plots import LEFT, RIGHT, WIDTH, nice_ticks, running_mean
from r1_pipeline.evaluation.preference_plots import calibrations, optimization
from r1_pipeline.evaluation.report import ReportRecipe, build_report, exchanges, report_json
from r1_pipeline.evaluation.rollout_health import Health, Period
from r1_pipeline.evaluation.rollout_view import SHOWN_CHARACTERS, ShownRollout, ShownRollouts, cut
from r1_pipeline.evaluation.rows import benchmarks
from r1_pipeline.evaluation.support import Support
from r1_pipeline.records import Domain, Language, Outcome, Problem
from r1_pipeline.records import TestCase as Case


def keys(value: dict[str, Any]) -> set[str]:
    return set(value)


def test_report_json_has_the_published_schema() -> None:
    report = json.loads(json.dumps(report_json(report_inputs()), allow_nan=False))
    assert keys(report) == {
        *(
            "schema",
            "profile",
            "seed",
            "home",
            "overrides",
            "left_out",
            "models",
            "benchmarks",
            "reward_models",
            "corpus",
        ),
        *("general", "sizes", "expert_load", "stages", "gates", "bars", "differences", "total_seconds", "environment"),
        *("controls", "rollouts"),
    }
    assert report["schema"] == 1
    for model in report["models"].values():
        assert keys(model) == {
            *("pass_at_1", "pass_at_1_ci", "pass_at_k", "cons_at_k", "format_rate", "language_consistency"),
            *("mean_tokens", "n", "outcomes", "by_domain", "digest", "favourites", "depths", "form"),
        }
        lo, hi = model["pass_at_1_ci"]
        assert lo <= model["pass_at_1"] <= hi
        assert keys(model["by_domain"]) == {"math", "code", "stem", "logic", "general"}
        assert all(keys(scores) == {"pass_at_1", "pass_at_1_ci", "n"} for scores in model["by_domain"].values())
    measured = {"accuracy", "n", "calibration", "calibration_error"}
    assert all(keys(scored) == measured for scored in report["reward_models"].values())
    assert keys(report["corpus"]) == {"rows", "by_domain", "mean_tokens", "dropped", "heldout_overlap", "toy_choices"}
    assert report["corpus"]["rows"] == sum(report["corpus"]["by_domain"].values())
    stage_keys = {"seconds", "reused", "fingerprint", "digest", "tokens"}
    assert all(keys(stage) == stage_keys for stage in report["stages"].values())
    assert all(keys(gate) == {"passed", "blocking", "value", "limit"} for gate in report["gates"].values())


def test_a_models_own_number_is_the_mean_over_domains_and_maths_stands_by_itself() -> None:
    base = report_json(report_inputs())["models"]["base"]
    assert base["pass_at_1"] == pytest.approx((0.171 + 0.402 + 0.288 + 0.246 + 0.310) / 5)
    maths = base["by_domain"]["math"]
    assert (maths["pass_at_1"], maths["n"]) == (0.171, 2048)
    assert maths["pass_at_1_ci"][0] < 0.171 < maths["pass_at_1_ci"][1]


def test_every_model_says_its_prompt_form_and_its_stop_strings_in_both_files() -> None:
    inputs = report_inputs()
    r1 = inputs.models["r1"]
    sampling = r1.identity.sampling.model_copy(update={"stop": ("</answer>", "\nUser:")})
    asked = r1.identity.model_copy(
        update={"template": "zero", "template_hash": "93f956c5e713eedc", "sampling": sampling}
    )
    models = {**inputs.models, "r1": r1.model_copy(update={"identity": asked})}
    numbers, page = build_report(inputs.model_copy(update={"models": models}))
    form = {"name": "zero", "hash": "93f956c5e713eedc", "stop": ["</answer>", "\nUser:"]}
    assert numbers["models"]["r1"]["form"] == form
    assert numbers["models"]["base"]["form"]["stop"] == []
    section = page[page.index('<section id="verdicts">') :].partition("</section>")[0]
    assert "<td>zero (93f956c5e713eedc)</td>" in section
    assert "&lt;/answer&gt;" in section


def test_what_no_grader_could_judge_is_counted_for_every_model_in_both_files() -> None:
    inputs = report_inputs()
    r1 = inputs.models["r1"]
    counts = {Outcome.CORRECT: 90, Outcome.UNGRADABLE: 4, Outcome.GRADER_ERROR: 6}
    overall = r1.overall.model_copy(update={"outcomes": counts})
    models = {**inputs.models, "r1": r1.model_copy(update={"overall": overall})}
    numbers, page = build_report(inputs.model_copy(update={"models": models}))
    assert numbers["models"]["r1"]["outcomes"] == {
        **{"correct": 90, "wrong": 0, "malformed": 0, "truncated": 0},
        **{"unreferenced": 0, "ungradable": 4, "grader_error": 6},
    }
    section = page[page.index('<section id="verdicts">') :].partition("</section>")[0]
    row = next(line for line in section.split("<tr>") if line.startswith("<th>r1</th>"))
    assert re.findall(r'<td class="n">([\d.]+)', row) == ["90", "0", "0", "0", "0", "4", "6", "10.0"]


def test_a_benchmark_of_the_paper_stands_next_to_its_figures() -> None:
    inputs = report_inputs()
    exam = {"r1": inputs.models["r1"]}
    known = inputs.model_copy(update={"benchmarks": {"exam": exam, "mine": exam}, "published": {"exam": "MATH-500"}})
    (_, rows), (_, own) = benchmarks(known)
    assert [row.label for row in rows] == ["r1", *(f"the paper’s {model}" for model in paper.COLUMNS)]
    assert [row.cells[0].text for row in rows[1:]] == ["–", "95.9", "94.2", "95.9", "95.4", "97.3"]
    assert [row.label for row in own] == ["r1"]
    _, page = build_report(known)
    assert "the paper’s R1-Zero" in page


def test_scores_of_judges_have_rows_of_their_own() -> None:
    inputs = report_inputs()
    judged = JudgedScores(
        protocol="pairwise", answered_by={"oracle": "oracle-1"}, judged=8, grades={}, correct_given_attempted=None,
        f_score=None, win_rate=0.625, length_controlled_win_rate=0.5, mean_grade=None, by_turn={}, standard_error=0.1,
        unanimous=None,
    )  # fmt: skip
    exam = {"r1": inputs.models["r1"].model_copy(update={"judged": judged})}
    known = inputs.model_copy(update={"benchmarks": {"exam": exam}, "published": {"exam": "AlpacaEval 2.0"}})
    ((_, rows),) = benchmarks(known)
    assert [(row.label, row.cells[0].text) for row in rows[1:3]] == [
        ("r1, win rate", "62.5"),
        ("r1, win rate at equal length", "50.0"),
    ]
    assert rows[-1].cells[0].text == "87.6"
    _, page = build_report(known)
    assert "r1, win rate at equal length" in page


def test_a_further_benchmark_stands_beside_the_held_out_problems_in_both_files() -> None:
    inputs = report_inputs()
    exam = {"r1": inputs.models["dev1"], "distilled/qwen": inputs.models["distilled/qwen"]}
    numbers, page = build_report(inputs.model_copy(update={"benchmarks": {"exam": exam}}))
    assert keys(numbers["benchmarks"]["exam"]) == {"r1", "distilled/qwen"}
    assert keys(numbers["benchmarks"]["exam"]["r1"]) == keys(numbers["models"]["r1"]) - {"favourites", "depths"}
    overall = exam["r1"].overall.pass_at_1
    assert numbers["benchmarks"]["exam"]["r1"]["pass_at_1"] == overall
    assert numbers["models"] == report_json(inputs)["models"]  # the claims stay on the held-out problems
    section = page[page.index('<section id="benchmark-exam">') :].partition("</section>")[0]
    row = next(line for line in section.split("<tr>") if line.startswith("<th>r1</th>"))
    assert row.count(f"{100 * overall:.1f}") == 1


def test_the_page_says_what_a_token_costs_beside_plain_attention() -> None:
    html = build_report(report_inputs())[1]
    section = html[html.index('id="sizes"') : html.index('id="replies"')]
    cells = re.findall(r'<td class="n">([\d.,]+)', section)
    assert cells[:6] == ["627,340", "529,036", "84.3", "288", "1,536", "5.3"]
    assert cells[6:] == ["600,000", "600,000", "100.0", "1,024", "2,048", "2.0"]


class Page(HTMLParser):
    """Collects tags, attributes, and whether every element is closed."""

    VOID = frozenset({"meta", "br", "line", "path", "circle"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def period(step: int, flat: float) -> Period:
    return Period(
        step=step, rollouts=64, tokens=20.0, truncated=0.0, flat=flat, reward=0.5, parts={"accuracy": 0.5},
        outcomes={"correct": 32, "wrong": 32}, sampler_gap=None, empty_think=0.0, repetition=0.0, language=0.9,
        entropy=0.4,
    )  # fmt: skip


def reinforced() -> ReportInputs:
    """Returns inputs with the rollouts of R1-Zero: two periods, one warning, and one example with a hostile text."""
    hostile = ShownRollout(
        rollout_id="0123456789abcdef", step=4, domain="math", outcome="wrong", reward=0.1, tokens=7,
        text="<script>alert(1)</script>",
    )  # fmt: skip
    shown = ShownRollouts(
        health=Health(rollouts=128, periods=(period(0, 0.1), period(4, 0.8)), warnings=("80% of groups are flat",)),
        examples={"best": (), "worst": (hostile,), "longest": (), "unearned": (hostile,)},
    )
    return report_inputs().model_copy(update={"rollouts": {"r1_zero": shown}})


def test_the_report_shows_the_health_of_the_rollouts_in_both_files() -> None:
    numbers, page = build_report(reinforced())
    found = numbers["rollouts"]["r1_zero"]
    assert (found["rollouts"], found["warnings"]) == (128, ("80% of groups are flat",))
    assert [each["flat"] for each in found["periods"]] == [0.1, 0.8]
    section = page[page.index('<section id="rollouts">') :].partition("</section>")[0]
    assert "128 rollouts; 1 warning:" in section
    assert "<li>80% of groups are flat</li>" in section
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", section)
    assert "Share in groups of equal rewards" in titles
    assert "Entropy, nats a token" in titles
    assert "Gap to the sampler, nats a token" not in titles  # which no period knows
    assert re.findall(r"<summary>(.*?)</summary>", section) == [
        "Measures by step", "Ten worst", "Ten rewarded most without a correct answer",
    ]  # fmt: skip
    assert "&lt;script&gt;alert(1)" in section
    assert "<script>" not in page
    assert '<section id="rollouts">' not in build_report(report_inputs())[1]


def test_a_long_text_is_cut_in_the_middle_and_says_so() -> None:
    assert cut("a" * SHOWN_CHARACTERS) == "a" * SHOWN_CHARACTERS
    shown = cut("a" * 30_000 + "b" * 30_000)
    assert shown == "a" * 600 + " [… 58,800 characters …] " + "b" * 600


def test_the_page_loads_nothing_and_closes_what_it_opens() -> None:
    html = build_report(reinforced())[1]
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert "src" not in page.attributes
    assert not re.search(r"https?:|@import|url\(", html)


HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7 * 7 }}</pre><think>ok</think>"""


def hostile_inputs() -> ReportInputs:
    inputs = report_inputs()
    reply = Reply(text=HOSTILE, outcome=Outcome.WRONG)
    shown = Exchange(
        question=HOSTILE, domain="math", language="en", reference=HOSTILE, replies={"base": reply, HOSTILE: reply}
    )
    return inputs.model_copy(
        update={
            "exchanges": (shown,),
            "models": {**inputs.models, HOSTILE: inputs.models["r1"]},
            "node_of": {**inputs.node_of, HOSTILE: "r1"},
            "benchmarks": {HOSTILE: {HOSTILE: inputs.models["r1"]}},
            "environment": {HOSTILE: HOSTILE},
            "corpus": inputs.corpus.model_copy(update={"dropped": {HOSTILE: 1}}),
        }
    )


def test_model_text_cannot_leave_its_place() -> None:
    html = build_report(hostile_inputs())[1]
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "img", "think"}
    assert "onerror" not in page.attributes
    assert "{{ 7 * 7 }}" in html
    assert "<b>&lt;script&gt;" in html


def test_a_run_without_students_curves_or_models_still_has_a_page() -> None:
    bare = report_inputs().model_copy(
        update={
            **{
                name: {}
                for name in (
                    *("models", "marks", "favourites", "reward_models", "general_preference", "liked", "sizes"),
                    *("stages", "gates", "training"),
                )
            },
            "corpus": CorpusStats(
                by_domain={},
                dropped={},
                heldout_overlap=0,
                rechecked=0,
                agreed=0,
                support=Support(rows=0, unsupported=0),
            ),
            "exchanges": (),
        }
    )
    report, html = build_report(bare)
    assert Page(html).open == []
    assert report["corpus"]["rows"] == 0
    assert "not measured" in html


def test_another_profile_has_no_bars_and_a_slow_machine_misses_none() -> None:
    inputs = report_inputs()
    other = inputs.model_copy(update={"profile": "small"})
    assert bars(other) == []
    _, html = build_report(other)
    assert 'id="bars"' not in html
    assert "bars met" not in html
    slow = bars(inputs.model_copy(update={"total_seconds": 1e6}))
    assert slow == bars(inputs)


def test_every_claim_is_made_once() -> None:
    claims = [bar.claim for bar in bars(report_inputs())]
    assert len(claims) == len(set(claims))


def test_the_laptop_has_bars_of_its_own_also_with_another_base() -> None:
    inputs = report_inputs()
    for profile in ("laptop", "laptop:some/folder", "laptop-bf16"):
        found = {bar.claim: bar for bar in bars(inputs.model_copy(update={"profile": profile}))}
        tiny = {bar.claim: bar for bar in bars(inputs)}
        assert found["r1_zero − base: pass@1"].limit == 0.25
        assert found["r1_zero − base: pass@1"].value == tiny["r1_zero − base: pass@1"].value
        ends = [inputs.models[name].by_domain["math"].pass_at_1_ci for name in ("r1_zero", "base")]
        apart = found["r1_zero: lower end of Mathematics, above the upper end of base"]
        assert apart.value == ends[0].lo - ends[1].hi
        assert "sft_corpus: problems shared with the held-out set" in found


def test_bars_measure_differences_and_stay_silent_where_a_model_is_missing() -> None:
    found = {bar.claim: bar for bar in bars(report_inputs())}
    gain = found["r1_zero − base: pass@1"]
    assert (gain.value, gain.passed) == (pytest.approx(0.794 - 0.171), True)
    assert found["r1 − best of r1_zero, dev2: pass@1"].value == pytest.approx(0.841 - 0.829)
    inputs = report_inputs()
    swapped = {field: {**(of := getattr(inputs, field)), "r1": of["dev1"]} for field in ("models", "marks")}
    worse = inputs.model_copy(update=swapped)
    assert missed(worse) - missed(inputs) == {
        "r1 − best of r1_zero, dev2: pass@1",
        "r1 − best of r1_zero, dev2: mean over domains",
        "r1: language consistency",
    }
    without = {
        field: {name: each for name, each in getattr(inputs, field).items() if name != "dev2"}
        for field in ("models", "marks")
    }
    silent = {bar.claim for bar in bars(inputs.model_copy(update=without)) if bar.passed is None}
    assert silent == {
        "dev2: language consistency",
        "dev2 − dev2_no_language_reward: language consistency",
        "r1 − best of r1_zero, dev2: pass@1",
        "r1 − best of r1_zero, dev2: mean over domains",
        *(f"dev2: lower end of {title}, above the upper end of base" for title in ("Code", "STEM", "Logic")),
    }


def missed(inputs: ReportInputs) -> set[str]:
    return {bar.claim for bar in bars(inputs) if bar.passed is False}


def test_a_difference_stands_beside_its_paired_interval() -> None:
    """The gain is 319 of 512 problems, two for each fact: 256 facts and the two pseudo-facts."""
    gain = next(bar for bar in bars(report_inputs()) if bar.claim == "r1_zero − base: pass@1")
    assert gain.interval is not None
    lo, hi = gain.interval
    assert lo < 0.794 - 0.171 < hi
    assert hi - lo == pytest.approx(2 * 1.96 * (0.623 * 0.377 / 256) ** 0.5, rel=0.05)
    numbers = report_json(report_inputs())
    assert (numbers["differences"]["r1_zero − base"]["math"]["lo"], numbers["bars"][2]["interval"]) == (lo, (lo, hi))
    assert set(numbers["differences"]["r1 − dev3"]) == {"math", "code", "stem", "logic", "general", "overall"}


def test_one_letter_for_everything_and_a_perfect_reward_model_miss_their_bars() -> None:
    inputs = report_inputs()
    always = FrequentAnswer(answer="d", share=0.995, answers=512)
    collapsed = inputs.model_copy(
        update={
            "favourites": {**inputs.favourites, "dev2": {"stem": always}},
            "reward_models": {
                **inputs.reward_models,
                "safety_rm": inputs.reward_models["safety_rm"].model_copy(update={"accuracy": 1.0}),
            },
        }
    )
    assert missed(collapsed) - missed(inputs) == {
        "STEM: most frequent letter of any trained model",
        "safety_rm: accuracy on held-out pairs, which are not all easy",
    }
    base_only = inputs.model_copy(update={"favourites": {"base": {"stem": always}}})
    assert next(bar for bar in bars(base_only) if bar.claim.startswith("STEM")).value is None


def test_domains_whose_intervals_overlap_and_a_clip_that_never_acts_miss_their_bars() -> None:
    inputs = report_inputs()
    steps = tuple({**step, "clipped": 0.0} for step in inputs.training["r1_zero"])
    equal = inputs.model_copy(
        update={
            "models": {**inputs.models, "distilled/qwen": inputs.models["student_base/qwen"]},
            "liked": {**inputs.liked, "r1": inputs.liked["dev3"]},
            "training": {**inputs.training, "r1_zero": steps},
        }
    )
    assert missed(equal) - missed(inputs) == {
        *(
            f"distilled/qwen: lower end of {title}, above the upper end of student_base/qwen"
            for title in ("Code", "STEM", "Logic")
        ),
        "r1 − dev3: reward-model score on general prompts, lower end",
        "r1_zero: clipped share of tokens, greatest of a step",
    }


def test_a_domain_that_this_machine_has_no_problems_of_has_no_bars() -> None:
    inputs = report_inputs()
    left_out = bars(inputs.model_copy(update={"left_out": {"code": "no sandbox"}}))
    assert {bar.claim for bar in bars(inputs)} - {bar.claim for bar in left_out} == {
        f"{name}: lower end of Code, above the upper end of {base}"
        for name, base in [
            *((model, "base") for model in ("r1_zero", "dev2", "r1")),
            *((f"distilled/{student}", f"student_base/{student}") for student in ("qwen", "llama")),
        ]
    }


def problem(name: str, domain: Domain, language: Language) -> Problem:
    tests = (Case(kind="call", function="f", given="[1, 2]", expected="3", limit_s=1.0),) if domain == "code" else ()
    return Problem(
        id=name, question=name, answer="1", tests=tests, domain=domain, language=language, source="t", licence="CC0-1.0"
    )


def test_exchanges_are_chosen_by_place() -> None:
    problems = [
        problem("unasked", "math", "en"),
        problem("zh", "math", "zh"),
        problem("en", "math", "en"),
        problem("code", "code", "zh"),
    ]
    table = pl.DataFrame(
        {
            "problem_id": ["zh", "en", "en", "code"],
            "sample_index": [0, 1, 0, 0],
            "text": ["a", "second", "first", "c"],
            "outcome": ["wrong", "correct", "wrong", "correct"],
        }
    )
    recipe = ReportRecipe(exchanges=3, exchange_models=("base", "r1"))
    shown = exchanges(recipe, problems, {"base": table, "dev1": table})
    assert [e.question for e in shown] == ["en", "code"]
    assert shown[0].replies == {"base": Reply(text="first", outcome=Outcome.WRONG)}
    assert shown[1].reference == "f(1, 2) = 3"


def test_numbers_align_on_their_point() -> None:
    assert number(79.42, 1) == Cell("79.4")
    assert number(2029.0, 0, 1) == Cell("2,029", ".0")
    assert number(13.4, 1, 3) == Cell("13.4", "00")
    assert number(None, 1) == Cell("–", ".0")
    assert number(-0.02, 2) == Cell("−0.02")


def test_times_are_rounded_to_seconds_and_ticks_to_round_numbers() -> None:
    assert (clock(59.6), clock(754.2)) == ("1:00", "12:34")
    assert nice_ticks(0.03, 0.81) == [0.0, 0.5, 1.0]
    assert nice_ticks(17.2, 21.4) == [16.0, 18.0, 20.0, 22.0]
    assert running_mean([1.0, 2.0, 6.0], 1) == [1.5, 3.0, 4.0]


def test_the_reward_models_and_what_the_last_run_made_of_them_are_figures() -> None:
    """A spot's position is its predicted and observed share: 0.7 of [0.5, 1] is 40% of the width."""
    inputs = report_inputs()
    [(name, plot), _] = calibrations(inputs)
    spots = re.findall(r'class="dot a" cx="([0-9.]+)" cy="([0-9.]+)" r="([0-9.]+)"', plot)
    assert name == "helpful_rm" and len(spots) == 2
    assert float(spots[0][0]) == pytest.approx(LEFT + 0.4 * (WIDTH - LEFT - RIGHT), abs=0.1)
    assert float(spots[0][1]) > float(spots[1][1]) and spots[0][2] == spots[1][2]
    reward, rule = optimization(inputs)
    assert "3.0" in reward[1] and "0.78" in rule[1]  # at the last step, means over the last ones
    report, html = build_report(inputs)
    assert html.count(f"Calibration of {name}") == 1
    assert report["reward_models"]["safety_rm"]["calibration"][0] == {
        "predicted": 0.7,
        "observed": pytest.approx(0.62),
        "pairs": 64,
    }
    assert optimization(inputs.model_copy(update={"training": {}})) == []


def test_general_prompts_are_counted_with_whoever_had_a_say_in_both_files() -> None:
    numbers, page = build_report(report_inputs())
    r1 = numbers["general"]["r1"]
    assert (r1["completions"], r1["unreferenced"]) == (9, 6)
    assert r1["evaluated_by"] == {"reference": 3, "refusal rule": 9, "reward model": 9}
    section = page.split('<section id="general">')[1].split("</section>")[0]
    row = next(line for line in section.split("<tr>") if line.startswith("<th>r1</th>"))
    # Replies, without a reference; declined: 3 of 4 harmful, none look harmful, 1 of 5; score and wins over Dev3.
    shown = re.findall(r'<td class="n">([\d.–]+)', row)
    assert shown == ["9", "6", "75.0", "–", "20.0", "0.620", "80.0", "–", "–", "–", "–"]


def test_the_report_says_how_evenly_experts_shared_the_last_steps_of_training() -> None:
    rows = tuple(
        {"step": float(step), "expert_load_max_over_mean": 4.0 if step <= 10 else 1.5} for step in range(1, 31)
    )
    inputs = report_inputs().model_copy(update={"training": {"base": rows, "distilled/qwen": ({"step": 1.0},)}})
    assert report_json(inputs)["expert_load"] == {"base": 1.5}  # steps 11 to 30; a dense model has no experts
    html = build_report(inputs)[1]
    section = html[html.index('id="sizes"') : html.index('id="replies"')]
    assert re.findall(r'<td class="n">([\d.,–]+)', section)[6] == "1.50"
    [plot] = re.findall(r"<figure>.*?</figure>", section, re.DOTALL)
    assert "base in training: busiest expert over the mean" in plot
    assert plot.count('<path class="raw') == 1 and ">1.50</text>" in plot  # the last mean, written at the line's end
