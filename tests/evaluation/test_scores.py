"""Scores that another version wrote are refused in one line that says which field differs and what to do."""

from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import SCORES, EvalReport
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.recipe import Recipe


def test_scores_of_another_version_are_refused_with_the_field_and_the_remedy(tmp_path: Path) -> None:
    def older(draft: Draft) -> BuildResult:
        (draft.path / SCORES).write_text("{}", encoding="utf-8")
        return BuildResult({})

    report = Store(tmp_path).build(EvalReport, Spec("evaluation/base", "evaluate", 1, Recipe(), {}), older)
    with pytest.raises(ArtifactError, match=r"another version \(identity: Field required\); run the evaluation again"):
        scores_of(report)
