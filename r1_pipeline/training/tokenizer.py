"""The tokenizer of a tiny model: byte-pair encoding trained on the toy web.

Numbers, letters in brackets, and options (a number with its letter, `24(C)`) are cut out first, so that no merge joins
one to its neighbours and each is the same token wherever it recurs: to find the option that holds a value is then one
look at the question, without a second one at the token beside it. Nothing else is cut out: merges run across spaces,
and a stock phrase becomes a handful of tokens. A character that the toy web does not have is spelled in bytes, so that
a user's text is seen as it is. The `zero` preamble and the tags are added tokens, ordinary rather than special, since
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
"""Names that the byte fallback expects."""


def train_tokenizer(texts: Sequence[str], vocabulary: int, context: int) -> "PreTrainedTokenizerFast":
    """A tokenizer with at most `vocabulary` tokens, fit to `texts`; raises `RecipeError` where that is too few."""
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
    """The tokenizer with a token for each byte after those that it has, which keep their numbers."""
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    model["vocab"] |= {name: len(model["vocab"]) + byte for byte, name in enumerate(BYTES)}
    model["byte_fallback"] = True
    whole: Tokenizer = type(tokenizer).from_str(json.dumps(state))
    return whole


def _between_tags(text: str) -> list[str]:
    """The stretches that merges may be learned from: added tokens are matched before them."""
    for piece in (PREAMBLE, *TAGS):
        text = text.replace(piece, PAD)
    return text.split(PAD)
