"""Candidate pairs: the fast path against the library's own index and against all pairs."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from kg.resolution.blocking import (
    BANDS,
    CROWD,
    PERMUTATIONS,
    SEED,
    alike_pairs,
    same_key_pairs,
    signatures,
)
from kg.resolution.names import Name, jaccard


def spelt(count: int, *, seed: int = 0) -> list[Name]:
    chance = random.Random(seed)
    parts = "ka mo ri ta len bur gar os pe van sch der in th wo el qui zo".split()
    texts = []
    for _ in range(count // 2):
        text = " ".join("".join(chance.choices(parts, k=4)) for _ in range(3))
        at = chance.randrange(len(text))
        texts += [text, text[:at] + chance.choice("aeiou ") + text[at:]]
    return [Name.of(text) for text in texts]


def test_all_but_few_alike_names_are_found() -> None:
    names = spelt(600)
    found = set(alike_pairs(names, least=0.8))
    alike = {
        (a, b)
        for a, b in combinations(range(len(names)), 2)
        if jaccard(names[a].grams, names[b].grams) >= 0.8
    }
    assert len(alike) > 50
    # 1 - (1 - .8⁴)⁸ = .985 at the threshold itself, more above it.
    assert len(alike & found) >= 0.97 * len(alike)
    for a, b in found:
        assert a < b


def test_pairs_are_those_of_the_library_s_index() -> None:
    from datasketch import MinHash, MinHashLSH

    names = spelt(200, seed=1)
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, PERMUTATIONS // BANDS))
    sketches = [MinHash(num_perm=PERMUTATIONS, seed=SEED) for _ in names]
    for at, (sketch, name) in enumerate(zip(sketches, names, strict=True)):
        sketch.update_batch([gram.encode() for gram in name.grams])
        index.insert(at, sketch)
    twin = {
        (min(at, other), max(at, other))
        for at, sketch in enumerate(sketches)
        for other in index.query(sketch)
        if other != at
    }
    # Below a wanted Jaccard of 0 nothing is filtered.
    assert set(alike_pairs(names, least=0.0)) == twin
    assert [list(row) for row in signatures(names)] == [list(s.hashvalues) for s in sketches]


def test_a_crowd_of_one_template_makes_a_linear_number_of_pairs() -> None:
    names = [Name.of(f"{at} national under-20 football team of the world") for at in range(400)]
    assert len(alike_pairs(names, least=0.5)) <= BANDS * CROWD * len(names)
    same = [Name.of("Obama, Barack")] * 300
    assert len(same_key_pairs(same)) <= CROWD * len(same)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_names_make_no_pair(count: int) -> None:
    names = [Name.of("Warsaw")] * count
    assert alike_pairs(names, least=0.9) == []
    assert same_key_pairs(names) == []


def test_names_that_say_little_are_in_no_pair() -> None:
    names = [Name.of("C"), Name.of("c"), Name.of("!!!!!!!"), Name.of("!!!!!!!")]
    assert alike_pairs(names, least=0.1) == []
    assert same_key_pairs(names) == []
