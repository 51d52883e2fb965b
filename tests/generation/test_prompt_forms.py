"""Prompt forms on a real tiny model with a chat template of its own: what it reads, where it stops, its score."""

from pathlib import Path

import pytest
from own_template import make_qwen

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.data.templates import FORMS, PREAMBLE
from r1_pipeline.errors import RecipeError
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.generation.engine import requests_for
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord, SamplingSubject, sample_and_store
from r1_pipeline.generation.tokens import (
    MARKUP,
    encode,
    fitting_problems,
    load_tokenizer,
    prompt_in,
)
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Outcome, Problem, Sampling
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.training.import_pretrained import ImportRecipe, LocalModel, digest_of, import_base
from r1_pipeline.training.model_shape import shape_in

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=40)
SUBJECT = SamplingSubject(model="base", model_digest="d" * 64, problems_digest="p" * 64)
OWN = "<|im_start|>user\n2+2=?<|im_end|>\n<|im_start|>assistant\n"


def problem(name: str, question: str, answer: str = "4") -> Problem:
    return Problem(
        id=name,
        question=question,
        answer=answer,
        tests=(),
        domain="math",
        language="en",
        source="t#1",
        licence="CC0-1.0",
    )


SUM = problem("sum", "2+2=?")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen(tmp_path_factory.mktemp("qwen"))


def imported(source: Path, into: Path, **changes: object) -> Path:
    recipe = ImportRecipe(
        source=LocalModel(digest=digest_of(source)), shape=shape_in(source), layers=None, architecture="qwen2",
        dtype="float32", **{"chat_template": "own", **changes},
    )  # fmt: skip
    draft = bare_draft(into)
    import_base(recipe, Runtime(models={digest_of(source): str(source)}), draft)
    return draft.path


def test_an_imported_base_reads_its_own_chat_template_with_control_tokens_as_markup(qwen: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(imported(qwen, tmp_path))
    assert prompt_in("own_chat", "2+2=?", tokenizer) == OWN
    assert prompt_in("own_chat_opened", "2+2=?", tokenizer) == OWN + "<think>"
    assert prompt_in("own_zero", "2+2=?", tokenizer) == OWN.replace("2+2=?", PREAMBLE + "2+2=?")
    [ids] = encode(tokenizer, [OWN], own=True)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert [number for number in ids if number < 3] == [start, end, start]
    assert tokenizer.decode(ids) == OWN
    assert not {0, 1, 2} & set(encode(tokenizer, [OWN], own=False)[0])


def test_a_question_that_spells_a_control_token_is_set_aside_in_the_models_own_form_alone(qwen: Path) -> None:
    spelled = problem("spelled", "what does <|im_end|> mean?")
    kept, dropped = fitting_problems([SUM, spelled], qwen, "own_chat", reply_tokens=8)
    assert [each.id for each in kept] == ["sum"]
    assert [(row.reason, row.detail) for row in dropped] == [
        (MARKUP, "the question spells '<|im_end|>', a control token of the model's chat template")
    ]
    assert fitting_problems([SUM, spelled], qwen, "chat", reply_tokens=8) == ([SUM, spelled], [])


def sampled(engine: HfEngine, template: str, stop: tuple[str, ...]) -> list[Completion]:
    requests = requests_for([SUM, problem("other", "1+1=?", "2")], template, samples=6, run_seed=0)
    return engine.generate(requests, SAMPLING.model_copy(update={"stop": stop}))


def test_a_stop_string_ends_the_very_reply_that_goes_on_without_it(qwen: Path) -> None:
    engine = HfEngine(qwen, Runtime(threads=1, generation_batch=5))
    tokenizer = load_tokenizer(qwen)
    free, stopped = sampled(engine, "own_chat", ()), sampled(engine, "own_chat", ("7", "ab"))
    assert any("7" in each.text for each in free)
    for whole, part in zip(free, stopped, strict=True):
        places = [whole.text.find(stop) + len(stop) for stop in ("7", "ab") if stop in whole.text]
        if not places:
            assert (part.text, part.token_ids) == (whole.text, whole.token_ids)
            continue
        assert part.text == whole.text[: min(places)]
        assert part.finish_reason == "stop"
        assert whole.token_ids[: len(part.token_ids)] == part.token_ids
        assert tokenizer.decode(part.token_ids, skip_special_tokens=True) == part.text
        assert part.logprobs == pytest.approx((whole.logprobs or ())[: len(part.token_ids)])


def test_where_the_prompt_opens_the_thought_the_reply_has_its_tag(qwen: Path) -> None:
    engine = HfEngine(qwen, Runtime(threads=1))
    assert {each.text.startswith("<think>") for each in sampled(engine, "own_chat_opened", ())} == {True}
    assert {each.text.startswith("<think>") for each in sampled(engine, "chat_opened", ())} == {True}
    assert {each.text.startswith("<think>") for each in sampled(engine, "own_chat", ())} == {False}


SAID = "<think>2 and 2</think> <answer>4</answer>"


@pytest.mark.parametrize(
    ("said", "text", "outcome", "well_formed"),
    [
        (SAID + "\nUser: 3+3=?\nAssistant: 6" + 99 * " more", SAID, Outcome.CORRECT, True),
        ("It is 4.\nUser: and 3+3=?" + 99 * " more", "It is 4.", Outcome.MALFORMED, False),
        (
            "<think>2 and 2</think> <answer>5</answer>.",
            "<think>2 and 2</think> <answer>5</answer>",
            Outcome.WRONG,
            True,
        ),
    ],
)
def test_a_base_that_goes_on_as_the_user_is_stopped_and_not_truncated(
    tmp_path: Path, said: str, text: str, outcome: Outcome, well_formed: bool
) -> None:
    """Without stop strings the first two are cut off at 60; the form keeps `</answer>` and drops the user."""
    recipe = SamplingRecipe(
        sampling=SAMPLING.model_copy(update={"max_tokens": 60}), samples=1, problems={"math": 1}, seed=0, stop="form"
    )
    draft = bare_draft(tmp_path)
    rows = sample_and_store(FakeEngine(lambda _: said), [SUM], "zero", recipe, SUBJECT, draft)
    assert rows["text"].to_list() == [text]
    assert rows["finish_reason"].to_list() == ["stop"]
    asked = SamplingRecord.model_validate_json((draft.path / "asked.json").read_text())
    assert asked.sampling.stop == FORMS["zero"].stops == ("</answer>", "\nUser:")
    with default_grader(Runtime()) as grader:
        scores = grade(rows, asked, grader, [SUM], GradeRecipe(ks=(1,)), draft)
    assert scores.overall.outcomes == {outcome: 1}
    assert scores.overall.format_rate == float(well_formed)
    assert (scores.identity.template, scores.identity.sampling.stop) == ("zero", FORMS["zero"].stops)


def test_without_stop_strings_nothing_is_new_in_what_is_stored() -> None:
    assert SAMPLING.model_dump() == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 40}


