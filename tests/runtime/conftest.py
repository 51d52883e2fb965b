"""A home with a base that has hardly been trained and a corpus of sums; launched stages work in copies of it."""

from pathlib import Path

import pytest
from launched import Home, Homes, write_corpus

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.artifacts.store import Spec, Store
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.recipe import Recipe
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import pretrain


@pytest.fixture(scope="session")
def profile() -> Profile:
    return load_profile("smoke", 0)


@pytest.fixture(scope="session")
def origin(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("origin")
    web = profile.recipes["base"].web.model_copy(update={"texts": 200})
    barely = profile.recipes["base"].model_copy(update={"web": web, "steps": 4, "warmup_steps": 1})
    store = Store(home)
    pretrain(BuildContext(store, profile.runtime, "base"), barely)
    store.build(Corpus, Spec("sums", "merge", 1, Recipe(), {}), write_corpus)
    return home


@pytest.fixture
def home(origin: Path, tmp_path: Path, profile: Profile) -> Homes:
    return lambda name: Home(origin, tmp_path / name, profile)
