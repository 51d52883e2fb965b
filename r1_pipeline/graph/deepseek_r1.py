"""The paper on one page: every artifact of DeepSeek-R1 (Nature 645:633-638, arXiv 2501.12948v2), in the paper's order.

Each node names its verb, its inputs, and the gates that stop everything downstream. Both SFT stages restart from the
base; R1-Zero feeds the cold-start data only; preference rewards enter only near the end. The profile sets all amounts
(`profiles`). Answers and evaluations of every checkpoint, and the report, are derived: a further benchmark or model
is one line; it is planned, scheduled, evaluated and reported, and a benchmark is also kept out of the corpus.
"""

from r1_pipeline.evaluation.inputs import Cast
from r1_pipeline.graph import gates
from r1_pipeline.graph.node import Benchmark, Graph, Page, Ref, derived, every, first
from r1_pipeline.verbs import (
    ask,
    collect_general,
    compare_preferences,
    curate,
    curate_preferences,
    distill,
    draft_cold_start,
    finetune,
    fit_preference,
    merge,
    pretrain,
    reinforce,
    rejection_sample,
)

# fmt: off
# The page reads like a table; one argument per line would hide the edges.

page = Page()
node = page.node

# Problems, for training and for evaluation; the profile names their sources.
problems = node(
    "reasoning_problems", curate, group="problems",
    about="Training problems in maths, code, STEM and logic; each passed its own verifier.",
    checks=[gates.reward_hacks(), gates.known_characters()],
)
heldout = node(
    "heldout_problems", curate, group="problems",
    about="Problems of all domains that no training stage ever sees; the side is a hash of what a problem is about.",
    checks=[gates.known_characters()],
)
prompts = node(
    "general_prompts", curate, group="problems",
    about="Requests without a checkable answer: helpful ones, and harmful ones to decline.",
    checks=[gates.known_characters()],
)
pairs = node(
    "preference_pairs", curate_preferences, group="problems",
    about="Pairs of a better and a worse reply, for helpfulness and for safety.",
    checks=[gates.known_characters()],
)

# Bases: trained by the profile, or imported.
base = node(
    "base", pretrain, group="base",
    about="The base: DeepSeek-V3-Base, or what the profile takes in its place.",
)
student_base = node(
    "student_base", pretrain, group="base", each="students",
    about="Bases of the students, of Qwen and Llama architecture.",
)

# R1-Zero (section 2): reinforcement learning alone.
r1_zero = node(
    "r1_zero", reinforce, group="r1_zero", policy=base, problems=problems, expects="zero", paper_cost="R1-Zero",
    about="R1-Zero: GRPO from the base with accuracy and format rewards, no SFT, no critic (paper, section 2).",
    checks=[gates.beats(base), gates.format_rate(), gates.same_tokenizer(base), gates.training_guards()],
)

# Cold start (B.3.2): R1-Zero's samples, filtered and rewritten.
cold_start_answers = node(
    "cold_start_answers", ask, group="cold_start", recipe="cold_start_data.ask", model=r1_zero, problems=problems,
    about="R1-Zero's completions for training problems, not judged.", paper_cost="SFT data",
)
cold_start = node(
    "cold_start_data", draft_cold_start, group="cold_start", answers=cold_start_answers, problems=problems,
    tokenizer_of=base,
    about="Long reasoning to start from: R1-Zero's right and readable samples, rewritten (paper, section B.3.2).",
    checks=[gates.known_characters(), gates.answer_distribution(problems, warns=True)],
)

# Dev1 and Dev2 (section 3): cold start, then reasoning RL with a language-consistency reward.
dev1 = node(
    "dev1", finetune, group="reasoning", base=base, corpus=cold_start, paper_cost="R1",
    about="Dev1: SFT of the base on the cold-start data.",
    checks=[gates.same_tokenizer(base)],
)
dev2 = node(
    "dev2", reinforce, group="reasoning", policy=dev1, problems=problems, paper_cost="R1",
    about="Dev2: reasoning RL of Dev1 with accuracy, format and language-consistency rewards (paper, section 3).",
    checks=[
        gates.language_consistency(), gates.no_regression(dev1), gates.same_tokenizer(base), gates.training_guards(),
        gates.suspect_references(problems),
    ],
)

