"""From accepted pairs to groups of one entity: union-find, then a second look at every member.

Accepted pairs are not transitive: a chain of likenesses can lead from Paris to Parma. So a group is
what union-find makes of the pairs, less the members that neither match the group's representative
nor go with those admitted already; what is left over is looked at in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

__all__ = ["connected", "split"]


def connected[T: Hashable](pairs: Iterable[tuple[T, T]]) -> list[list[T]]:
    """Return the groups of what the pairs connect, in order of first appearance.

    >>> connected([("a", "b"), ("c", "d"), ("b", "c"), ("x", "y")])
    [['a', 'b', 'c', 'd'], ['x', 'y']]
    """
    parent: dict[T, T] = {}

    def find(item: T) -> T:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs:
        parent[find(other)] = find(one)
    groups: dict[T, list[T]] = defaultdict(list)
    for item in parent:
        groups[find(item)].append(item)
    return list(groups.values())


def split[T: Hashable](
    group: Iterable[T],
    *,
    order: Callable[[T], object],
    matches: Callable[[T, T], bool],
    agrees: Callable[[T, T], bool],
) -> list[list[T]]:
    """Return groups, representative first, in which each member matches the representative.

    Args:
        group: connected items.
        order: sort key; the smallest item is the representative.
        matches: whether a representative and a member are one thing.
        agrees: whether two members may stand in one group.

    >>> near = lambda a, b: abs(a - b) <= 2
    >>> split([1, 2, 3, 4, 5], order=lambda n: n, matches=near, agrees=lambda a, b: True)
    [[1, 2, 3], [4, 5]]
    """
    rest = sorted(group, key=order)  # type: ignore[arg-type]
    groups: list[list[T]] = []
    while len(rest) > 1:
        admitted = rest[:1]
        left: list[T] = []
        for item in rest[1:]:
            fits = matches(admitted[0], item) and all(agrees(item, own) for own in admitted[1:])
            (admitted if fits else left).append(item)
        if len(admitted) > 1:
            groups.append(admitted)
        rest = left
    return groups
