"""Quality of resolution and canonicalisation on data folders, with their controls beside them."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from kg.canonicalisation import CanonicalisationOptions, PhraseUse, propose_names
from kg.derivation import resolve as derivation_of
from kg.ids import normal_form, relation_type
from kg.records import Merge
from kg.resolution import ResolutionOptions
from kg.resolution.clusters import connected
from kg.resolution.resolver import propose_merges
from retrieval.cleaning.gold_names import GoldNames, Part, load_gold_names
from retrieval.errors import DataFormatError

if TYPE_CHECKING:
    from kg.resolution.neighbours import Encode

__all__ = ["EncoderName", "canonicalisation", "encoder_of", "pairwise", "resolution"]

type EncoderName = Literal["minilm", "none"]

#: Least cosine of the control that joins by an encoder alone; best F1 on the dev part.
CONTROL_COSINE: Final = 0.95
#: Merges shown to a reader who judges precision.
SAMPLE: Final = 100


def encoder_of(name: EncoderName) -> tuple[Encode | None, str]:
    """Return an encoder's function and fingerprint; None and "" for `none`."""
    if name == "none":
        return None, ""
    from retrieval.encoders.sentence import SentenceEncoder

    encoder = SentenceEncoder()
    return encoder.encode, f"all-MiniLM-L6-v2:{encoder.fingerprint}"


def resolution(
    data: Path | str,
    *,
    part: Part = "test",
    aliases: Path | None = None,
    encoder: EncoderName = "none",
    options: ResolutionOptions | None = None,
) -> dict[str, Any]:
    """Resolve names of known identity and return pairwise precision, recall and F1 with controls.

    All names stand in one graph; a pair counts if one of its ends lies in the part. Thresholds were
    chosen on the `dev` part (30 % of the Wikidata ids).

    Args:
        data: the folder `text2kgbench`.
        part: "test", or "dev" to choose thresholds.
        aliases: FB15k-237's `entity2wikidata.json[.xz]`, for names that only Wikidata has.
        encoder: for the `neighbour` layer and the control; "none" leaves both out.
        options: thresholds.

    Returns:
        `ours` and `controls` (`as_written`: equal name and type, as every store derives it;
        `same_name`: equal names, types ignored; `encoder_only`: nearest neighbours without a
        guard), layers, counts, examples of false merges, seconds.
    """
    gold = load_gold_names(Path(data), aliases=aliases)
    counted = gold.part(part)
    encode, fingerprint = encoder_of(encoder)
    if encode is not None:
        encode = _remembering(encode)
        encode(sorted(set(gold.names.values())))  # so that seconds are those of resolution
    began = time.perf_counter()
    found = propose_merges(gold.source, encode=encode, options=options)
    seconds = time.perf_counter() - began
    merges = [Merge(m.kept, m.dropped, m.layer, m.score, "") for m in found.merges]
    groups = _grouped(derivation_of(gold.source.namings, merges))
    controls = {
        "as_written": _grouped(derivation_of(gold.source.namings)),
        "same_name": _same_name(gold),
    }
    if encode is not None:
        controls["encoder_only"] = _encoder_only(gold, encode)
    false = [
        f"{m.dropped_name} → {m.kept_name} ({m.layer})"
        for m in found.merges
        if {m.kept, m.dropped} & counted and not gold.ids[m.kept] & gold.ids[m.dropped]
    ]
    return {
        "ours": pairwise(groups, gold.ids, counted),
        "controls": {
            name: pairwise(control, gold.ids, counted) for name, control in controls.items()
        },
        "part": part,
        "layers": dict(Counter(merge.layer for merge in found.merges)),
        "false_merges": false[:20],
        "too_large": [len(group) for group in found.too_large],
        "names": len(gold.ids),
        "names_by_place": dict(gold.places),
        "ambiguous_names": sum(len(ids) > 1 for ids in gold.ids.values()),
        "names_counted": len(counted),
        "rounds": found.rounds,
        "options": asdict(options or ResolutionOptions()),
        "encoder": fingerprint,
        "seconds": round(seconds, 1),
    }


