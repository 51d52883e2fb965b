"""The law of shards: one shard is sampled again, or made again after a loss, without the others and other domains."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from homes import Automation, changed

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.graph.node import AssetName
from r1_pipeline.lineage.library import Library
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.profile import sharded
from r1_pipeline.settings.reruns import ON_APPROVAL, Reruns

pytestmark = pytest.mark.slow

BY_HAND = Reruns(
    groups=dict.fromkeys(("alignment", "distilled", "evaluation", "ablations"), ON_APPROVAL), approve_above=9
)


def cut(made: Profile, seeds: Mapping[str, int]) -> Profile:
    """Returns `made` with mathematics in two shards, with these seeds; training on the corpus needs approval."""
    traces = sharded(made.recipes["reasoning_traces"], {"math": 2})
    for part, seed in seeds.items():
        ask = traces[part].ask.model_copy(update={"seed": seed})
        traces[part] = traces[part].model_copy(update={"ask": ask})
    return replace(made.with_recipes({"reasoning_traces": traces}), reruns=BY_HAND)


def test_a_shard_is_made_again_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def now(**seeds: int) -> Automation:
        changed(monkeypatch, lambda made: cut(made, {k.replace("_", "."): v for k, v in seeds.items()}))
        return Automation(home)

    def newest(name: str) -> Corpus:
        found = Library.of(home).find(name)
        assert isinstance(found, Corpus)
        return found

    whole = {sample.sample_id for sample in newest("reasoning_traces/math").samples()}
    assert set(now().settle()) == {
        *("reasoning_answers/math.00", "reasoning_answers/math.01"),
        *("reasoning_traces/math.00", "reasoning_traces/math.01", "sft_corpus"),
    }
    shards = [newest(f"reasoning_traces/math.0{index}") for index in range(2)]
    assert {sample.sample_id for shard in shards for sample in shard.samples()} == whole

    assert set(now(math_01=77).settle()) == {
        "reasoning_answers/math.01", "reasoning_traces/math.01", "sft_corpus",
    }  # fmt: skip

    lost = newest("reasoning_traces/math.00")
    (answers,) = (ref for edge, ref in lost.manifest.inputs.items() if edge == "answers")
    shutil.rmtree(lost.path)
    shutil.rmtree(home / "artifacts" / answers.kind / answers.name / answers.fingerprint)
    other = newest("reasoning_traces/math.01").manifest
    automation = now(math_01=77)
    automation.materialize({AssetName(f"reasoning_{kind}", "math.00") for kind in ("answers", "traces")})
    assert newest("reasoning_traces/math.00").digest == lost.digest
    assert newest("reasoning_traces/math.01").manifest == other
    assert automation.settle() == []
