"""How many tokens a text has, about, without the tokenizer of any model.

Models cut texts differently and most publish no tokenizer that works without a download. For
limits and estimates it is enough to count as byte-pair tokenizers of today mostly do: a common
word is one token, a long one is cut about every eight letters, three digits make one, a sign is
one, and letters of scripts without blanks count one each.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["count_tokens", "most_tokens"]

_PIECE = re.compile(r"[A-Za-z]+|\d{1,3}|[^\W\d_A-Za-z]+|[^\w\s]|_")
#: Letters of one token: in a long Latin word, and in a word of other letters that have case.
LATIN: Final = 8
OTHER: Final = 3


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    >>> count_tokens("Marie Curie was born in Warsaw in 1867.")
    10
    >>> count_tokens("東京都"), count_tokens("")
    (3, 0)
    """
    total = 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece.isascii():
            total += -(-len(piece) // LATIN) if piece.isalpha() else 1
        elif piece.upper() != piece.lower():
            total += -(-len(piece) // OTHER)
        else:
            total += len(piece)
    return total


def most_tokens(text: str) -> int:
    """Return more tokens than running text has in common tokenizers: one for every two bytes.

    >>> most_tokens("Warsaw")
    3
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 2)
