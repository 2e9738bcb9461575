"""What a GGUF file of the guide says of its tokens, and of the answers that some stand for."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader

from guide.tokenizer import Tokenizer

BASE = Path(__file__).with_name("base.gguf")
"""What a training begins with."""

ANSWERS = "dmr.guide.answers"
"""The key of the fixed answers, in the order of their tokens."""


def read_vocabulary(path: Path) -> tuple[Tokenizer, list[str]]:
    """The tokenizer of a file, and its answers.

    Raises:
        ValueError: the file does not say which answers it has.
    """
    fields = GGUFReader(path).fields
    if ANSWERS not in fields:
        raise ValueError(f"{path} is no file of `guide.export`: it has no list of answers")
    answers: list[str] = fields[ANSWERS].contents()
    pairs = (pair.split(" ") for pair in fields["tokenizer.ggml.merges"].contents())
    size = len(fields["tokenizer.ggml.tokens"].contents())
    return Tokenizer([(left, right) for left, right in pairs], size, len(answers)), answers
