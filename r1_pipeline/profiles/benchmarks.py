"""Adds benchmarks in TOML files to a profile: every file of the folder `benchmarks` in the home, or next to the recipe.

A benchmark is then a node like any other: kept out of all training data, planned, scheduled, evaluated and reported.
"""

from pathlib import Path

from r1_pipeline.evaluation.benchmarks import benchmarks_in, locate
from r1_pipeline.profiles.extended import asked_everywhere, own_evaluation
from r1_pipeline.profiles.profile import Profile


def with_benchmarks(profile: Profile, folder: Path) -> Profile:
    """Returns `profile` with every benchmark of a folder, whose data lies there too unless a file says otherwise.

    Raises `RecipeError` for a bad file, and `RequirementError` or `SourceError` for one without its data.
    """
    for benchmark in benchmarks_in(folder):
        found = locate(benchmark, folder)
        recipe = found.recipe(own_evaluation(profile))
        trainable = benchmark.use == "train"
        profile = asked_everywhere(
            profile, benchmark.name, found.source, found.folder, recipe, benchmark.paper, trainable
        )
    return profile