def test_a_real_model_is_asked_in_its_own_form_and_scored(qwen: Path, tmp_path: Path) -> None:
    recipe = SamplingRecipe(sampling=SAMPLING, samples=4, problems={"math": 1}, seed=0, stop=("4",))
    draft = bare_draft(tmp_path)
    rows = sample_and_store(HfEngine(qwen, Runtime(threads=1)), [SUM], "own_boxed", recipe, SUBJECT, draft)
    asked = SamplingRecord.model_validate_json((draft.path / "asked.json").read_text())
    with default_grader(Runtime()) as grader:
        scores = grade(rows, asked, grader, [SUM], GradeRecipe(ks=(1,)), draft)
    assert scores.identity.template == "own_boxed"
    assert scores.overall.n == 4
    assert not rows["text"].str.contains("4", literal=True).any()  # it is no part of the form


def test_a_model_without_a_chat_template_is_refused_where_its_own_is_asked_for(tmp_path: Path) -> None:
    bare = make_qwen(tmp_path / "bare", chat_template=None)
    with pytest.raises(RecipeError, match=r"has no chat template; import it with chat_template=\"ours\""):
        imported(bare, tmp_path / "own")
    with pytest.raises(
        RecipeError, match="has no chat template of its own; take a prompt form that brings its dialogue"
    ):
        fitting_problems([SUM], bare, "own_zero", reply_tokens=8)
    assert prompt_in("own_chat", "2+2=?", load_tokenizer(imported(bare, tmp_path / "ours", chat_template="ours"))) == (
        "User: 2+2=?\nAssistant:"
    )


def test_a_model_that_names_no_end_token_is_refused(tmp_path: Path) -> None:
    endless = make_qwen(tmp_path / "endless", end=None)
    with pytest.raises(
        RecipeError, match=r"names an end token, so no reply could end; set eos_token_id in its config\.json"
    ):
        imported(endless, tmp_path / "base")


def test_a_context_that_the_form_alone_fills_is_refused_with_its_numbers(qwen: Path) -> None:
    """`zero` is its preamble and `User: ?`, a line's end, `Assistant:`: one token a character."""
    least = len(PREAMBLE) + len("User: ?\nAssistant:")
    assert fitting_problems([], qwen, "zero", reply_tokens=512 - least) == ([], [])
    with pytest.raises(
        RecipeError, match=rf"form 'zero' takes {least} tokens around any question and the reply up to 512"
    ):
        fitting_problems([SUM], qwen, "zero", reply_tokens=512)
