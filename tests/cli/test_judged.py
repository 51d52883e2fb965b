"""Judged benchmarks against a real local server that answers well, garbage, slowly, or with a changed model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from faulty_server import Fault, Script, serving

from r1_pipeline.artifacts.kinds import EvalReport
from r1_pipeline.artifacts.manifest import MANIFEST, content_digest, list_files, sealed
from r1_pipeline.artifacts.tables import read_table, write_table
from r1_pipeline.cli.evaluate import BenchmarkResult, chosen, evaluate_model, result_table, subject_of, with_judges
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.cli.regrade import run_regrade
from r1_pipeline.data.ingest.rows import digest_of_problems
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.errors import EngineError, GraderError, RecipeError, RequirementError, UnreachableError
from r1_pipeline.evaluation.benchmarks import load_benchmark, locate
from r1_pipeline.home import HomeSettings
from r1_pipeline.lineage.audit import audit
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.engines import OpenAiSettings

FACTS = [("Capital of France?", "Paris"), ("Capital of Peru?", "Lima"), ("Capital of Chad?", "N'Djamena")]
HEAD = 'title = "Facts"\nabout = "Facts."\norigin = "here"\nlicence = "CC0-1.0"\nmax_tokens = 16\nform = "own_chat"\n'
MAPPING = '[mapping]\nmakes = "problem"\ndomain = "general"\nlanguage = "en"\nquestion = "{{ question }}"\n'
Judge = Callable[[str], str]


def benchmark(folder: Path, judge: str, rows: list[tuple[str, str]] = FACTS, head: str = "") -> Path:
    """Writes the benchmark `facts` and its data; returns the folder."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"question": question, "answer": answer}) + "\n" for question, answer in rows]
    (folder / "facts.jsonl").write_text("".join(lines), encoding="utf-8")
    digest = digest_of_problems(problem_id(question, answer, (), "general") for question, answer in rows)
    pin = f'problems = {len(rows)}\ndigest = "{digest}"\n{head}'
    answer = 'answer = "{{ answer }}"\n'
    (folder / "facts.toml").write_text(HEAD + pin + MAPPING + answer + f"[judge]\n{judge}", encoding="utf-8")
    return folder


def run(
    model: str, folder: Path, home: Path, judges: str | None, name: str = "facts", timeout_s: float = 60.0
) -> BenchmarkResult:
    settings = HomeSettings(home=home, profile="smoke", seed=0)
    profile = settings.load()
    wanted = chosen(name, folder)
    runtime = profile.runtime
    if judges is not None:
        quick = OpenAiSettings(attempts=2, timeout_s=timeout_s)
        known = {each.partition("#")[2]: quick for each in judges.split(",")}
        wanted, runtime = with_judges(wanted, judges, runtime.model_copy(update={"judges": known}))
    object.__setattr__(profile, "runtime", runtime)
    found = [locate(each, folder) for each in wanted]
    (result,) = evaluate_model(subject_of(model, settings, profile, Orchestrator()), found, profile, home, None, None)
    return result


def shown(request: str) -> dict[str, str]:
    """Returns the JSON object that a judge is shown."""
    found: dict[str, str] = json.loads(request.splitlines()[-1])
    return found


def graded(grade: str) -> str:
    return json.dumps({"analysis": "so", "grade": grade})


def three_way(request: str) -> str:
    """Judges by the words of the answer."""
    seen = shown(request)
    if "know" in seen["answer"]:
        return graded("not_attempted")
    return graded("correct" if seen["reference"] in seen["answer"] else "incorrect")


def pupil(prompt: str) -> str:
    """Knows France, errs about Peru, and does not attempt Chad."""
    return {"France": "It is Paris.", "Peru": "Cuzco", "Chad": "I do not know."}[prompt.rstrip("?").split()[-1]]


THREE_WAY = 'protocol = "three_way"\nmodels = ["oracle"]\n'


