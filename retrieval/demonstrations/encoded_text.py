r"""What an encoder reads of a query and of a demonstration: in training and in serving the same.

| text | is |
|---|---|
| query | instruction, blank, input |
| demonstration | instruction, blank, input, tab, output |

The instruction stands on both sides (UDR). Without one there is no blank either.
"""

from __future__ import annotations

from retrieval.demonstrations.task import Demo

__all__ = ["demo_text", "query_text"]


def query_text(instruction: str, input: str) -> str:
    """Return what is encoded of a query.

    >>> query_text("Sentiment:", "a dull film"), query_text("", "a dull film")
    ('Sentiment: a dull film', 'a dull film')
    """
    return f"{instruction} {input}" if instruction else input


def demo_text(instruction: str, demo: Demo) -> str:
    r"""Return what is encoded of a demonstration.

    >>> demo_text("Sentiment:", Demo("1", "a dull film", "terrible"))
    'Sentiment: a dull film\tterrible'
    """
    return f"{query_text(instruction, demo.input)}\t{demo.output}"
