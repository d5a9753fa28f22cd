"""Writes chats.json: conversations as Jinja renders SmolLM2's own chat template.

Usage: python3 make_chats.py > chats.json     (jinja2 3.1.6)
"""
import itertools
import json
import pathlib

import jinja2

source = (pathlib.Path(__file__).parent / "smollm2" / "chat_template.jinja").read_text()
# The options of transformers' apply_chat_template.
template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)

SYSTEMS = [None, "", "Answer in one word.", " Zwei\nZeilen \n"]
TEXTS = ["Hi", "", "\n\nindented\n", "What is 2 + 2?", "naïve 日本 🙂", "  two  spaces  ", "it's\tdone\n"]

chats = []
for (system, turns), asks in itertools.product(itertools.product(SYSTEMS, [1, 2, 3]), [True, False]):
    messages = [] if system is None else [{"role": "system", "content": system}]
    for turn in range(turns):
        messages.append({"role": "user", "content": TEXTS[(2 * turn + len(chats)) % len(TEXTS)]})
        if turn + 1 < turns or not asks:
            messages.append({"role": "assistant", "content": TEXTS[(2 * turn + 1 + len(chats)) % len(TEXTS)]})
    text = template.render(messages=messages, add_generation_prompt=asks)
    chats.append({"messages": messages, "asks": asks, "text": text})
# A conversation may be empty, start with an answer, or bring a system message later.
for messages in [
    [],
    [{"role": "assistant", "content": "Hello!"}],
    [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}],
]:
    text = template.render(messages=messages, add_generation_prompt=True)
    chats.append({"messages": messages, "asks": True, "text": text})
print("[\n" + ",\n".join(json.dumps(chat, separators=(",", ":")) for chat in chats) + "\n]")
