"""A profile with a user's own sources beside, or in the place of, the built-in problems."""

from dataclasses import replace

from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.data.ingest.declared import Declared
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.records import DOMAINS


def with_sources(profile: Profile, declared: Declared) -> Profile:
    """`profile` whose problem sets and preference pairs take what `declared` says."""

    def taking(recipe: CurateRecipe) -> CurateRecipe:
        sources = tuple(source for source in declared.recipes if source.feeds in recipe.domains)
        builtin = tuple(domain for domain in DOMAINS if domain in declared.builtin)
        return recipe.model_copy(update={"builtin": builtin, "sources": sources})

    recipe = profile.recipe
    pairs = {
        "builtin": "preference" in declared.builtin,
        "sources": tuple(source for source in declared.recipes if source.feeds == "preference"),
    }
    changed = {
        "reasoning_problems": taking(recipe.reasoning_problems),
        "heldout_problems": taking(recipe.heldout_problems),
        "general_prompts": taking(recipe.general_prompts),
        "preference_pairs": recipe.preference_pairs.model_copy(update=pairs),
    }
    runtime = profile.runtime.model_copy(update={"folders": dict(declared.folders)})
    return replace(profile, recipe=recipe.model_copy(update=changed), runtime=runtime)
