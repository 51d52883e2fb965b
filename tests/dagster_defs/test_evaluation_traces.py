"""The law of evaluations in MLflow: scores by benchmark on run and model, and a trace with its verdict, each once."""

from pathlib import Path

import pytest

from dagster_defs.settings import Settings
from dagster_defs.tracking.evaluation_traces import COMPLETION, log_evaluation
from dagster_defs.tracking.stage_runs import TrackingStore
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Completions, EvalReport
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import SamplingRecord, SamplingSubject, sample_and_store, select_problems
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader
from tests.evaluation.run_fakes import ASK, HELDOUT, FakeRun, says


def evaluated(home: Path) -> EvalReport:
    """Two problems of mathematics that are answered right, and two of logic that are not."""
    run = FakeRun(home)
    heldout = run.problems("heldout_problems", HELDOUT)

    def answer(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model="r1", model_digest="the model", problems_digest=heldout.digest)
        engine = FakeEngine(lambda r: says("a", "A" if "math" in r.problem_id else "B", "chat")(r))
        chosen, _ = select_problems(HELDOUT, ASK, draft)
        return BuildResult({"rows": sample_and_store(engine, chosen, "chat", ASK, subject, draft).height})

    answers = run.add(Completions, "answers/r1", answer, inputs={"heldout": heldout})

    def score(draft: Draft) -> BuildResult:
        with Grader({"math": ChoiceVerifier(), "logic": ChoiceVerifier()}) as grader:
            asked = SamplingRecord.model_validate(answers.asked())
            grade(answers.completions(), asked, grader, HELDOUT, GradeRecipe(ks=(1,)), draft)
        return BuildResult()

    return run.add(EvalReport, "evaluation/r1", score, inputs={"answers": answers})


def test_mlflow_gets_scores_by_benchmark_and_a_trace_for_each_completion_of_a_sample_once(tmp_path: Path) -> None:
    import mlflow

    report = evaluated(tmp_path)
    tracking = TrackingStore(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow-artifacts")
    client = tracking.connect()
    run_id = client.create_run(tracking.experiment).info.run_id
    model = mlflow.create_external_model(name="r1", tags={"r1.digest": "the model"}, experiment_id=tracking.experiment)
    for _ in range(2):  # told twice, known once
        log_evaluation(client, run_id, report, 3)
    found = client.get_run(run_id).data.metrics
    assert (found["evaluation/pass_at_1"], found["evaluation/math/pass_at_1"]) == (0.5, 1.0)
    assert len(client.get_metric_history(run_id, "evaluation/pass_at_1")) == 1
    scored = {each.key: each for each in client.get_logged_model(model.model_id).metrics}
    assert (scored["evaluation/pass_at_1"].value, scored["evaluation/logic/pass_at_1"].value) == (0.5, 0.0)
    assert scored["evaluation/pass_at_1"].dataset_name == "evaluation"
    traces = client.search_traces(locations=[tracking.experiment], run_id=run_id)
    assert len({trace.info.tags[COMPLETION] for trace in traces}) == len(traces) == 3
    rows = {f"{row['problem_id']}/{row['sample_index']}": row for row in report.completions().iter_rows(named=True)}
    for trace in traces:
        row = rows[trace.info.tags[COMPLETION]]
        (span,) = trace.data.spans
        assert (span.outputs, span.inputs["reference"]) == (row["text"], "A")
        (verdict,) = trace.info.assessments
        assert (verdict.feedback.value, verdict.source.source_id) == (row["outcome"], row["verifier"])
        assert verdict.rationale == row["detail"]


def test_the_number_of_traces_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_TRACED_COMPLETIONS", "0")
    assert Settings.from_environment().traced_completions == 0
