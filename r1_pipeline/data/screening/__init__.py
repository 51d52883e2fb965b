"""What may not be trained on: held-out text, duplicates, unreadable reasoning. Each drop with its reason and evidence.

text           one form for texts that differ in typesetting only, and their tokens
grams          hashed tokens and n-grams of many texts at once
alignment      a benchmark item against a passage of a text, word by word
common         what many rows share, which makes no two of them alike
contamination  which benchmark item a text contains
duplicates     which text repeats an earlier one, exactly or nearly
quality        mixed languages, long paragraphs, code blocks, length
rows           all of these over a table of any size, in one pass
replies        sampled replies: right, well formed, readable (what rejection sampling keeps)
"""
