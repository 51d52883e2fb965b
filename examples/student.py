"""Adds a third student; its base, distillation and both evaluations are partitions `mini`.

    r1 run --profile smoke --recipe examples/student.py

Gates, plans and the report include it.
"""

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import with_student
from r1_pipeline.training.pretrain import Dense, PretrainRecipe


def extend(profile: Profile) -> Profile:
    """Adds a student of Qwen architecture with one layer, trained and tuned like the first one."""
    base = profile.recipes["student_base"]["qwen"]
    assert isinstance(base, PretrainRecipe)
    assert isinstance(base.architecture, Dense)
    small = base.model_copy(update={"architecture": base.architecture.model_copy(update={"layers": 1})})
    return with_student(profile, "mini", small, profile.recipes["distilled"]["qwen"])
