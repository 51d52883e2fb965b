"""The model registry: chooses the champion version of a model, as an alias in MLflow.

A new version has the alias `candidate`. It becomes `champion` when every blocking gate of its asset passed and its
evaluation beats the present champion's, or when a user promotes it; the gates apply to users too. Every promotion is a
line in `HOME/promotions.jsonl` with the user, time, reason and both versions.
"""

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dagster_defs.latest_version import latest_good_version
from dagster_defs.settings import Settings
from dagster_defs.tracking.mlflow_runs import registered_name
from dagster_defs.tracking.stage_runs import TrackingStore
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.errors import R1Error
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import AssetName
from r1_pipeline.graph.stored import evaluation_of
from r1_pipeline.records import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
JOURNAL = "promotions.jsonl"
AUTOMATIC = "r1 (gates and evaluation)"


class PromotionError(R1Error):
    """Raised when a version may not become the champion."""


class Promotion(Record):
    """One line of the promotion journal."""

    model: str
    version: str
    before: str | None
    """Version of the previous champion, or None."""
    score: float
    """Mean pass@1 over all held-out problems, in [0, 1]."""
    who: str
    when: str
    why: str


def promote(
    settings: Settings, bound: Bound, name: AssetName, why: str | None, who: str, *, even_if_worse: bool
) -> Promotion:
    """Makes the newest version of a model that passed its gates the champion; `why` is None for an automatic promotion.

    Raises `GateFailedError` if no version passed, and `PromotionError` if it has no evaluation or scores no better than
    the champion.
    """
    model, manifest = str(name), read_manifest(latest_good_version(settings, bound, name))
    client = TrackingStore.of(settings).connect()
    version = _version_of(client, model, manifest.fingerprint)
    score = _score(settings, bound, name, manifest.digest)
    champion = _champion(client, model)
    if champion is not None and not even_if_worse:
        best = float(champion.tags["r1.score"])
        if champion.version == version.version:
            raise PromotionError(f"{model} version {version.version} is already the champion")
        if score <= best:
            raise PromotionError(
                f"{model} version {version.version} has pass@1 {score:.4f}, the champion (version {champion.version}) "
                f"{best:.4f}; add --even-if-worse to promote it anyway"
            )
    reason = why or ("the first version that passed its gates" if champion is None else "beats the champion")
    return _make_champion(settings, client, version, champion, model, score, who, reason)


def rollback(settings: Settings, model: str, why: str) -> Promotion:
    """Restores the previous champion of a model; raises `PromotionError` if there was none."""
    if not any(promotion.model == model for promotion in journal(settings)):
        raise PromotionError(f"{model} has had no champion yet; make one: r1 promote {model} --why REASON")
    client = TrackingStore.of(settings).connect()
    champion = _champion(client, model)
    before = champion.tags.get("r1.champion_before") if champion else None
    if champion is None or not before:
        raise PromotionError(f"{model} has had only one champion; see {settings.home / JOURNAL}")
    version = client.get_model_version(registered_name(model), before)
    score = float(version.tags["r1.score"])
    promotion = Promotion(
        model=model, version=before, before=str(champion.version), score=score, who=current_user(), when=_now(), why=why
    )
    client.set_registered_model_alias(registered_name(model), CHAMPION, before)
    _append_to_journal(settings, promotion)
    return promotion


def journal(settings: Settings) -> list[Promotion]:
    """Returns all promotions of a home in order."""
    path = settings.home / JOURNAL
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Promotion.model_validate_json(line) for line in lines]


def champion_fingerprints(settings: Settings) -> Iterator[str]:
    """Yields the fingerprints of all present and former champions, which a rollback may need."""
    moved = {
        (promotion.model, version)
        for promotion in journal(settings)
        for version in (promotion.version, promotion.before)
        if version
    }
    if not moved:
        return
    client = TrackingStore.of(settings).connect()
    for model, version in sorted(moved):
        yield client.get_model_version(registered_name(model), version).tags["r1.fingerprint"]


def current_user() -> str:
    """Returns the login name of the current user."""
    return getpass.getuser()


def _make_champion(
    settings: Settings, client: "MlflowClient", version: "ModelVersion", champion: "ModelVersion | None",
    model: str, score: float, who: str, why: str,
) -> Promotion:  # fmt: skip
    name, before = registered_name(model), str(champion.version) if champion else None
    promotion = Promotion(
        model=model, version=str(version.version), before=before, score=score, who=who, when=_now(), why=why
    )
    tags = {"r1.score": str(score), "r1.promoted_by": who, "r1.promoted_at": promotion.when, "r1.promoted_why": why}
    if before is not None:
        tags["r1.champion_before"] = before
    for key, value in tags.items():
        client.set_model_version_tag(name, version.version, key, value)
    client.set_registered_model_alias(name, CHAMPION, version.version)
    _append_to_journal(settings, promotion)
    return promotion


def _append_to_journal(settings: Settings, promotion: Promotion) -> None:
    with (settings.home / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(promotion.model_dump_json() + "\n")


def _version_of(client: "MlflowClient", model: str, fingerprint: str) -> "ModelVersion":
    versions = client.search_model_versions(f"name = '{registered_name(model)}'")
    matches = [version for version in versions if version.tags.get("r1.fingerprint") == fingerprint]
    if not matches:
        raise PromotionError(f"MLflow has no version {fingerprint[:12]} of {model}; run: r1 run --select {model}")
    return max(matches, key=lambda version: int(version.version))


def _score(settings: Settings, bound: Bound, name: AssetName, digest: str) -> float:
    """Returns the mean pass@1 of the newest evaluation of exactly this version; raises `PromotionError` if there is
    none.
    """
    evaluation = bound.evaluation(name)
    if report := evaluation_of(settings.home, evaluation, digest):
        return scores_of(report).overall.pass_at_1
    answers = bound.graph.answers(name.asset)
    raise PromotionError(f"this version has not been evaluated; run: r1 run --select {answers},{evaluation.asset}")


def _champion(client: "MlflowClient", model: str) -> "ModelVersion | None":
    name = registered_name(model)
    if CHAMPION not in client.get_registered_model(name).aliases:
        return None
    return client.get_model_version_by_alias(name, CHAMPION)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
