"""The cold start in other words: by the template, by a checkpoint, by a server; judged again, on record, audited.

The checkpoint's engine says what a rule tells it to, behind a real tokenizer and prompt form; the server is real HTTP.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import polars as pl
import pytest

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Completions, Corpus, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import read_records, write_records, write_table
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.engines import ENGINE_SPECS, EngineSpec, OpenAi, Vllm
from r1_pipeline.errors import GraphError, RecipeError, RequirementError, UnknownNameError
from r1_pipeline.generation import vllm
from r1_pipeline.generation.engine_factory import ENGINES, EngineKind, add_engine
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.rejection import RewriteKeepRecipe, RewriteRecipe
from r1_pipeline.generation.rewriting import REWRITES, Accepted, ByCheckpoint, ByServer, Rewrite, rewrite_prompt
from r1_pipeline.generation.sampling import SamplingRecord, completion_schema
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.lineage.audit import audit
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.rewrites import check_rewrites
from r1_pipeline.lineage.trace import trace
from r1_pipeline.planning.work import work_of
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.extended import with_writer
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Completion, Outcome, Problem, Sampling
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.engines import OpenAiSettings
from r1_pipeline.training.model_stats import model_statistics
from r1_pipeline.training.sft import Row, train_sft
from tests.generation.faulty_server import Script, serving
from tests.training.training_runs import SFT

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=64)
WRITING = Sampling(temperature=0.0, top_p=1.0, max_tokens=150)
REPLIES = {
    3: "<think>three and three make six</think>So it is \\boxed{6}",  # right again
    4: "<think>four and four make nine</think>So it is \\boxed{9}",  # now wrong
    5: "It is \\boxed{10}",  # no thoughts
    6: "<think>six " + "and six " * 40 + "make twelve</think>\\boxed{12}",  # cut off
    7: "<think>" + "七加七等于十四 " * 3 + "</think>\\boxed{14}",  # another language
    8: "<think>see </Answer> it</think>So it is \\boxed{16}",  # a tag too many
    9: "<think>" + "no " * 24 + "</think>\\boxed{18}",  # repeats itself
}
"""Number to be doubled -> what the writer says."""


class Scripted(EngineSpec):
    """Says what `writes` tells it to."""

    type: Literal["scribe"] = "scribe"


def shown(prompt: str) -> dict[str, str]:
    """Returns the values that the prompt shows to the writer."""
    found: dict[str, str] = json.loads(next(line for line in prompt.splitlines() if line.startswith("{")))
    return found


def writes(prompt: str) -> str:
    return REPLIES[int(shown(prompt)["question"].split()[-1].strip("?"))]


def in_form_zero(text: str) -> str:
    """A reply of the table as R1-Zero and its base say such things."""
    thoughts, closed, final = text.rpartition("</think>")
    return f"{thoughts}{closed} <answer>{final}</answer>"


@pytest.fixture(scope="module", autouse=True)
def scripted() -> Iterator[None]:
    add_engine(
        Scripted,
        EngineKind(lambda _: "scribe-1", lambda *_: FakeEngine(lambda request: in_form_zero(writes(request.prompt)))),
    )
    yield
    for registry in (ENGINE_SPECS, ENGINES):
        del registry._entries["scribe"]  # tests share the registry of this process


def problem(number: int) -> Problem:
    question, answer = f"What is {number} + {number}?", str(2 * number)
    return Problem(
        id=problem_id(question, answer, (), "math"), question=question, answer=answer, tests=(), domain="math",
        language="en", source=f"sums/a.jsonl:{number}#{number}", licence="MIT",
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("home"))


def at(store: Store, name: str = "cold_start_data", runtime: Runtime | None = None) -> BuildContext:
    return BuildContext(store, runtime or load_profile("smoke", 0).runtime, name)


@pytest.fixture(scope="module")
def base(store: Store) -> Checkpoint:
    own = load_profile("smoke", 0).recipes["base"]
    web = own.web.model_copy(update={"texts": 200})
    barely = own.model_copy(update={"web": web, "steps": 2, "warmup_steps": 1, "context": 1024})
    return verbs.pretrain(at(store, "base"), barely)


@pytest.fixture(scope="module")
def problems(store: Store) -> ProblemSet:
    def make(draft: Draft) -> BuildResult:
        write_records(draft.path / "problems.parquet", [problem(n) for n in REPLIES], Problem)
        return BuildResult({"rows": len(REPLIES), "by_domain": {"math": len(REPLIES)}, "left_out": {}})

    return store.build(ProblemSet, Spec("reasoning_problems", "curate", 1, Recipe(), {}), make)


@pytest.fixture(scope="module")
def answers(store: Store, problems: ProblemSet) -> Completions:
    """A right reply of R1-Zero's to every problem, and a wrong one to the first."""
    asked = SamplingRecord(
        model="r1_zero", model_digest="z" * 64, problems_digest=problems.digest, template="zero", template_hash="t",
        sampling=SAMPLING, samples=1, seed=0, engine="fake",
    )  # fmt: skip
    said = [(n, 0, str(2 * n)) for n in REPLIES] + [(3, 1, "7")]
    rows = [
        Completion(
            problem_id=problem(n).id, sample_index=index, seed=index, token_ids=(1, 2), finish_reason="stop",
            engine="fake", text=f"<think>{n} and {n}</think> <answer>{answer}</answer>",
        ).model_dump()
        for n, index, answer in said
    ]  # fmt: skip

    def make(draft: Draft) -> BuildResult:
        write_table(draft.path / "completions.parquet", pl.DataFrame(rows, schema=completion_schema()))
        (draft.path / "asked.json").write_text(asked.model_dump_json(), encoding="utf-8")
        return BuildResult({"rows": len(rows)})

    return store.build(Completions, Spec("cold_start_answers", "ask", 1, Recipe(), {}), make)


