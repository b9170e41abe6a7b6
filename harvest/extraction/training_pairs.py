"""Turn training sentences into pairs with features: what the heads learn from.

Pairs that stand in no relation come from the same sentences as those that do: pairs with head and
tail swapped, pairs of other candidates, and every unnamed pair of the synthetic sentences. TekGen
and FewRel name one fact of a sentence and are silent about the rest, so their other pairs are
marked `silent` and weigh less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from harvest.extraction.corpora import HeadPlan, sentence_key
from harvest.extraction.encoder import FrozenEncoder
from harvest.extraction.mentions import NAMED, Candidate, find_candidates
from harvest.extraction.pairs import SentenceView
from harvest.extraction.pipeline import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from harvest.extraction.synthetic import Sentence

__all__ = ["PairSet", "pair_set", "read_pairs", "write_pairs"]

#: Weight of a pair about which the corpus is silent, against 1 for a pair known to be none.
SILENT_WEIGHT = 0.6
#: Weight of "this pair's other relations are not said" where the corpus names only one.
OTHER_WEIGHT = 0.4
#: What is left of a silent pair's weight for relations that no corpus of real text names.
UNHEARD_FACTOR = 0.15
#: Unrelated pairs taken of one sentence: complete (synthetic) and silent ones.
MOST_COMPLETE, MOST_SILENT = 12, 9
_BLOCK = 256

#: Head, tail, columns of its relations, weight, silent.
type LabelledPair = tuple[Candidate, Candidate, set[int], float, bool]


@dataclass(frozen=True)
class PairSet:
    """Training pairs: dense [n, d], words, relations (columns), weight and origin of each."""

    dense: NDArray[np.float16]
    hashed: list[list[int]]
    relations: list[list[int]]
    #: 1 for pairs whose relations are all known, less where the corpus is silent.
    weight: NDArray[np.float32]
    #: Hash of the sentence, which decides fold and held-out part.
    sentence: NDArray[np.int64]
    #: The corpus names other facts of the sentence or pair only by chance.
    silent: NDArray[np.bool_]
    #: From a template of ours: easier than real text, so not used for calibration.
    synthetic: NDArray[np.bool_]
    #: Relations (columns) that only synthetic sentences name.
    unheard: frozenset[int] = frozenset()

    def weights(self, relations: int) -> NDArray[np.float32]:
        """Return the weight of every answer, [pairs, relations].

        Where a corpus names one relation of a pair, its silence about the others counts little; and
        what no corpus of real text names, its silence does not deny: a birth date in a sentence
        that was kept for its director is a birth date all the same.
        """
        result = np.repeat(self.weight[:, None], relations, axis=1)
        named = np.asarray([bool(names) for names in self.relations], np.bool_) & self.silent
        result[named] = OTHER_WEIGHT
        result[np.ix_(self.silent, sorted(self.unheard))] *= UNHEARD_FACTOR
        for row, names in enumerate(self.relations):
            result[row, names] = 1.0
        return result

    def part(self, rows: NDArray[np.bool_]) -> PairSet:
        """Return the pairs marked in `rows`."""
        chosen = np.flatnonzero(rows)
        return PairSet(
            self.dense[chosen],
            [self.hashed[i] for i in chosen],
            [self.relations[i] for i in chosen],
            self.weight[chosen],
            self.sentence[chosen],
            self.silent[chosen],
            self.synthetic[chosen],
            self.unheard,
        )


def pair_set(
    sentences: Iterable[Sentence],
    plans: Sequence[HeadPlan],
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> PairSet:
    """Return the training pairs of sentences, parsed and encoded in blocks of 256.

    Args:
        sentences: what `corpora.training_sentences` yields.
        plans: the heads; a pair's relations are places in this sequence.
        seed: of the sample of unrelated pairs.
        progress: called after each block with the number of sentences and pairs so far.
    """
    columns = {plan.head.name: column for column, plan in enumerate(plans)}
    nlp, encoder, rng = load_pipeline(), FrozenEncoder(), Random(seed)
    collected = _Collected([], [], [], [], [], [], [])
    block: list[Sentence] = []
    done = 0
    for sentence in sentences:
        block.append(sentence)
        if len(block) == _BLOCK:
            _add_block(block, columns, nlp, encoder, rng, collected)
            done += len(block)
            block = []
            if progress is not None:
                progress(done, len(collected.hashed))
    if block:
        _add_block(block, columns, nlp, encoder, rng, collected)
    return PairSet(
        np.asarray(collected.dense, np.float16),
        collected.hashed,
        collected.relations,
        np.asarray(collected.weight, np.float32),
        np.asarray(collected.sentence, np.int64),
        np.asarray(collected.silent, np.bool_),
        np.asarray(collected.synthetic, np.bool_),
    )


@dataclass(frozen=True)
class _Collected:
    dense: list[NDArray[np.float16]]
    hashed: list[list[int]]
    relations: list[list[int]]
    weight: list[float]
    sentence: list[int]
    silent: list[bool]
    synthetic: list[bool]


def _add_block(
    block: Sequence[Sentence],
    columns: dict[str, int],
    nlp: Any,
    encoder: FrozenEncoder,
    rng: Random,
    out: _Collected,
) -> None:
    docs = list(nlp.pipe([sentence.text for sentence in block], batch_size=64))
    states = encoder.words([[token.text for token in doc] for doc in docs])
    for sentence, doc, matrix in zip(block, docs, states, strict=True):
        view = SentenceView(doc, 0, len(doc), matrix)
        key = crc32(sentence_key(sentence.text).encode())
        for head, tail, relations, weight, silent in _labelled(sentence, doc, columns, rng):
            out.dense.append(view.dense(head, tail).astype(np.float16))
            out.hashed.append(view.hashed(head, tail))
            out.relations.append(sorted(relations))
            out.weight.append(weight)
            out.sentence.append(key)
            out.silent.append(silent)
            out.synthetic.append(sentence.complete)


def _labelled(
    sentence: Sentence, doc: Any, columns: dict[str, int], rng: Random
) -> list[LabelledPair]:
    """Return the pairs of a sentence: those with relations, and a sample of those without."""
    found = find_candidates(doc, definition=sentence.source == "tekgen")
    known: dict[tuple[int, int], Candidate] = {}
    for span in sentence.spans:
        covered = doc.char_span(*span, alignment_mode="expand")
        if covered is not None:
            known[span] = _candidate(doc, covered.start, covered.end, found)
    others = [c for c in found if not any(c.overlaps(k) for k in known.values())]
    if sentence.complete:
        # "scientist" is no occupation where "computer scientist" stands.
        others += [
            c
            for c in found
            if c.label == "CONCEPT"
            and c not in known.values()
            and any(c.overlaps(k) and k.label == "CONCEPT" for k in known.values())
        ]
    facts: dict[tuple[Candidate, Candidate], set[int]] = {}
    for head, relation, tail in sentence.triples:
        if head in known and tail in known and relation in columns:
            pair = known[head], known[tail]
            if not pair[0].overlaps(pair[1]):
                facts.setdefault(pair, set()).add(columns[relation])
    silent = not sentence.complete
    rows: list[LabelledPair] = [(*pair, names, 1.0, silent) for pair, names in facts.items()]
    none: list[LabelledPair] = []
    mine = sorted(set(known.values()))
    heads = [c for c in (*mine, *others) if c.label in NAMED or c.label == "PRONOUN" or c in mine]
    for first in heads:
        for second in (*mine, *others):
            if first.overlaps(second) or (first, second) in facts:
                continue
            swapped = (second, first) in facts
            sure = swapped or (sentence.complete and first in mine and second in mine)
            if sure or second.label not in ("CARDINAL", "QUANTITY", "MONEY", "PERCENT"):
                weight = 1.0 if sure else SILENT_WEIGHT
                none.append((first, second, set(), weight, silent and not sure))
    limit = MOST_COMPLETE if sentence.complete else MOST_SILENT
    if len(none) > limit:
        none = rng.sample(none, limit)
    return rows + none


def _candidate(doc: Any, start: int, end: int, found: Sequence[Candidate]) -> Candidate:
    for candidate in found:
        if (candidate.start, candidate.end) == (start, end):
            return candidate
    labels = [token.ent_type_ for token in doc[start:end] if token.ent_type_]
    if labels and 2 * len(labels) >= end - start:
        label = max(sorted(set(labels)), key=labels.count)
        return Candidate(start, end, label)
    capital = any(token.text[0].isupper() for token in doc[start:end])
    return Candidate(start, end, "NAME" if capital else "CONCEPT")


def write_pairs(file: Path, pairs: PairSet) -> None:
    """Write pairs to a file in NumPy's npz format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        dense=pairs.dense,
        weight=pairs.weight,
        sentence=pairs.sentence,
        silent=pairs.silent,
        synthetic=pairs.synthetic,
        hashed=np.asarray([b for row in pairs.hashed for b in row], np.int32),
        hashed_ends=np.cumsum([len(row) for row in pairs.hashed]),
        relations=np.asarray([r for row in pairs.relations for r in row], np.int32),
        relations_ends=np.cumsum([len(row) for row in pairs.relations]),
    )


def read_pairs(file: Path) -> PairSet:
    """Read pairs that `write_pairs` wrote."""
    with np.load(file) as arrays:
        return PairSet(
            arrays["dense"],
            [part.tolist() for part in np.split(arrays["hashed"], arrays["hashed_ends"][:-1])],
            [
                part.tolist()
                for part in np.split(arrays["relations"], arrays["relations_ends"][:-1])
            ],
            arrays["weight"],
            arrays["sentence"],
            arrays["silent"],
            arrays["synthetic"],
        )