# The corpus (B.3.3), which corresponds to the paper's 800k samples.
reasoning_answers = node(
    "reasoning_answers", ask, group="corpus", each="traces", recipe="reasoning_traces.ask", model=dev2,
    problems=problems, paper_cost="SFT data",
    about="Dev2's completions of one domain, or of a shard of it, not judged.",
)
traces = node(
    "reasoning_traces", rejection_sample, group="corpus", each="traces", answers=reasoning_answers, problems=problems,
    about="Dev2's verified, readable completions of one domain, or of a shard of it (paper, section B.3.3).",
)
general = node(
    "general_traces", collect_general, group="corpus", prompts=prompts, tokenizer_of=base,
    about="Written replies to general prompts; tokens are counted with the tokenizer of the base.",
)
corpus = node(
    "sft_corpus", merge, group="corpus", parts={"reasoning": every(traces), "general": general}, heldout=heldout,
    about="The corpus that Dev3 and all students learn from: every row once, with its provenance, none held out.",
    checks=[
        gates.all_verified(), gates.no_heldout(heldout), gates.licences_allowed(),
        gates.recheck_agrees(problems, prompts), gates.known_characters(), gates.answer_distribution(problems),
    ],
)

# Alignment (B.5): SFT of the base again, two reward models, the last RL stage.
dev3 = node(
    "dev3", finetune, group="alignment", base=base, corpus=corpus, paper_cost="R1",
    about="Dev3: SFT of the base once more, not of Dev2, on the whole corpus.",
    checks=[gates.same_tokenizer(base)],
)
helpful_rm = node(
    "helpful_rm", fit_preference, group="alignment", base=dev3, preferences=pairs, kind="helpful", paper_cost="R1",
    about="The reward model for helpfulness; it sees the final summary only (paper, section B.2).",
    checks=[gates.preference_accuracy()],
)
safety_rm = node(
    "safety_rm", fit_preference, group="alignment", base=dev3, preferences=pairs, kind="safety", paper_cost="R1",
    about="The reward model for safety; it sees the whole reply (paper, section B.2).",
    checks=[gates.preference_accuracy()],
)
r1 = node(
    "r1", reinforce, group="alignment", policy=dev3, problems=problems, general=prompts, paper_cost="R1",
    reward_models={"helpful": helpful_rm, "safety": safety_rm},
    about="R1: RL over all scenarios; preference rewards come in near the end only (paper, section B.5).",
    checks=[
        gates.language_consistency(), gates.no_regression(dev3, warns=True), gates.same_tokenizer(base),
        gates.training_guards(),
    ],
)

# Distillation (B.4.3, F.1) and ablations.
distilled = node(
    "distilled", distill, group="distilled", each="students", base=student_base, corpus=corpus,
    about="A student: SFT of its own base on R1's corpus, no RL (paper, section B.4.3).",
    checks=[gates.no_regression(student_base, warns=True), gates.same_tokenizer(student_base)],
)
student_rl_only = node(
    "student_rl_only", reinforce, group="ablations", policy=first(student_base), problems=problems,
    budget=first(distilled),
    about="RL on a student's base until it has cost as many tokens as distilling it (paper, section F.1).",
    checks=[
        gates.no_regression(first(student_base), warns=True), gates.same_tokenizer(first(student_base)),
        gates.training_guards(),
    ],
)
dev2_no_language_reward = page.add(derived(
    dev2, "dev2_no_language_reward", {"rubric.language": 0.0},
    about="Dev2's run without the language-consistency reward (paper, section B.6).",
))

# Evaluation (D.1): every checkpoint on every benchmark, scores by the reward models, and the report.
evaluation = Benchmark("evaluation", heldout.name)
preference_scores = node(
    "preference_scores", compare_preferences, group="evaluation", recipe=None,
    reward_models={"helpful": helpful_rm, "safety": safety_rm}, heldout=heldout,
    evaluations={m.name: Ref(f"{evaluation.name}/{m.name}") for m in (base, r1_zero, dev1, dev2, dev3, r1)},
    baseline=dev3.name,
    about="What the reward models think of each model's answers to held-out general prompts, and whether they like "
    "them better than Dev3's.",
    checks=[gates.no_less_preferred(r1, dev3)],
)
report = node(
    "report", None, group="evaluation",
    about="report.json and one self-contained page: the paper's tables next to ours, curves, gates, cost.",
)

DEEPSEEK_R1: Graph = page.graph(evaluation, Cast(
    base=base.name, zero=r1_zero.name, cold=dev1.name, language=dev2.name, unrewarded=dev2_no_language_reward.name,
    broad=dev3.name, final=r1.name, student_base=student_base.name, distilled=distilled.name,
    reinforced_student=student_rl_only.name, helpful=helpful_rm.name, safety=safety_rm.name, corpus=corpus.name,
    heldout=heldout.name,
))
"""The graph of the whole paper."""
