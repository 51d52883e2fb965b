"""Ray Train: workers on two nodes of a real local cluster train what one process trains."""

from pathlib import Path
from typing import Any

import pytest

from r1_pipeline.artifacts.store import Store
from r1_pipeline.profiles import load_profile
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.launchers import RayTrain
from r1_pipeline.verbs import pretrain

pytestmark = pytest.mark.slow


def test_workers_of_two_nodes_train_as_one_process_does(nodes: Any, tmp_path: Path) -> None:
    profile = load_profile("smoke", 0)
    web = profile.recipes["base"].web.model_copy(update={"texts": 400})
    barely = profile.recipes["base"].model_copy(update={"web": web, "steps": 6, "warmup_steps": 1, "save_steps": 3})
    assert barely.steps * barely.batch < 400  # one epoch: the last batch of each is filled up for ranks
    launcher = RayTrain(workers=2, sharding="ddp", address=nodes.address)
    there = profile.runtime.model_copy(update={"launcher": launcher})
    alone = pretrain(BuildContext(Store(tmp_path / "one"), profile.runtime, "base"), barely)
    shared = pretrain(BuildContext(Store(tmp_path / "two"), there, "base"), barely)
    one, two = ([row["loss"] for row in made.metrics()] for made in (alone, shared))
    assert len(set(one)) == 6
    assert two == pytest.approx(one, abs=1e-4)
    assert shared.manifest.fingerprint == alone.manifest.fingerprint
