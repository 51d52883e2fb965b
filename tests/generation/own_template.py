"""A tiny random Qwen2 with a chat template of its own: one token a character, control tokens around each turn."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from tokenizers.decoders import Fuse
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from r1_pipeline.data.templates import BOXED, PREAMBLE

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def make_qwen(directory: Path, chat_template: str | None = CHATML, end: str | None = "<|im_end|>") -> Path:
    """Writes the model, which ends its replies with `end`, as somebody would publish it."""
    letters = sorted(set(PREAMBLE + BOXED + "User: Assistant:\n0123456789+=?.{}\\_|abcdefghijklmnopqrstuvwxyz"))
    vocabulary = {token: number for number, token in enumerate([*CONTROL, *letters])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=CONTROL[0]))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = Fuse()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=CONTROL[0], eos_token=end, chat_template=chat_template
    )
    torch.manual_seed(0)
    ends = vocabulary[end] if end else None
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=ends, pad_token_id=0,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
