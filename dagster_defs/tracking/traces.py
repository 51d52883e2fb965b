"""Traces in MLflow: one for each reply of a model, with assessments, for rollouts and for evaluations.

Every write can be repeated: a reply that the run holds already is left out, and so is an assessment that its trace has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Trace

SOURCE_RUN = "mlflow.sourceRun"
"""MLflow's own name for the run that a trace belongs to."""


@dataclass(frozen=True)
class Assessment:
    """A judgement of a reply by code."""

    name: str
    value: str | float
    source: str
    """The judge, such as `name@version` of a verifier."""
    rationale: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Reply:
    """A reply of a model, as a trace shows it."""

    asked: Mapping[str, Any]
    """The problem, with its reference."""
    text: str
    facts: Mapping[str, Any]
    """The attributes of the trace."""
    assessments: tuple[Assessment, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


def log_replies(client: "MlflowClient", run_id: str, name: str, tag: str, replies: Mapping[str, Reply]) -> None:
    """Logs replies by id as traces called `name`, whose tag `tag` is the id, with their assessments."""
    import mlflow

    if not replies:
        return
    experiment = client.get_run(run_id).info.experiment_id

    def logged() -> "dict[str, Trace]":
        most = len(replies)
        found = client.search_traces(locations=[experiment], run_id=run_id, max_results=most, include_spans=False)
        return {trace.info.tags[tag]: trace for trace in found if tag in trace.info.tags}

    for id_ in replies.keys() - logged().keys():
        _log_trace(replies[id_], name, {tag: id_}, run_id, experiment)
    mlflow.flush_trace_async_logging()  # an assessment needs its trace
    for id_, trace in logged().items():
        if id_ in replies:
            _assess(replies[id_], trace)


def _log_trace(reply: Reply, name: str, tag: Mapping[str, str], run_id: str, experiment: str) -> None:
    import mlflow
    from mlflow.entities import SpanType

    span = mlflow.start_span_no_context(
        name,
        span_type=SpanType.LLM,
        inputs=dict(reply.asked),
        attributes=dict(reply.facts),
        tags={**reply.tags, **tag},
        metadata={SOURCE_RUN: run_id},
        experiment_id=experiment,
    )
    span.end(outputs=reply.text)


def _assess(reply: Reply, trace: "Trace") -> None:
    import mlflow
    from mlflow.entities import AssessmentSource

    had = {each.name for each in trace.info.assessments}
    for each in reply.assessments:
        if each.name not in had:
            mlflow.log_feedback(
                trace_id=trace.info.trace_id,
                name=each.name,
                value=each.value,
                source=AssessmentSource("CODE", each.source),
                rationale=each.rationale,
                metadata=dict(each.metadata) if each.metadata else None,
            )