def recipe(how: ByCheckpoint | ByServer) -> RewriteRecipe:
    own = load_profile("smoke", 0).recipes["cold_start_data"]
    keep = RewriteKeepRecipe(rules=own.keep.rules, per_problem=1, writer=how)
    return RewriteRecipe(ask=own.ask.model_copy(update={"problems": {"math": 9}}), keep=keep)


BY_BASE = ByCheckpoint(sampling=WRITING, seed=0, engine=Scripted())
BY_SERVER = ByServer(sampling=WRITING, seed=0, model="scribe-v3", engine=OpenAi(runs="test-1"))


@pytest.fixture(scope="module")
def rewritten(store: Store, answers: Completions, problems: ProblemSet, base: Checkpoint) -> Corpus:
    return verbs.rewrite_cold_start(at(store), answers, problems, base, recipe(BY_BASE), writer=base)


def test_what_a_writer_says_is_judged_and_measured_again_and_every_loss_has_its_reason(
    rewritten: Corpus, base: Checkpoint
) -> None:
    [row] = rewritten.samples()
    assert (row.question, row.response) == ("What is 3 + 3?", REPLIES[3])
    assert (row.outcome, row.generator, row.writer) == (Outcome.CORRECT, "z" * 64, base.digest)
    assert row.tokens == len(load_tokenizer(base.path)(REPLIES[3])["input_ids"]) != 2
    assert rewritten.manifest.drops == {
        "wrong": 1,  # R1-Zero's own
        "rewritten_wrong": 1,
        "not_rewritten": 1,
        "rewriting_cut_off": 1,
        "rewritten_mixed_language": 1,
        "rewritten_malformed": 1,
        "rewritten_repetition": 1,
    }


def test_a_trace_names_who_wrote_a_row_and_who_rewrote_it(store: Store, rewritten: Corpus, base: Checkpoint) -> None:
    [row] = rewritten.samples()
    found = {node.part: node for node in trace(Library.of(store.home), row.sample_id).below}
    assert found["written by"].name == "z" * 64
    assert found["rewritten by"].facts["digest"] == base.digest


def test_what_the_writer_was_asked_and_said_stands_beside_and_its_engine_and_form_in_the_fingerprint(
    rewritten: Corpus, base: Checkpoint
) -> None:
    made = read_records(rewritten.path / REWRITES, Rewrite)
    assert [each.said for each in made][:3] == [in_form_zero(REPLIES[n]) for n in (3, 4, 5)]
    assert made[3].finish_reason == "length" and made[3].response is None
    assert all(each.request and len(each.request) == 64 for each in made)
    uses = rewritten.manifest.payload["uses"]
    assert uses["engine"] == "scribe-1" and uses["rewriter"].startswith("engine@2+instructions-")
    assert uses["template"] == base.statistics["template_hash"]
    assert rewritten.manifest.inputs["writer"].digest == base.digest


