"""Laws of several ranks: they train what one process trains, and resume from complete checkpoints.

All are real processes that talk over gloo on CPUs. Nothing here says anything about NCCL or GPUs.
"""

import pytest
from launched import Heard, Homes, sft

from r1_pipeline.errors import RecipeError
from r1_pipeline.profiles import Profile
from r1_pipeline.settings.launchers import Inline, Torchrun
from r1_pipeline.verbs import finetune

pytestmark = pytest.mark.slow
TWO = Torchrun(processes=2, sharding="ddp")
EQUAL = 1e-4


def test_two_ranks_finetune_as_one_process_does(home: Homes, profile: Profile) -> None:
    one, two, heard = home("one"), home("two"), Heard()
    alone = finetune(one.at("dev1", Inline()), one.base, one.corpus, sft(profile))
    shared = finetune(two.at("dev1", TWO, heard), two.base, two.corpus, sft(profile))
    assert heard.steps == [row["step"] for row in alone.metrics()]
    assert heard.losses == pytest.approx([row["loss"] for row in alone.metrics()], abs=EQUAL)
    assert shared.statistics == alone.statistics
    assert {file.path for file in shared.manifest.files} == {file.path for file in alone.manifest.files}


def test_a_batch_that_ranks_cannot_share_equally_is_refused(home: Homes, profile: Profile) -> None:
    two = home("two")
    with pytest.raises(RecipeError, match="2 ranks cannot share a batch of 3 equally"):
        finetune(two.at("dev1", TWO), two.base, two.corpus, sft(profile, batch=3))
