"""Samples general rows from a model: Dev2 replies, and reward models keep replies with a score of 0.3 or more.

    r1 run --profile smoke --recipe examples/general.py --select +general_traces

The reward models are trained from the base for this purpose.
"""

from r1_pipeline.generation.judgements import AcceptRecipe, ByReward, SampleGeneralRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import with_sampled_general
from r1_pipeline.records import Sampling


def extend(profile: Profile) -> Profile:
    """Samples two replies to each of at most 100 prompts, and keeps one."""
    ask = SamplingRecipe(
        sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=48), samples=2, problems={"general": 100}, seed=0
    )
    keep = AcceptRecipe(by=ByReward(least=0.3), per_problem=1)
    return with_sampled_general(profile, writer="dev2", recipe=SampleGeneralRecipe(ask=ask, keep=keep))