def test_the_template_is_judged_and_counted_again_and_every_row_names_it(
    store: Store, answers: Completions, problems: ProblemSet, base: Checkpoint
) -> None:
    own = load_profile("smoke", 0).recipes["cold_start_data"]
    made = verbs.draft_cold_start(at(store), answers, problems, base, own)
    rows = made.samples()
    assert rows[0].response == "<think>3 and 3</think>\\boxed{6}"
    assert len(rows) == len(REPLIES) and {row.writer for row in rows} == {"template@1"}
    count = load_tokenizer(base.path)
    assert all(row.tokens == len(count(row.response)["input_ids"]) for row in rows)
    assert not list(check_rewrites(made, Library.of(store.home)))


def test_the_audit_replays_rewritings_and_finds_each_that_its_record_does_not_bear_out(
    store: Store, rewritten: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.of(store.home)
    assert list(check_rewrites(rewritten, library)) == []
    records = read_records(rewritten.path / REWRITES, Rewrite)

    def found(**edit: Any) -> set[str]:
        changed = [records[0].model_copy(update=edit), *records[1:]]
        monkeypatch.setattr("r1_pipeline.lineage.rewrites.read_records", lambda *_: changed)
        return {each.what for each in check_rewrites(rewritten, library)}

    def audited() -> set[str]:
        """Returns the findings of `r1 audit` about the corpus; the problems, which a test wrote, have no card."""
        findings = audit(library, [rewritten], full=True, runtime=Runtime()).findings
        return {each.what for each in findings if each.artifact.startswith("cold_start_data")}

    assert audited() == set()
    monkeypatch.setattr("r1_pipeline.lineage.rewrites.request_hash", lambda _: "another")
    assert audited() == {"its writer's prompt was not made from this problem and completion"}
    monkeypatch.undo()
    other = "is not a text of its rewriter"
    assert found(request="0" * 64) == {"its writer's prompt was not made from this problem and completion"}
    assert found(said="<think>a</think> <answer>b</answer>") == {"the output of its writer parses differently"}
    assert found(response="<think>a</think>b") == {"the output of its writer parses differently", other}
    assert found(response="<think>a</think>b", request=None) == {
        "is neither the template's text nor any model's",
        other,
    }
    assert found(sample_index=7) == {"is about a completion that is not among the answers", other}


def test_a_model_on_a_server_is_asked_as_text_and_named_in_every_row(
    store: Store, answers: Completions, problems: ProblemSet, base: Checkpoint
) -> None:
    script = Script(replies=writes)
    with serving(script) as url:
        server = OpenAiSettings(
            base_url=url, key_variable=None, concurrency=2, timeout_s=10.0, attempts=2,
            usd_per_million_prompt_tokens=0.0, usd_per_million_completion_tokens=0.0,
        )  # fmt: skip
        runtime = Runtime(openai=server)
        made = verbs.rewrite_cold_start(at(store, runtime=runtime), answers, problems, base, recipe(BY_SERVER))
    [row] = [row for row in made.samples() if row.question == "What is 3 + 3?"]
    assert (row.response, row.writer) == (REPLIES[3], "server/openai/test-1/scribe-v3")
    assert {body["model"] for body in script.asked} == {"scribe-v3"}
    first = next(body for body in script.asked if "What is 3 + 3?" in body["messages"][0]["content"])
    assert shown(first["messages"][0]["content"])["ending"] == "\\boxed{6}"
    assert made.manifest.payload["uses"]["engine"] == "openai/test-1"
    assert list(check_rewrites(made, Library.of(store.home))) == []


def test_a_real_model_that_has_learned_to_rewrite_writes_rows_on_its_own_engine(
    store: Store, answers: Completions, problems: ProblemSet, base: Checkpoint
) -> None:
    """It has learned what to say to one request, and says it to all: right for one problem, wrong for the others."""
    own = Accepted(problem=problem(3), reasoning="3 and 3", final="6", sample_index=0)
    lesson = Row(rewrite_prompt("chat", own), "<think>twice 3 is that</think>\\boxed{6}", "")

    def make(draft: Draft) -> BuildResult:
        learning = SFT.model_copy(update={"epochs": 24, "batch": 1, "max_tokens": 1000, "save_steps": 24})
        train_sft(base.path, [[lesson]], learning, Runtime(), draft)
        return model_statistics(draft, "chat")

    writer = store.build(Checkpoint, Spec("writer", "finetune", 1, SFT, {"base": base}), make)
    how = ByCheckpoint(sampling=WRITING.model_copy(update={"max_tokens": 40}), seed=0)
    made = verbs.rewrite_cold_start(at(store, "learned"), answers, problems, base, recipe(how), writer=writer)
    assert [(row.question, row.response) for row in made.samples()] == [("What is 3 + 3?", lesson.response)]
    assert made.manifest.drops == {"wrong": 1, "rewritten_wrong": len(REPLIES) - 1}
    assert made.manifest.payload["uses"]["engine"].startswith("transformers-")
    assert list(check_rewrites(made, Library.of(store.home))) == []


def test_a_server_that_the_runtime_does_not_name_and_the_wrong_input_are_refused(
    store: Store, answers: Completions, problems: ProblemSet, base: Checkpoint
) -> None:
    with pytest.raises(RequirementError, match="the recipe samples from a server and the runtime names none"):
        verbs.rewrite_cold_start(at(store, "other"), answers, problems, base, recipe(BY_SERVER))
    with pytest.raises(RecipeError, match="is given none of the inputs writer, and its recipe takes writer; give"):
        verbs.rewrite_cold_start(at(store), answers, problems, base, recipe(BY_BASE))
    with pytest.raises(RecipeError, match="is given writer of the inputs writer, and its recipe takes none"):
        verbs.rewrite_cold_start(at(store), answers, problems, base, recipe(BY_SERVER), writer=base)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile("smoke", 0)


def test_a_recipe_file_gives_a_checkpoint_or_a_server_the_pen_and_the_plan_counts_it(profile: Profile) -> None:
    wider = with_writer(profile, BY_BASE, "r1_zero")
    node = wider.graph.node("cold_start_data")
    assert node.verb is verbs.rewrite_cold_start and node.verb.work == "inference"
    assert dict(node.refs)["writer"].node == "r1_zero"
    name = wider.bound.name("cold_start_data")
    own = profile.recipes["cold_start_data"].ask
    completions = round(sum(own.problems.values()) * own.samples * profile.forecast.kept)
    sampled = work_of(wider)[name].sampled
    assert sampled is not None and (sampled.completions, sampled.limit) == (completions, 150)
    assert name not in work_of(with_writer(profile, BY_SERVER)) and name not in work_of(profile)


@pytest.mark.parametrize(
    ("how", "writer", "error", "said"),
    [
        (BY_BASE, "nobody", UnknownNameError, "nobody"),
        (BY_BASE, None, GraphError, "cold_start_data is given none of the inputs writer, and its recipe takes writer"),
        (BY_SERVER, "r1_zero", GraphError, "is given writer of the inputs writer, and its recipe takes none"),
        (
            BY_BASE,
            "reasoning_problems",
            GraphError,
            "reads reasoning_problems \\(problems\\) as writer, which must be checkp",
        ),
        (BY_BASE, "dev2", GraphError, "these nodes form a cycle"),
    ],
)
def test_a_writer_that_is_not_there_or_cannot_write_is_refused_in_one_line_before_any_work(
    profile: Profile, how: ByCheckpoint | ByServer, writer: str | None, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as found:
        with_writer(profile, how, writer)
    assert "\n" not in str(found.value)


def test_a_server_that_is_not_named_or_a_vllm_that_is_not_installed_is_missed_before_any_work(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        raise vllm.PackageNotFoundError(package)

    monkeypatch.setattr(vllm, "version", absent)
    said = "the recipe samples from a server and the runtime names none; add [openai] to runtime.toml"
    with pytest.raises(RequirementError) as found:
        with_writer(profile, BY_SERVER).require()
    assert str(found.value) == said
    with pytest.raises(RequirementError, match=r"^vLLM is not installed; install the extra `vllm`"):
        profile.with_engine(Vllm(dtype="float32")).require()
    profile.require()


def test_a_node_that_lacks_an_input_of_its_verb_or_has_one_too_many_is_refused(profile: Profile) -> None:
    draft = profile.graph.node("cold_start_data")
    for inputs, said in (
        ({k: v for k, v in draft.inputs.items() if k != "tokenizer_of"}, "cold_start_data lacks tokenizer_of, and"),
        ({**draft.inputs, "writer": draft.inputs["tokenizer_of"]}, "cold_start_data has writer, and draft_cold_start"),
    ):
        with pytest.raises(GraphError, match=said):
            _ = replace(profile, graph=profile.graph.replacing(replace(draft, inputs=inputs))).bound
