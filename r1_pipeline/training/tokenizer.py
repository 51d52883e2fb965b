"""The tokenizer of a tiny model is byte-pair encoding trained on the toy web.

Numbers, letters in brackets, and options (a number with its letter, `24(C)`) are split off first, so that no merge
joins one to its neighbours and each is always the same token: a model then finds the option with a value in one step of
attention to the question, without a second step to the next token. Nothing else is split off: merges run across spaces,
and a stock phrase becomes a handful of tokens. A character that the toy web does not have is encoded in bytes, so that
no text of a user is lost. The `zero` preamble and the tags are added tokens, ordinary rather than special, since
trainers decode with `skip_special_tokens=True` and format rewards must see the tags.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1_pipeline.data.templates import CHAT_TEMPLATE, PREAMBLE, TAGS
from r1_pipeline.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""The token names that the byte fallback expects."""


def train_tokenizer(texts: Sequence[str], vocabulary: int, context: int) -> "PreTrainedTokenizerFast":
    """Returns a tokenizer with at most `vocabulary` tokens, trained on `texts`; raises `RecipeError` if they are too
    few."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d+\([A-Z]\)|\d+|\([A-Z]\)"), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=max(0, vocabulary - len(BYTES) - 1 - len(TAGS)),
        special_tokens=[PAD, BOS, EOS, UNKNOWN],
        min_frequency=2,
        show_progress=False,
    )
    pieces = (piece for text in texts for piece in _between_tags(text))
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer = _with_bytes(tokenizer)
    tokenizer.add_tokens([AddedToken(piece, special=False, normalized=False) for piece in (PREAMBLE, *TAGS)])
    if tokenizer.get_vocab_size() > vocabulary:
        raise RecipeError(
            f"bytes, tags and the characters of the texts are {tokenizer.get_vocab_size()} tokens, vocabulary is "
            f"{vocabulary}; raise it"
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _with_bytes(tokenizer: "Tokenizer") -> "Tokenizer":
    """Returns the tokenizer with a token for each byte after its own tokens, which keep their ids."""
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    model["vocab"] |= {name: len(model["vocab"]) + byte for byte, name in enumerate(BYTES)}
    model["byte_fallback"] = True
    whole: Tokenizer = type(tokenizer).from_str(json.dumps(state))
    return whole


def _between_tags(text: str) -> list[str]:
    """Returns the parts of a text between added tokens; merges are learned inside them only."""
    for piece in (PREAMBLE, *TAGS):
        text = text.replace(piece, PAD)
    return text.split(PAD)
