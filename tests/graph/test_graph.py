"""Laws of a graph: mistakes are named with their remedy, parents come first, and the rest follows from the page."""

import random
from dataclasses import replace

import pytest

from r1_pipeline.errors import GraphError, UnknownNameError
from r1_pipeline.evaluation.controls import Control
from r1_pipeline.graph import gates
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1
from r1_pipeline.graph.node import Derived, Graph, Node, Ref
from r1_pipeline.verbs import curate, distill, finetune


def node(name: str, **inputs: str) -> Node:
    """A model that is tuned; `inputs` are names of nodes by parameter."""
    return Node(name, finetune, {edge: Ref(source) for edge, source in inputs.items()}, "tests", "A model.", name)


PROBLEMS = Node("exam_problems", curate, {}, "problems", "An exam.", "exam_problems")


def test_an_input_that_no_node_is_is_named_with_its_reader_and_its_edge() -> None:
    with pytest.raises(GraphError, match=r"^dev9 reads 'dev8' as corpus, and there is no such node; add it$"):
        Graph((node("base"), node("dev9", base="base", corpus="dev8")))


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(GraphError, match=r"^two nodes are called 'r1_zero'; rename one, or replace it with"):
        DEEPSEEK_R1.with_nodes(node("r1_zero", base="base"))


def test_a_node_may_not_take_the_name_of_one_that_is_derived() -> None:
    with pytest.raises(GraphError, match="two nodes are called 'evaluation/dev1'"):
        DEEPSEEK_R1.with_nodes(node("evaluation/dev1", base="base"))


def test_a_cycle_is_refused_with_those_in_it() -> None:
    cycle = (node("one", base="two"), node("two", base="three"), node("three", base="one"))
    with pytest.raises(GraphError, match=r"form a cycle, or read one that does: one, two, three; cut an edge"):
        Graph((node("base"), *cycle))
    with pytest.raises(GraphError, match=r"cycle.*: alone; cut an edge"):
        Graph((node("alone", base="alone"),))


def test_a_node_without_a_verb_is_the_report_of_which_there_is_one_and_which_needs_a_cast() -> None:
    summary = Node("summary", None, {}, "tests", "A second report.", None)
    with pytest.raises(GraphError, match=r"^summary has no verb, and report is the report already; give it a verb$"):
        DEEPSEEK_R1.with_nodes(summary)
    with pytest.raises(GraphError, match=r"^summary has no verb, so it is the report, and the graph has no cast"):
        Graph((node("base"), summary))


@pytest.mark.parametrize("seed", range(5))
def test_parents_come_first_in_whatever_order_nodes_are_written(seed: int) -> None:
    written = list(DEEPSEEK_R1.written)
    random.Random(seed).shuffle(written)
    graph = replace(DEEPSEEK_R1, written=tuple(written))
    seen: set[str] = set()
    for each in graph:
        assert set(each.parents) <= seen, each.name
        seen.add(each.name)
    assert seen == set(DEEPSEEK_R1.nodes)


def test_every_checkpoint_is_asked_and_scored_and_the_report_reads_everything() -> None:
    models = DEEPSEEK_R1.checkpoints
    assert set(models) == {
        *("base", "student_base", "r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1"),
        *("distilled", "student_rl_only"),
    }
    for model in models:
        assert DEEPSEEK_R1.node(f"answers/{model}").parents == (model, "heldout_problems")
        assert DEEPSEEK_R1.node(f"evaluation/{model}").parents == (f"answers/{model}", "heldout_problems")
    assert set(DEEPSEEK_R1.node("report").parents) == set(DEEPSEEK_R1.nodes) - {"report"}


def test_descendants_are_all_that_is_made_from_a_node() -> None:
    assert DEEPSEEK_R1.descendants("dev3") == {
        *("helpful_rm", "safety_rm", "r1", "answers/dev3", "answers/r1", "evaluation/dev3", "evaluation/r1"),
        *("preference_scores", "report"),
    }
    assert DEEPSEEK_R1.descendants("report") == set()


def test_a_node_is_replaced_under_its_own_name_only() -> None:
    dev1 = replace(DEEPSEEK_R1.node("dev1"), about="Another.")
    graph = DEEPSEEK_R1.replacing(dev1)
    assert graph.node("dev1").about == "Another." and list(graph.nodes) == list(DEEPSEEK_R1.nodes)
    with pytest.raises(UnknownNameError, match=r"unknown asset 'dev9'; .*valid: .*dev1"):
        DEEPSEEK_R1.replacing(node("dev9"))


