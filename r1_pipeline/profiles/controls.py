"""Control experiments for the toy world's effects: optional nodes that a toy profile can add, at extra cost.

    NODE_even_care              trained on a web whose authors slip as often when they mix languages
    NODE_no_check               trained on a web without the longest way to think
    distilled_clean_web_text    students tuned on as many tokens of careful web text as the teacher's corpus has
    distilled_solutions         students tuned on as many tokens of the toy world's own solutions to its problems

The report states for every effect whether it survives its control (`evaluation.controls`).
"""

from dataclasses import replace

from r1_pipeline.data.toy_corpus import ToyRecipe
from r1_pipeline.data.toy_tasks import Style
from r1_pipeline.errors import RecipeError
from r1_pipeline.evaluation.controls import Control
from r1_pipeline.generation.control_corpus import ToyCorpusRecipe
from r1_pipeline.graph.node import Graph, Node, Ref
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.records import REASONING_DOMAINS
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.verbs import write_toy

EVEN_CARE, NO_CHECK = "even_care", "no_check"
COLD_START = ("cold_start_answers", "cold_start_data")
LANGUAGE_LINE = ("base", "r1_zero", *COLD_START, "dev1", "dev2", "dev2_no_language_reward")
"""Nodes that the effects on language are measured on, and all nodes between them."""
WRITTEN = {
    "clean_web_text": "careful web text",
    "solutions": "the toy world's own solutions",
}
"""A control's corpus -> what the corpus holds."""
CONTROLS = (
    Control(
        effect="Reinforcement alone makes R1-Zero mix languages",
        control="authors of the web slip as often when they mix languages",
        measure="language consistency",
        domains=REASONING_DOMAINS,
        rises=False,
        pair=("r1_zero", "base"),
        under=(f"r1_zero_{EVEN_CARE}", f"base_{EVEN_CARE}"),
    ),
    Control(
        effect="The language reward keeps Dev2 to one language",
        control="authors of the web slip as often when they mix languages",
        measure="language consistency",
        domains=REASONING_DOMAINS,
        rises=True,
        pair=("dev2", "dev2_no_language_reward"),
        under=(f"dev2_{EVEN_CARE}", f"dev2_no_language_reward_{EVEN_CARE}"),
    ),
    Control(
        effect="R1-Zero thinks longer about maths than its base",
        control="nobody on the web checks an estimate",
        measure="tokens",
        domains=("math",),
        rises=True,
        pair=("r1_zero", "base"),
        under=(f"r1_zero_{NO_CHECK}", f"base_{NO_CHECK}"),
    ),
    Control(
        effect="R1-Zero solves more maths than its base",
        control="nobody on the web checks an estimate",
        measure="pass@1",
        domains=("math",),
        rises=True,
        pair=("r1_zero", "base"),
        under=(f"r1_zero_{NO_CHECK}", f"base_{NO_CHECK}"),
    ),
    *(
        Control(
            effect="A student solves more after it was tuned on the teacher's corpus",
            control=f"it is compared with the student that was tuned on as many tokens of {what}",
            measure="pass@1",
            domains=REASONING_DOMAINS,  # general rows of the corpora are written in other manners
            rises=True,
            pair=("distilled", "student_base"),
            under=("distilled", f"distilled_{name}"),
        )
        for name, what in WRITTEN.items()
    ),
)


def with_controls(profile: Profile) -> Profile:
    """Returns `profile` with the controls; raises `RecipeError` if its base is not trained on the toy web."""
    base = profile.recipes["base"]
    if not isinstance(base, PretrainRecipe):
        raise RecipeError(
            f"the controls change the toy web, and the base of {profile.name} does not read it; take tiny"
        )
    graph = profile.graph.branching(
        EVEN_CARE,
        {"base": {"web.mixed_care": 1.0}},
        LANGUAGE_LINE,
        "on a web whose authors slip as often when they mix languages",
    ).branching(
        NO_CHECK,
        {"base": {"web.styles": _unchecked(base.web)}},
        ("base", "r1_zero"),
        "on a web in which nobody checks an estimate",
    )
    for name in WRITTEN:
        graph = _tuned_on(graph, name)
    careful = _careful(base.web)
    terse = careful.model_copy(update={"styles": {"steps": 1.0}})
    return replace(profile, graph=graph.with_controls(*CONTROLS)).with_recipes(
        {
            "clean_web_text": ToyCorpusRecipe(web=careful, about="web", tokens=1.0),
            "solutions": ToyCorpusRecipe(web=terse, about="corpus", tokens=1.0),
        }
    )


def _unchecked(web: ToyRecipe) -> dict[Style, float]:
    """Replaces the longest style, `check`, by `steps`, so that no fewer authors are right."""
    steps = web.styles.get("steps", 0.0) + web.styles.get("check", 0.0)
    return {**{name: share for name, share in web.styles.items() if name != "check"}, "steps": steps}


def _careful(web: ToyRecipe) -> ToyRecipe:
    """Keeps of the web only authors who write out all steps, in one language, tidily and without a slip."""
    styles = {name: share for name, share in web.styles.items() if name != "hasty"}
    return web.model_copy(
        update={
            "zero_share": 0.0,
            "untidy_share": 0.0,
            "styles": styles,
            "mixed": dict.fromkeys(styles, 0.0),
            "slip": 0.0,
            "manners": {"good": 1.0},
        }
    )


def _tuned_on(graph: Graph, name: str) -> Graph:
    """Adds the corpus `name`, and students that are tuned on it, to `graph`."""
    corpus = Node(
        name=name,
        verb=write_toy,
        inputs={"budget": Ref("sft_corpus"), "tokenizer_of": Ref("student_base")},
        group="ablations",
        about=f"As many tokens of {WRITTEN[name]} as the teacher's corpus has.",
        recipe=name,
        each="students",
    )
    about = f"A student tuned on {WRITTEN[name]}, as many tokens of it as the teacher's corpus has."
    return graph.with_nodes(corpus).deriving(f"distilled_{name}", "distilled", {}, about, instead={"sft_corpus": name})
