"""The tokenizer of a tiny model: byte-pair encoding trained on the toy web.

Numbers are cut out first, so that no merge joins one to its neighbours. Nothing else is: merges run across spaces, and
a stock phrase becomes a handful of tokens. The `zero` preamble and the tags are added tokens, ordinary rather than
special, since trainers decode with `skip_special_tokens=True` and format rewards must see the tags.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1_pipeline.data.templates import CHAT_TEMPLATE, PREAMBLE, TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"


def train_tokenizer(texts: Sequence[str], vocabulary: int, context: int) -> "PreTrainedTokenizerFast":
    """A tokenizer with at most `vocabulary` tokens, fit to `texts`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d+"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    special = [PAD, BOS, EOS, UNKNOWN]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1 - len(TAGS), special_tokens=special, min_frequency=2, show_progress=False
    )
    pieces = (piece for text in texts for piece in _between_tags(text))
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer.add_tokens([AddedToken(piece, special=False, normalized=False) for piece in (PREAMBLE, *TAGS)])
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


def _between_tags(text: str) -> list[str]:
    """The stretches that merges may be learned from: added tokens are matched before them."""
    for piece in (PREAMBLE, *TAGS):
        text = text.replace(piece, PAD)
    return text.split(PAD)