def test_three_way_grades_are_counted_and_every_request_and_output_is_stored(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)
    model, judge = Script(replies=pupil, models={"m": None}), Script(replies=three_way, models={"oracle": None})
    judge.reports = lambda _: "oracle-2026"
    with serving(model) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
        again = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
    assert again == result
    assert len(judge.asked) == len(model.asked) == 3
    assert result.judged is not None
    assert result.judged.grades == {"correct": 1, "incorrect": 1, "not_attempted": 1}
    assert result.scores.pass_at_1 == pytest.approx(1 / 3)
    assert result.judged.correct_given_attempted == 0.5
    assert result_table([result]).columns[8].header == "by judges"
    assert list(result_table([result]).columns[8].cells) == ["F-score 40.0"]
    assert result.judged.f_score == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert result.judged.answered_by == {"oracle": "oracle-2026"}
    opinions = EvalReport.open(Path(result.evaluation)).opinions()
    assert sorted(opinions["grade"]) == ["correct", "incorrect", "not_attempted"]
    assert set(opinions["request"]) == {each["messages"][0]["content"] for each in judge.asked}
    assert all(json.loads(said)["grade"] == grade for said, grade in opinions.select("said", "grade").iter_rows())
    verifiers = EvalReport.open(Path(result.evaluation)).completions()["verifier"].unique().to_list()
    assert len(verifiers) == 1
    assert verifiers[0].startswith("judge@1+three_way-")
    assert verifiers[0].endswith("+oracle")


def test_garbage_is_a_grader_error_and_never_a_verdict(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)
    garbage = {"France": graded("correct"), "Peru": "It is wrong, clearly: incorrect", "Chad": graded("correct") * 2}
    judge = Script(replies=lambda request: garbage[shown(request)["question"].rstrip("?").split()[-1]])
    judge.models = {"oracle": None}
    with serving(Script(replies=pupil, models={"m": None})) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
        assert result.scores.outcomes == {"correct": 1, "grader_error": 2}
        assert (result.scores.pass_at_1, result.scores.n) == (1.0, 1)
        assert result.unscored == pytest.approx(2 / 3)
        judge.replies = lambda _: "no"
        with pytest.raises(GraderError, match="none of 3 completions in general has a score"):
            run(f"{at}#m", folder, tmp_path / "other", f"{by}#oracle")


@pytest.mark.parametrize("fault", ["silent", "busy", "half"])
def test_a_slow_or_broken_judge_is_asked_again_within_a_limit(fault: Fault, tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)
    judge = Script(replies=three_way, models={"oracle": None}, faults=[fault])
    with serving(Script(replies=pupil, models={"m": None})) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle", timeout_s=2.0)
        assert result.scores.n == 3
        assert len(judge.asked) == 4
        judge.faults = ["broken"] * 8
        with pytest.raises(UnreachableError, match="did not answer a request in 2 attempts, the last with status 500"):
            run(f"{at}#m", folder, tmp_path / "other", f"{by}#oracle")


def test_a_changed_model_stops_the_run_with_both_identities(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)
    judge = Script(replies=three_way, models={"oracle": None})
    judge.reports = lambda number: "oracle-2026" if number < 3 else "oracle-2027"
    both = "answered for 'oracle' as 'oracle-2026', and now as 'oracle-2027'"
    with serving(Script(replies=pupil, models={"m": None})) as at, serving(judge) as by:
        with pytest.raises(EngineError, match=both):
            run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
        with pytest.raises(EngineError, match=both):  # also after a restart: the earlier replies are kept
            run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
        assert not list((tmp_path / "home").rglob("opinions.parquet"))
        benchmark(folder, THREE_WAY + "seed = 1\n")
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
    assert result.judged is not None
    assert result.judged.answered_by == {"oracle": "oracle-2027"}


def test_a_judge_without_server_key_or_model_is_refused_before_sampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)
    model = Script(replies=pupil, models={"m": None})
    with serving(model) as at, serving(Script(models={"other": None})) as by:
        for judges, error, message in (
            (None, RequirementError, r"the judge oracle has no server; name one with --judge URL#NAME"),
            ("http://127.0.0.1:9/v1#oracle", UnreachableError, "does not answer"),
            (f"{by}#oracle", EngineError, "does not serve 'oracle'; it serves other"),
            (by, RecipeError, "names a server and no model"),
        ):
            with pytest.raises(error, match=message):
                run(f"{at}#m", folder, tmp_path / "home", judges)
        keyed = OpenAiSettings(base_url=by, key_variable="R1_TEST_KEY")
        monkeypatch.delenv("R1_TEST_KEY", raising=False)
        settings = HomeSettings(home=tmp_path / "home", profile="smoke", seed=0)
        profile = settings.load()
        object.__setattr__(profile, "runtime", profile.runtime.model_copy(update={"judges": {"oracle": keyed}}))
        found = [locate(load_benchmark("facts", folder), folder)]
        subject = subject_of(f"{at}#m", settings, profile, Orchestrator())
        with pytest.raises(EngineError, match="the environment variable R1_TEST_KEY is not set"):
            evaluate_model(subject, found, profile, tmp_path / "home", None, None)
    assert model.asked == []


