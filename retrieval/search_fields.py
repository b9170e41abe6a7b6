"""What a query and an entity have in common, one number a field: the parts that search mixes.

| part | compares the query with | by |
|---|---|---|
| `name` | names and aliases | BM25 over stems |
| `description` | types and description | BM25 over stems |
| `words` | both as one text | BM25 over stems |
| `links` | relations and names of the neighbours (ego-graph context) | BM25 over stems |
| `vector` | the entity's one vector | cosine |
| `vector_name` | the vector of its name alone | cosine |

The evaluation and the live search both compute the lexical parts here, and both choose candidates
by `candidates`: the first by words, by links and by vector, together. A number of one part means
nothing beside one of another, and BM25's differ from query to query: `retrieval.search_fusion`
brings them to one scale.

BM25 is bm25s (k1 = 1.2, b = .75, Lucene's idf). Its index cannot change, so `EntityFields` is made
anew when the entities change: about three seconds of one core for 15,000 entities whose links are
14 million characters; a query then takes less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors
from retrieval.search_words import content_words, stemmed
from retrieval.top_k import best
from retrieval.triple_data import IntArray

__all__ = ["POOL", "EntityFields", "TextField", "candidates", "link_text"]

K1: Final = 1.2
B: Final = 0.75

#: Candidates that each first stage brings in.
POOL: Final = 300


class TextField:
    """One text of each entity, ranked by BM25.

    >>> field = TextField([["film"], [], ["film", "star"]])
    >>> (field.scores(["star", "unknown"]) > 0).tolist()
    [False, False, True]
    """

    def __init__(self, words: Sequence[Sequence[str]]) -> None:
        self._texts = len(words)
        self._index: Any = None
        if any(words):  # bm25s cannot index texts without a single word
            import bm25s

            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index([list(own) for own in words], show_progress=False)

    def scores(self, asked: Sequence[str]) -> Vectors:
        """Return the score of each text [n] for the asked words; 0 where it holds none."""
        if self._index is None or not asked:
            return np.zeros(self._texts, np.float32)
        return np.asarray(self._index.get_scores(list(asked)), np.float32)


class EntityFields:
    """The lexical parts of a set of entities.

    Args:
        names: name and aliases of each entity.
        descriptions: what is said of each, empty where nothing is.
        links: the text of its links (`link_text`); left out if not given.

    Raises:
        QueryShapeError: the fields are not equally long.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        descriptions: Sequence[str],
        links: Sequence[str] | None = None,
    ) -> None:
        if len(descriptions) != len(names) or (links is not None and len(links) != len(names)):
            raise QueryShapeError(
                f"{len(names)} names, {len(descriptions)} descriptions and "
                f"{len(links or ())} links; each entity has one of each"
            )
        called = [stemmed(name) for name in names]
        said = [stemmed(text) for text in descriptions]
        self._fields = {
            "name": TextField(called),
            "description": TextField(said),
            "words": TextField([one + other for one, other in zip(called, said, strict=True)]),
        }
        if links is not None:
            self._fields["links"] = TextField([stemmed(text) for text in links])

    def scores(self, query: str) -> dict[str, Vectors]:
        """Return the lexical parts of the module's table, [entities] each."""
        asked = content_words(query)
        return {part: field.scores(asked) for part, field in self._fields.items()}


def link_text(relation: str, neighbour: str) -> str:
    """Return the words that one link adds to an entity's context.

    Of a relation written as a path, the last step says what it is.

    >>> link_text("/film/film/directed_by", "Ed Wood"), link_text("BORN_IN", "Warsaw")
    ('directed by Ed Wood', 'BORN IN Warsaw')
    """
    return f"{relation.rsplit('/', 1)[-1].replace('_', ' ')} {neighbour}"


def candidates(first_stages: Sequence[Vectors], *, pool: int = POOL) -> IntArray:
    """Return the rows, ascending, that any first stage puts among its first `pool`.

    Args:
        first_stages: scores [n] each; only scores above 0 count.
        pool: rows from each.

    >>> candidates([np.array([3.0, 2.0, 1.0]), np.array([0.0, 0.0, 0.1])], pool=1).tolist()
    [0, 2]
    """
    chosen = [top[scores[top] > 0] for scores in first_stages if len(top := best(scores, pool)) > 0]
    return np.unique(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
