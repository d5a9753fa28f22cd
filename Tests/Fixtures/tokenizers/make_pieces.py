"""Writes pieces.json: random texts cut by the published expressions, as run by the `regex` package.

Usage: python3 make_pieces.py > pieces.json     (regex 2026.5.9, Unicode 17)
"""
import json
import random

import regex

GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
LLAMA3 = regex.compile(HEAD + r"|\p{N}{1,3}" + TAIL)
QWEN2 = regex.compile(HEAD + r"|\p{N}" + TAIL)


def cut(rules, text):
    pieces = [match.group() for match in rules.finditer(text)]
    assert "".join(pieces) == text
    return pieces


def smollm(text):
    """tokenizer.json's sequence: Digits with individual_digits (every \\p{N}), then GPT-2's expression."""
    parts = [part for part in regex.split(r"(\p{N})", text) if part]
    return [piece for part in parts for piece in cut(GPT2, part)]


random.seed(20261125)
SPACES = list(" \t\n\r\x0b\x0c\x85\xa0") + [chr(c) for c in (0x1680, 0x2003, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)]
LETTERS = list("aSsTtRrEeVvMmLlDdKk") + list("ſKéßǅʰÆ日本カナ한글אعñѬ𝒜𐐷")
NUMBERS = list("0123456789") + list("²½Ⅷ٣४①㊿𝟙")
MARKS = list("'''''!\"#$%&()*+,-./:;<=>?@[]^_`{|}~") + list("’‘“”—…€́̈‍️\u200b🙂👩🏽🇨\x00\x01\x1c\x1f\x7f\ufeff\u180e")
CONTRACTIONS = ["'s", "'S", "'ſ", "'t", "'re", "'rE", "'VE", "'ll", "'lL", "'d", "'m", "'l", "'v", "'st", "'LLs"]
POOLS = [SPACES, [" "], LETTERS, NUMBERS, MARKS, CONTRACTIONS, ["\n", "\r\n", "\r"]]


def anything():
    while True:
        scalar = random.randrange(random.choice([0x80, 0x800, 0x3000, 0x10000, 0x110000]))
        if not 0xD800 <= scalar < 0xE000:
            return chr(scalar)


def random_text():
    parts = []
    for _ in range(random.randrange(1, 12)):
        pool = random.choice(POOLS + [None])
        for _ in range(random.choice([1, 1, 1, 2, 3, 4, 7])):
            parts.append(anything() if pool is None else random.choice(pool))
    return "".join(parts)


cases = []
for _ in range(500):
    text = random_text()
    lengths = {name: [len(piece) for piece in pieces] for name, pieces in (
        ("smollm", smollm(text)), ("llama3", cut(LLAMA3, text)), ("qwen2", cut(QWEN2, text)))}
    cases.append({"text": text, **lengths})
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
print("[\n" + lines + "\n]")