def test_a_derived_node_reads_what_the_other_reads_and_keeps_the_checks_of_soundness() -> None:
    graph = DEEPSEEK_R1.deriving("r1_zero_cold", "r1_zero", {"grpo.temperature": 0.5}, "Colder.")
    cold, zero = graph.node("r1_zero_cold"), graph.node("r1_zero")
    assert (cold.verb, cold.inputs, cold.group) == (zero.verb, zero.inputs, "ablations")
    assert [check.name for check in zero.checks] == ["beats_base", "format_rate", "same_tokenizer", "training_guards"]
    assert [check.name for check in cold.checks] == ["same_tokenizer", "training_guards"]
    assert {"answers/r1_zero_cold", "evaluation/r1_zero_cold"} <= set(graph.nodes)


def test_a_branch_is_a_copy_whose_nodes_read_each_other_and_whose_checks_look_at_the_copies() -> None:
    graph = DEEPSEEK_R1.branching("b", {"base": {"seed": 1}}, ("base", "r1_zero"), "on another seed")
    zero = graph.node("r1_zero_b")
    assert zero.inputs == {"policy": Ref("base_b"), "problems": Ref("reasoning_problems")}
    assert (zero.about, zero.instead) == ("r1_zero, on another seed.", {"base": "base_b", "r1_zero": "r1_zero_b"})
    assert (zero.recipe, graph.node("base_b").recipe) == (Derived("r1_zero", {}), Derived("base", {"seed": 1}))
    assert {"evaluation/base_b", "evaluation/r1_zero_b"} <= set(graph.nodes)
    mapped = DEEPSEEK_R1.deriving("r1_b", "r1", {}, "Another.", instead={"helpful_rm": "safety_rm"}).node("r1_b")
    assert mapped.inputs["reward_models"] == {"helpful": Ref("safety_rm"), "safety": Ref("safety_rm")}
    with pytest.raises(GraphError, match=r"^b changes base, and copies only r1_zero; copy it too$"):
        DEEPSEEK_R1.branching("b", {"base": {"seed": 1}}, ("r1_zero",), "on another seed")


def test_a_control_compares_models_that_are_scored() -> None:
    control = Control(
        effect="It grows", control="it cannot", measure="tokens", domains=("math",), rises=True,
        pair=("r1_zero", "base"), under=("r1_zero", "basis"),
    )  # fmt: skip
    with pytest.raises(GraphError, match=r"^the control of 'It grows' compares basis, and there is no such checkpoint"):
        DEEPSEEK_R1.with_controls(control)


def test_a_benchmark_is_asked_of_every_checkpoint_and_kept_out_of_every_corpus() -> None:
    graph = DEEPSEEK_R1.with_benchmark("exam", PROBLEMS)
    added = {f"{kind}/{model}" for kind in ("exam_answers", "exam") for model in graph.checkpoints}
    assert set(graph.nodes) == set(DEEPSEEK_R1.nodes) | added | {"exam_problems"}
    assert graph.node("exam/r1").inputs == {"answers": Ref("exam_answers/r1"), "heldout": Ref("exam_problems")}
    assert graph.node("exam_answers/distilled").each == "students"
    assert graph.node("sft_corpus").inputs["benchmarks"] == {"exam": Ref("exam_problems")}
    assert graph.evaluation("r1") == "evaluation/r1"  # the first benchmark decides gates and promotion


def test_a_second_merge_is_screened_too_and_one_without_benchmarks_is_as_before() -> None:
    other = replace(DEEPSEEK_R1.node("sft_corpus"), name="other_corpus")
    graph = DEEPSEEK_R1.with_nodes(other).with_benchmark("exam", PROBLEMS)
    assert graph.node("other_corpus").inputs["benchmarks"] == {"exam": Ref("exam_problems")}
    assert "benchmarks" not in DEEPSEEK_R1.node("sft_corpus").inputs


def test_a_student_of_ones_own_is_one_node_and_is_judged_like_the_others() -> None:
    tutor = Node(
        name="tutor",
        verb=distill,
        inputs={"base": Ref("base"), "corpus": Ref("sft_corpus")},
        group="distilled",
        about="The base itself, tuned.",
        recipe="tutor",
        checks=(gates.same_tokenizer(Ref("base")),),
    )
    graph = DEEPSEEK_R1.with_nodes(tutor)
    assert {"answers/tutor", "evaluation/tutor"} <= graph.descendants("tutor")
    assert "tutor" in graph.checkpoints


def test_roles_of_edges_say_what_teaches_and_what_keeps_out() -> None:
    corpus = DEEPSEEK_R1.with_benchmark("exam", PROBLEMS).node("sft_corpus")
    assert [corpus.role(edge) for edge in ("reasoning", "heldout")] == ["trains on", "keeps out"]
    assert DEEPSEEK_R1.node("student_rl_only").role("budget") == "budgets"
    assert DEEPSEEK_R1.node("general_traces").role("tokenizer_of") == "counts"
    assert DEEPSEEK_R1.node("evaluation/r1").role("heldout") == "measures"