def test_several_judges_vote(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", THREE_WAY)

    def harsh(request: str) -> str:
        return graded("incorrect")

    scripts = [
        Script(replies=each, models={name: None}) for name, each in (("x", three_way), ("y", three_way), ("z", harsh))
    ]
    with (
        serving(Script(replies=pupil, models={"m": None})) as at,
        serving(scripts[0]) as x,
        serving(scripts[1]) as y,
        serving(scripts[2]) as z,
    ):
        three = run(f"{at}#m", folder, tmp_path / "home", f"{x}#x,{y}#y,{z}#z")
        two = run(f"{at}#m", folder, tmp_path / "home", f"{x}#x,{z}#z")
    assert three.judged is not None
    assert three.judged.grades == {"correct": 1, "incorrect": 1, "not_attempted": 1}
    assert three.judged.unanimous == pytest.approx(1 / 3)
    assert two.scores.outcomes == {"grader_error": 2, "wrong": 1}  # one against one is no majority


PAIRWISE = 'protocol = "pairwise"\nmodels = ["oracle"]\nweight = 3\n'


def test_pairs_are_asked_in_both_orders_so_that_a_place_wins_nothing(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "b", PAIRWISE, head='metric = "win_rate"\n')
    judge = Script(replies=lambda _: graded("A>B"), models={"oracle": None})
    with serving(Script(replies=pupil, models={"m": None})) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle")
        assert len(judge.asked) == 6
        assert (result.metric, result.value, result.scores.pass_at_1) == ("win_rate", 0.5, 0.0)

        def fair(request: str) -> str:
            """Likes France's reply much more than the baseline's, Peru's less, and skips Chad in one order."""
            seen = shown(request)
            ours = "A" if seen["A"] in ("It is Paris.", "Cuzco", "I do not know.") else "B"
            if "France" in seen["request"]:
                return graded("A>>B" if ours == "A" else "B>>A")
            if "Peru" in seen["request"]:
                return graded("B>A" if ours == "A" else "A>B")
            return graded("A>B") if ours == "A" else "…"

        judge.replies = fair
        result = run(f"{at}#m", folder, tmp_path / "other", f"{by}#oracle")
    assert result.value == pytest.approx(3 / 4)  # three comparisons for the win, one for the defeat
    assert result.scores.outcomes == {"correct": 1, "grader_error": 1, "wrong": 1}
    assert result.judged is not None
    assert result.judged.judged == 2


def test_a_conversation_is_sampled_turn_by_turn_and_graded_with_what_was_said(
    public_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    shutil.copy(public_data / "instruct" / "mt_bench_questions.jsonl.gz", folder / "quick.jsonl.gz")
    (folder / "quick.toml").write_text('like = "mt_bench"\nlimit = 4\nsamples = 2\nmax_tokens = 16\n', encoding="utf-8")

    def grade(request: str) -> str:
        said = json.loads(request.splitlines()[-1])["conversation"]
        assert [*map(next, map(iter, said))] == ["user", "assistant"] * (len(said) // 2)
        return json.dumps({"analysis": "so", "grade": 9 if len(said) == 2 else 6})

    model = Script(replies=lambda prompt: "second" if "\nAssistant: first\nUser: " in prompt else "first")
    model.models = {"m": None}
    with serving(model) as at, serving(Script(replies=grade, models={"oracle": None})) as by:
        result = run(f"{at}#m", folder, tmp_path / "home", f"{by}#oracle", "quick")
        model.models = {"m": 32}  # room for one reply of 16 tokens, and not for two
        with pytest.raises(RecipeError, match="quick lets 2 replies in a row have 16 tokens each, the context of m"):
            run(f"{at}#m", folder, tmp_path / "other", f"{by}#oracle", "quick")
    assert len(model.asked) == 16
    stored = EvalReport.open(Path(result.evaluation)).completions()
    assert sorted(stored["sample_index"].unique()) == [0, 1, 2, 3]
    assert {row["text"] for row in stored.iter_rows(named=True) if row["sample_index"] >= 2} == {"second"}
    assert (result.metric, result.value) == ("mean_grade", 7.5)
    assert result.judged is not None
    assert result.judged.by_turn == {1: 9.0, 2: 6.0}
    assert result.scores.pass_at_1 == 0.5  # grades of 8 and more


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('metric = "mean_grade"\n', r'the metric mean_grade comes from judges; add \[judge\] with protocol = "grade"'),
        ('metric = "win_rate"\n[judge]\nprotocol = "grade"\nmodels = ["x"]\n', 'add .* with protocol = "pairwise"'),
        ('[judge]\nprotocol = "four_way"\nmodels = ["x"]\n', "judge.protocol: Input should be"),
        ('[judge]\nprotocol = "grade"\nmodels = []\n', "judge.models: Tuple should have at least 1 item"),
        ('[judge]\nprotocol = "three_way"\nmodels = ["x"]\n', 'its mapping makes math; set domain = "general"'),
    ],
)
def test_a_bad_judge_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n', encoding="utf-8")
    (tmp_path / "mine.toml").write_text(HEAD + 'mapping = "question_answer"\n' + text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        locate(load_benchmark("mine", tmp_path), tmp_path)


def audited(home: Path, name: str) -> list[str]:
    library = Library.of(home)
    found = audit(library, [library.find(name)], full=True, runtime=Runtime(threads=1))
    assert found.not_checked == ()
    return [f"{each.where}: {each.what}" for each in found.findings]


def altered(report: EvalReport, file: str, **columns: pl.Expr) -> None:
    """Alters columns of a stored table, and writes the matching checksums as a forger would."""
    write_table(report.path / file, read_table(report.path / file).with_columns(**columns))
    files = list_files(report.path)
    changed = report.manifest.model_copy(update={"files": files, "digest": content_digest(files)})
    (report.path / MANIFEST).write_text(sealed(changed).model_dump_json(indent=1) + "\n")


def test_an_audit_replays_the_record_and_finds_what_was_altered(tmp_path: Path) -> None:
    folder, home = benchmark(tmp_path / "b", THREE_WAY), tmp_path / "home"
    model, judge = Script(replies=pupil, models={"m": None}), Script(replies=three_way, models={"oracle": None})
    with serving(model) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, home, f"{by}#oracle")
    report = EvalReport.open(Path(result.evaluation))
    assert audited(home, report.name) == []
    assert run_regrade(home, report.name, 1).flips == ()
    peru = pl.col("request").str.contains("Peru")
    for file, columns, messages in (
        (
            "opinions.parquet",
            {"said": pl.when(peru).then(pl.lit(graded("correct"))).otherwise("said")},
            ["says incorrect, and the output of oracle says correct", "says wrong, and the opinions say correct"],
        ),
        (
            "opinions.parquet",
            {"request": pl.col("request").str.replace("Cuzco", "Lima")},
            ["the request to oracle was not"],
        ),
        (
            "completions.parquet",
            {"text": pl.col("text").str.replace("Cuzco", "Lima")},
            ["the request to oracle was not"],
        ),
        ("completions.parquet", {"outcome": pl.lit("correct")}, ["says correct, and the opinions say wrong"] * 2),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(home, copy)
        altered(EvalReport.open(copy / report.path.relative_to(home)), file, **columns)
        found = [
            each.partition(": ")[2] for each in audited(copy, report.name) if each.startswith(("reply", "opinion"))
        ]
        assert len(found) == len(messages)
        assert all(message in each for message, each in zip(messages, found, strict=True))
        shutil.rmtree(copy)


def test_regrading_reads_the_stored_outputs_again_and_asks_nobody(tmp_path: Path) -> None:
    folder, home = benchmark(tmp_path / "b", THREE_WAY), tmp_path / "home"
    model, judge = Script(replies=pupil, models={"m": None}), Script(replies=three_way, models={"oracle": None})
    with serving(model) as at, serving(judge) as by:
        result = run(f"{at}#m", folder, home, f"{by}#oracle")
    report = EvalReport.open(Path(result.evaluation))
    said = pl.when(pl.col("request").str.contains("Peru")).then(pl.lit("garbage")).otherwise("said")
    altered(report, "opinions.parquet", said=said)  # as if an earlier reader had found a grade in it
    (flip,) = run_regrade(home, report.name, 1).flips
    assert (flip.old, flip.new) == ("wrong", "grader_error")
    assert "no opinion of 0 of 1 judges: reply: Invalid JSON" in flip.detail
