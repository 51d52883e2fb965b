"""Screening drops rows that must not be trained on: held-out text, duplicates, unreadable reasoning.

Each drop has a reason and its evidence.

normalization  one form for texts that differ in typesetting only, and their tokens
ngrams         hashed tokens and n-grams of many texts at once
alignment      word-by-word comparison of a benchmark item with a passage of a text
boilerplate    text that many rows share, which is no evidence that two of them are alike
contamination  benchmark items in a text
duplicates     texts that repeat an earlier one, exactly or nearly
quality        mixed languages, long paragraphs, code blocks, length
rows           all of these over a table of any size, in one pass
problems       items and canaries of benchmarks in problems and preference pairs
replies        sampled replies: right, well formed, readable (what rejection sampling keeps)
dropped        the table of dropped rows
"""
