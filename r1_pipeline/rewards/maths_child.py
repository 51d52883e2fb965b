"""The child of `maths.py`: math-verify behind a pipe, with a memory limit. A script, never imported by the library.

Request `{"reference": LaTeX, "answer": LaTeX or null}`; reply `{"status": "equal" | "differs" | "bad_reference" |
"parsed"}`; without an answer only the reference is parsed. The kernel's alarm, left at its default action, ends the
child even when the parent is gone and C code is busy.
"""

import json
import os
import resource
import signal
import sys

_MEMORY = 1 << 30


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not reach the protocol

    def reply(value: dict[str, object]) -> None:
        os.write(out, json.dumps(value).encode() + b"\n")

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import sympy  # noqa: F401  # loaded now, so that no request pays for it
        from math_verify import LatexExtractionConfig, parse, verify
    except ImportError as error:
        reply({"ready": False, "error": str(error)})
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    config = [LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False)]

    def value_of(latex: str) -> list[object]:
        parsed: list[object] = parse(
            f"\\boxed{{{latex}}}", extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None
        )
        return parsed

    reply({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + 1.0)
        reference = value_of(request["reference"])
        if not reference or str(reference[0]) in ("nan", "zoo"):
            status = "bad_reference"
        elif request["answer"] is None:
            status = "parsed"
        else:
            answer = value_of(request["answer"])
            equal = bool(answer) and verify(
                reference, answer, strict=True, float_rounding=15, timeout_seconds=None, raise_on_error=False
            )
            status = "equal" if equal else "differs"
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply({"status": status})


main()
