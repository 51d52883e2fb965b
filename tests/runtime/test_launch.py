"""Laws of launchers: the same verb makes the same bytes wherever it runs, is heard meanwhile, and fails as itself."""

import pytest
from launched import Heard, Homes, sft

from r1_pipeline.errors import RecipeError
from r1_pipeline.launchers import Inline, Subprocess
from r1_pipeline.profiles import Profile
from r1_pipeline.stages import finetune


def test_a_subprocess_makes_the_same_bytes_and_is_heard(home: Homes, profile: Profile) -> None:
    here, there, heard = home("here"), home("there"), Heard()
    inline = finetune(here.at("dev1", Inline()), here.base, here.corpus, sft(profile))
    launched = finetune(there.at("dev1", Subprocess(), heard), there.base, there.corpus, sft(profile))
    assert launched.manifest.fingerprint == inline.manifest.fingerprint
    assert launched.digest == inline.digest
    assert launched.statistics == inline.statistics
    assert heard.steps == [1, 2, 3, 4, 5, 6]
    assert heard.losses == [row["loss"] for row in launched.metrics()]


def test_an_error_in_a_subprocess_is_raised_as_the_error_that_it_was(home: Homes, profile: Profile) -> None:
    there = home("there")
    with pytest.raises(RecipeError, match="max_tokens is 3; raise it") as caught:
        finetune(there.at("dev1", Subprocess()), there.base, there.corpus, sft(profile, max_tokens=3))
    assert "in tokenized" in str(caught.value.__cause__)
