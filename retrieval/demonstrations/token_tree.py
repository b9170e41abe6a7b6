"""Texts that begin alike, as one tree of tokens that a language model reads once.

To score answers, the same demonstrations, queries and labels are read again and again: eighteen
labels after one query, many queries after one demonstration, all queries after the same eight
demonstrations. Sort the token sequences, and what two neighbours share is their common prefix. Laid
out in that order, each shared token stands once (depth-first), and token i may see token j exactly
if j is an ancestor of i or i itself:

    j ≤ i < end(j),     end(j) = place after the last token below j

Its position is its depth. So one forward pass over the tree gives what one pass for each sequence
would. Small trees share a row. Three ways to share, all of them exact:

| what is shared | how |
|---|---|
| a tree of at most `capacity` tokens below its common prefix | laid out in one row |
| a long prefix of a larger tree | a `Trunk`: read once, its keys and values kept for all below |
| a short prefix of a larger tree | read again in each piece: cheaper than a pass of its own |

No sequence holds its last token: nothing after it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Forest", "Trunk", "laid_out", "plan", "rows_of"]

type Tokens = Sequence[int]

#: Tokens that a trunk must save, since a pass over few tokens costs more than its share.
WORTH_A_PASS: Final = 48
#: Unfilled rows that a tree is tried in.
OPEN_ROWS: Final = 64


@dataclass(slots=True)
class Trunk:
    """Tokens that stand before everything below them; the root has none.

    Attributes:
        parent: the trunk that comes before; None for the root.
        start: depth of the first token.
        stop: depth after the last one: what is below begins here.
        of: a sequence that the tokens can be read from.
        pieces: ranges (first, stop) of sorted sequences, each to be laid out in one row.
    """

    parent: Trunk | None = None
    start: int = 0
    stop: int = 0
    of: int = 0
    pieces: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Forest:
    """One row of tokens: trees side by side, depth-first.

    Attributes:
        tokens: their ids.
        positions: their depths, from the beginning of the text.
        ends: for each the place after the last token below it.
        asked: (place, next token, sequence): whose answers are read where.
    """

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    asked: list[tuple[int, int, int]] = field(default_factory=list)


def shared_prefixes(sequences: Sequence[Tokens]) -> list[int]:
    """Return how many tokens each sorted sequence shares with the one before it.

    >>> shared_prefixes([(1, 2), (1, 2, 3), (1, 4)])
    [0, 2, 1]
    """
    answer = [0] * len(sequences)
    for at in range(1, len(sequences)):
        before, own = sequences[at - 1], sequences[at]
        most = min(len(before), len(own))
        answer[at] = next((i for i in range(most) if before[i] != own[i]), most)
    return answer


def plan(sequences: Sequence[Tokens], answers: Sequence[int], capacity: int) -> list[Trunk]:
    """Return the trunks of sorted sequences, each after its parent, with the pieces below it.

    Args:
        sequences: sorted, each without its last token.
        answers: where the answer of each begins; a trunk always stops before the token whose
            state predicts it.
        capacity: tokens of a piece, a prefix common to all of it not counted; one sequence may be
            longer.
    """
    shared = shared_prefixes(sequences)
    grown = [0]  # tokens that sequences add to a tree, summed
    for sequence, before in zip(sequences, shared, strict=True):
        grown.append(grown[-1] + len(sequence) - before)
    trunks = [Trunk()]
    work = [(0, len(sequences), trunks[0])] if sequences else []
    while work:
        first, stop, trunk = work.pop()
        depth = trunk.stop

        def size(first: int, stop: int, depth: int = depth) -> int:
            return len(sequences[first]) - depth + grown[stop] - grown[first + 1]

        common = min(shared[first + 1 : stop], default=len(sequences[first]))
        end = min(common, min(answers[first:stop]) - 1)
        prefix = max(0, end - depth)
        below = size(first, stop) - prefix
        if stop - first == 1 or below <= capacity:
            trunk.pieces.append((first, stop))
            continue
        if prefix * (below // capacity) >= WORTH_A_PASS:  # what pieces would read again
            trunks.append(Trunk(trunk, depth, end, first))
            work.append((first, stop, trunks[-1]))
            continue
        branches = [at for at in range(first + 1, stop) if shared[at] == common]
        begin = first
        for branch, after in zip([first, *branches], [*branches, stop], strict=True):
            if branch > begin and size(begin, after) > capacity:
                work.append((begin, branch, trunk))
                begin = branch
        work.append((begin, stop, trunk))
    return trunks


def laid_out(
    sequences: Sequence[Tokens],
    answers: Sequence[int],
    last: Sequence[int],
    piece: tuple[int, int],
    depth: int,
) -> Forest:
    """Return the tree of sorted sequences `piece` below `depth` shared tokens.

    Args:
        sequences: sorted, each without its last token.
        answers: where the answer of each begins (> depth).
        last: the last token of each.
        piece: range (first, stop) of sequences.
        depth: tokens that were read before.

    >>> tree = laid_out([(1, 2, 3), (1, 2, 4)], [2, 2], [9, 8], (0, 2), 0)
    >>> tree.tokens, tree.positions, tree.ends
    ([1, 2, 3, 4], [0, 1, 2, 2], [4, 4, 3, 4])
    >>> tree.asked
    [(1, 3, 0), (2, 9, 0), (1, 4, 1), (3, 8, 1)]
    """
    forest = Forest()
    path: list[int] = []  # place of each token of the sequence at hand, from `depth` on
    before: Tokens = ()
    for at in range(*piece):
        own = sequences[at]
        most = min(len(before), len(own))
        kept = next((i for i in range(depth, most) if before[i] != own[i]), most)
        kept = max(kept, depth)
        for place in path[kept - depth :]:
            forest.ends[place] = len(forest.tokens)
        del path[kept - depth :]
        for position in range(kept, len(own)):
            path.append(len(forest.tokens))
            forest.tokens.append(own[position])
            forest.positions.append(position)
            forest.ends.append(0)
        following = [*own[answers[at] :], last[at]]
        forest.asked += [
            (place, token, at)
            for place, token in zip(path[answers[at] - 1 - depth :], following, strict=True)
        ]
        before = own
    for place in path:
        forest.ends[place] = len(forest.tokens)
    return forest


def rows_of(forests: Sequence[Forest], capacity: int) -> list[Forest]:
    """Return rows of at most `capacity` tokens, the longest first; a longer tree is its own row.

    First fit, longest first. The rows are padded to the longest, so they are filled evenly.
    """
    sizes = [len(forest.tokens) for forest in forests]
    evenly = sum(sizes) // max(1, -(-sum(sizes) // capacity))
    capacity = min(capacity, evenly + max(sizes, default=0) // 2)
    rows: list[Forest] = []
    open_rows: list[Forest] = []
    for forest in sorted(forests, key=lambda forest: -len(forest.tokens)):
        size = len(forest.tokens)
        row = next((row for row in open_rows if len(row.tokens) + size <= capacity), None)
        if row is None:
            row = Forest()
            rows.append(row)
            open_rows.append(row)
        start = len(row.tokens)
        row.tokens += forest.tokens
        row.positions += forest.positions
        row.ends += [end + start for end in forest.ends]
        row.asked += [(place + start, token, at) for place, token, at in forest.asked]
        # Only the last rows are tried again, so that the time stays linear.
        open_rows = open_rows[-OPEN_ROWS:]
    return sorted(rows, key=lambda row: -len(row.tokens))
