"""The page of `gpu.py` in Markdown, with every figure of its JSON that a reader compares."""

from gpu_settings import BuildResult


def page(found: BuildResult) -> str:
    """Renders all tables."""
    parts = (_head, _import, _rollouts, _gain, _course, _precision, _resume, _plan)
    return "\n\n".join(part(found) for part in parts) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _head(found: BuildResult) -> str:
    machine = found["machine"]
    card = f"{machine['card']}, {machine['memory_gib']:.0f} GiB" if machine["card"] else "a CPU (toy size)"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    commit = (machine["commit"] or "unknown")[:12]
    made = f"{packages}; Python {machine['python']}, {machine['platform']}; commit {commit}."
    return f"# What {card} does with r1-pipeline\n\n{made}"


def _import(found: BuildResult) -> str:
    made = found["import"]
    source = made["source"]
    name = source.get("repository") or f"{source['type']} {source['digest'][:12]}"
    size = f"{made['parameters'] / 1e6:,.1f} million parameters, {made['bytes'] / 2**20:,.0f} MiB"
    return f"## The base\n\n{name}, {made['architecture']}, {size}: imported in {made['seconds']:.1f} s."


def _rollouts(found: BuildResult) -> str:
    rows, absent = [], []
    for name, each in found["rollouts"].items():
        if name == "wall_s":
            continue
        if "absent" in each:
            absent.append(f"{name}: absent. {each['absent']}.")
            continue
        gap = each["gap_to_trainer"]
        rows.append(
            (
                each["engine"], str(each["completions"]), f"{each['tokens_per_s']:,.0f}", f"{each['truncated']:.2f}",
                f"{gap['mean']:.5f}", f"{gap['largest']:.3f}", gap["precision"],
            )
        )  # fmt: skip
    head = ("engine", "completions", "tokens/s", "cut off", "gap, nats a token", "largest", "trainer computes in")
    return "\n\n".join(["## Rollouts", _table(head, rows), *absent])


def _gain(found: BuildResult) -> str:
    rows = []
    for name, each in (("base", found["before"]), ("reinforced", found["after"])):
        within = each["pass_at_1_ci"]
        rows.append(
            (
                name, f"{each['pass_at_1']:.3f} ({within['lo']:.3f} to {within['hi']:.3f})",
                f"{each['format_rate']:.2f}", f"{each['mean_tokens']:.0f}", str(each["problems"]),
            )
        )  # fmt: skip
    gain = found["after"]["gain"]
    said = (
        f"Gain, problem by problem: {gain['value']:+.3f} (95%: {gain['lo']:+.3f} to {gain['hi']:+.3f}, "
        f"{gain['facts']} problems); same form, same sampling, same seeds."
    )
    head = ("model", "pass@1 (95%)", "well formed", "tokens a reply", "problems")
    return "\n\n".join(["## Held-out problems", _table(head, rows), said])


def _course(found: BuildResult) -> str:
    run = found["reinforcement"]
    every = max(1, len(run["steps"]) // 10)
    rows = [
        tuple(
            f"{row[key]:.4g}" if key in row else "–"
            for key in ("step", "reward", "reward/accuracy", "reward/format", "mean_tokens", "truncated", "seconds")
        )
        for row in run["steps"][::every]
    ]
    said = f"{len(run['steps'])} steps in {run['seconds'] / 60:.1f} minutes, {run['seconds_a_step']:.1f} s a step."
    head = ("step", "reward", "right", "well formed", "tokens a reply", "cut off", "seconds")
    return "\n\n".join(["## Reinforcement", said, _table(head, rows)])


def _precision(found: BuildResult) -> str:
    rows, absent = [], []
    for name, each in found["precision"].items():
        if "absent" in each:
            absent.append(f"{name}: absent. {each['absent']}.")
            continue
        loss = [row["loss"] for row in each["steps"]]
        peak = "–" if each["peak_gib"] is None else f"{each['peak_gib']:.2f}"
        rows.append((name, f"{each['seconds_a_step']:.2f}", peak, f"{loss[0]:.4f}", f"{loss[-1]:.4f}"))
    head = ("precision", "s a step", "peak GiB", "loss, first step", "last step")
    return "\n\n".join(["## SFT in two precisions", _table(head, rows), *absent])


def _resume(found: BuildResult) -> str:
    resume = found["resume"]
    rows = []
    for name, key in (("two whole runs", "twice"), ("a whole run and a resumed one", "resumed")):
        each = resume[key]
        rows.append(
            (
                name, "yes" if each["bit_identical"] else "no", f"{each['largest_weight_difference']:.2g}",
                f"{each['tensors_that_differ']} of {each['tensors']}",
                ", ".join(map(str, each["steps_that_differ"])) or "none",
            )
        )  # fmt: skip
    said = (
        f"{resume['steps']} steps of reinforcement, a checkpoint every {resume['checkpoint_every']}; killed after step "
        f"{resume['killed_after']} and run again."
    )
    head = ("between", "bit-identical", "largest difference of a weight", "tensors that differ", "steps that differ")
    return "\n\n".join(["## Killed and resumed", said, _table(head, rows)])


def _plan(found: BuildResult) -> str:
    plan = found["plan"]
    if "absent" in plan:
        return f"## Against `r1 plan`\n\nAbsent: {plan['absent']}."
    gib = "–" if plan["measured_gib"] is None else f"{plan['measured_gib']:.2f}"
    rows = [
        ("minutes", f"{plan['planned_s'] / 60:.3g}", f"{plan['measured_s'] / 60:.3g}"),
        ("peak GiB", f"{plan['planned_gib']:.2f}", gib),
    ]
    said = f"The reinforcement above, planned for `{plan['accelerator']}` at the lengths that it turned out to have."
    return "\n\n".join(["## Against `r1 plan`", said, _table(("", "planned", "measured"), rows)])