def pairwise(
    groups: Iterable[Iterable[str]],
    ids: Mapping[str, frozenset[str]],
    counted: frozenset[str],
) -> dict[str, float]:
    """Return pairwise precision, recall and F1 of groups against clusters of equal ids.

    Args:
        groups: raw entities that are one entity.
        ids: raw entity → what it stands for; two are one thing if they share an id.
        counted: raw entities of the part; a pair counts if one of them is in it.

    >>> ids = {raw: frozenset(id) for raw, id in zip("abcd", "1122", strict=True)}
    >>> pairwise([["a", "b", "c"]], ids, frozenset("abcd"))["precision"]
    0.3333
    """
    true = false = 0
    for group in groups:
        for one, other in combinations(sorted(group), 2):
            if one in counted or other in counted:
                right = bool(ids[one] & ids[other])
                true, false = true + right, false + (not right)
    clusters: dict[str, set[str]] = defaultdict(set)
    for raw, own in ids.items():
        for id in own:
            clusters[id].add(raw)
    gold = {
        pair
        for cluster in clusters.values()
        for pair in combinations(sorted(cluster), 2)
        if counted & set(pair)
    }
    precision = true / (true + false) if true + false else 0.0
    recall = true / len(gold) if gold else 0.0
    total = precision + recall
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / total, 4) if total else 0.0,
        "true_pairs": true,
        "false_pairs": false,
        "gold_pairs": len(gold),
    }


def _grouped(canonical: Mapping[str, str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for raw, id in canonical.items():
        groups[id].append(raw)
    return list(groups.values())


def _same_name(gold: GoldNames) -> list[list[str]]:
    return _grouped({raw: normal_form(name) for raw, name in gold.names.items()})


def _encoder_only(gold: GoldNames, encode: Encode) -> list[list[str]]:
    from kg.resolution.neighbours import mutual_neighbours, unit_vectors

    raws = sorted(gold.names)
    vectors = unit_vectors(encode, [gold.names[raw] for raw in raws])
    pairs = mutual_neighbours(vectors, least=CONTROL_COSINE, k=ResolutionOptions().neighbours)
    return connected([(raws[one], raws[other]) for one, other, _ in pairs])


def _remembering(encode: Encode) -> Encode:
    import numpy as np

    known: dict[str, Any] = {}

    def remembered(texts: Sequence[str]) -> Any:
        new = sorted(set(texts) - known.keys())
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return remembered


def canonicalisation(
    data: Path | str,
    *,
    system: str = "kggen",
    encoder: EncoderName = "none",
    options: CanonicalisationOptions | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Canonicalise the predicates of the shared MINE graphs and return counts and a sample.

    Precision is for a reader to judge: `sample` holds merges drawn with `seed`.

    Args:
        data: the folder `mine`.
        system: whose graphs: "kggen", "graphrag" or "openie".
        encoder: for the `neighbour` layer; "none" leaves it out.
        options: thresholds.
        seed: of the sample.

    Returns:
        `predicates` before, `after_words` and `after` (relation types), rows by layer, `sample`.
    """
    file = Path(data) / "graphs.jsonl.gz"
    counts: Counter[str] = Counter()
    try:
        with gzip.open(file, "rt") as lines:
            for line in lines:
                graph = json.loads(line)
                if graph["system"] == system:
                    counts.update(phrase for _, phrase, _ in graph["relations"])
    except FileNotFoundError:
        raise DataFormatError(f"{file} does not exist: give the folder of MINE") from None
    if not counts:
        raise DataFormatError(f"{file} holds no graph of {system!r}")
    uses = [PhraseUse(phrase, number) for phrase, number in sorted(counts.items())]
    encode, fingerprint = encoder_of(encoder)
    began = time.perf_counter()
    words = propose_names(uses)
    rows = propose_names(uses, encode=encode, options=options) if encode else words
    seconds = time.perf_counter() - began
    drawn = random.Random(seed).sample(rows, min(SAMPLE, len(rows)))
    return {
        "predicates": len(counts),
        "after_words": _types(counts, words),
        "after": _types(counts, rows),
        "layers": dict(Counter(row.layer for row in rows)),
        "swapped": sum(row.swapped for row in rows),
        "sample": [
            f"{row.phrase} → {row.relation}{' (swapped)' if row.swapped else ''} [{row.layer}]"
            for row in sorted(drawn, key=lambda row: row.phrase)
        ],
        "seed": seed,
        "options": asdict(options or CanonicalisationOptions()),
        "encoder": fingerprint,
        "seconds": round(seconds, 1),
    }


def _types(counts: Iterable[str], rows: Iterable[Any]) -> int:
    names = {row.phrase: row.relation for row in rows}
    return len({relation_type(names.get(phrase, phrase)) for phrase in counts})
