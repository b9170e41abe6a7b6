"""Score a relation that no head was trained for, from what the schema says of it.

Conservative on purpose: a pair must fit the relation's types, a content word of the relation's
name, aliases or templates must stand between the two or on their dependency path, and the words
that join them must be close to the relation's text:

    s = cos(enc(words joining head and tail), enc(name: description. aliases))
    p = sigmoid(SLOPE · (s − MIDDLE))

Where head and tail could change places, the order is read from the templates, else the head is
taken to be the subject ("A wrote B", "B was written by A").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from harvest.extraction.mentions import Candidate
from harvest.extraction.pairs import dependency_path

if TYPE_CHECKING:
    from harvest.extraction.encoder import FrozenEncoder
    from kg.schema import RelationDef

__all__ = ["ZeroShotRelation"]

SLOPE = 12.0
#: Cosine at which a relation is as likely as not. Unrelated phrases of English lie near .1–.3.
MIDDLE = 0.42
#: No zero-shot score goes above this: nothing was measured for this relation.
CEILING = 0.9
_FUNCTION_WORDS = frozenset(
    """a an the of in on at to for by with from and or is was are were be been has have had that
    which who whom whose it its his her their he she they this as into head tail person people
    place thing something someone name other than one two""".split()
)


@dataclass(frozen=True)
class ZeroShotRelation:
    """A relation known by its text only."""

    #: Lemmas of content words of name, aliases and templates.
    words: frozenset[str]
    #: Texts whose nearest decides: "name: description", aliases, templates.
    texts: tuple[str, ...]
    #: Words between the places of each template, and whether the head is its subject (or, of a
    #: template in the passive, its agent).
    patterns: tuple[tuple[frozenset[str], bool], ...]
    symmetric: bool
    #: Head and tail are of types that could change places.
    reversible: bool

    @classmethod
    def of(cls, relation: RelationDef, nlp: Any, *, reversible: bool) -> ZeroShotRelation:
        """Read a schema's relation; `reversible` if its ends may be of one type."""
        name = relation.name.replace("_", " ")
        aliases = [alias.replace("_", " ") for alias in relation.aliases]
        plain = [re.sub(r"\{(?:head|tail)\}", " ", template) for template in relation.templates]
        words = set()
        for text in (name, *aliases, *plain):
            words |= _content(nlp(text))
        patterns = []
        for template in relation.templates:
            first, second = template.find("{head}"), template.find("{tail}")
            if first >= 0 and second >= 0:
                low, high = sorted((first, second))
                between = template[low + 6 : high]
                middle = _content(nlp(between)) or _content(nlp(template.replace("{", "")))
                is_passive = re.search(r"\b(?:is|was|are|were|been)\b.*\bby\b", between) is not None
                patterns.append((frozenset(middle), (first < second) != is_passive))
        texts = (f"{name}: {relation.description}", name, *aliases, *plain)
        return cls(frozenset(words), tuple(texts), tuple(patterns), relation.symmetric, reversible)

    def score(self, doc: Any, head: Candidate, tail: Candidate, encoder: FrozenEncoder) -> float:
        """Return the probability that the pair stands in the relation, 0 without shared words."""
        joining = _joining(doc, head, tail)
        lemmas = {token.lemma_.lower() for token in joining if token.pos_ not in ("ADP", "DET")}
        if not lemmas & self.words:
            return 0.0
        if self.reversible and not self.symmetric and not self._in_order(doc, head, tail, lemmas):
            return 0.0
        phrase = " ".join(token.text for token in joining)
        cosine = float(np.max(_vectors(encoder, self.texts) @ _vectors(encoder, (phrase,))[0]))
        return min(CEILING, 1.0 / (1.0 + math.exp(-SLOPE * (cosine - MIDDLE))))

    def _in_order(self, doc: Any, head: Candidate, tail: Candidate, lemmas: set[str]) -> bool:
        path = dependency_path(doc, head, tail)
        passive = any(token.dep_ in ("agent", "nsubjpass") for token, _ in path)
        is_subject = (head < tail) != passive
        best = max((len(words & lemmas) for words, _ in self.patterns), default=0)
        if best:
            return any(
                len(words & lemmas) == best and subject == is_subject
                for words, subject in self.patterns
            )
        return is_subject


def _joining(doc: Any, head: Candidate, tail: Candidate) -> list[Any]:
    """Return the words between the two and on their path, in the order of the text, at most 16."""
    left, right = sorted((head, tail))
    inside = {*range(head.start, head.end), *range(tail.start, tail.end)}
    places = {token.i for token, _ in dependency_path(doc, head, tail)}
    if right.start - left.end <= 12:
        places |= set(range(left.end, right.start))
    return [doc[i] for i in sorted(places - inside) if not doc[i].is_punct][:16]


def _content(doc: Any) -> set[str]:
    return {
        token.lemma_.lower()
        for token in doc
        if token.text.isalpha() and token.lower_ not in _FUNCTION_WORDS and token.pos_ != "ADP"
    }


@lru_cache(maxsize=4096)
def _vectors(encoder: FrozenEncoder, texts: Sequence[str]) -> Any:
    return encoder.texts(texts)
