"""What type is an entity, by its vector? Logistic regression on frozen vectors, beside TF-IDF.

| row | features of an entity |
|---|---|
| `majority` | none: the most frequent class of training |
| `tfidf` | words of its text (document frequency ≥ 2, 1 + ln tf): what a lexical baseline reaches |
| `spelling` | the same, and character n-grams of two to five inside words |
| `encoder` | its vector, standardised |
| `encoder_spelling` | vector and `spelling` together |

For each row the strength of the penalty is chosen on dev among C = 10⁻¹ … 10⁴, by accuracy, from
the strongest on until dev has fallen twice running; then training and dev together are fitted
again. `balanced` rows weigh each class by its rarity and
choose by balanced accuracy, the mean recall over the classes that occur in the test: the plain rows
answer "how often right", the balanced ones "how often right for a class, rare ones included". Dev
also says which row stands for each question in the answer's `accuracy` and `balanced_accuracy`.
Vocabulary, document frequencies and scales come from training entities alone.

Files: `{train,dev,test}-ents-class.txt` beside the triples (id, tab, class).

Source: Daza, Cochez, Groth, WWW 2021, section 5.3; its best accuracy on WN18RR, .830, is below the
lexical baseline.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.bootstrap import bounds, resampled_means
from retrieval.errors import DataFormatError, ModelFileError
from retrieval.triple_data import load_folder, read_lines

if TYPE_CHECKING:
    from retrieval.encoders.protocol import EntityEncoder

__all__ = ["ClassData", "classification", "load_classes", "past_peak"]

#: Inverse strengths of the penalty that dev chooses among.
STRENGTHS: Final = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
#: Of the gradient, where the fit stops.
TOLERANCE: Final = 1e-3
PARTS: Final = ("train", "dev", "test")
RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class ClassData:
    """Texts and classes of the entities of each part."""

    texts: dict[str, list[str]]
    classes: dict[str, list[str]]
    origin: str
    text_source: str


def load_classes(folder: Path | str, *, text: str | None = None) -> ClassData:
    """Return the classes of a data folder with the texts of their entities.

    Args:
        folder: layout in `retrieval.triple_data`, and the class files.
        text: name of the text file; the preferred one that exists if not given.

    Raises:
        DataFormatError: a file is missing, or a line has no class or an unknown entity.
    """
    root = Path(folder)
    data = load_folder(root, split="inductive", text=text)
    text_of = dict(zip(data.entities, data.texts, strict=True))
    texts: dict[str, list[str]] = {}
    classes: dict[str, list[str]] = {}
    for part in PARTS:
        name = f"{part}-ents-class.txt"
        path = next((one for one in (root / name, root / f"{name}.xz") if one.is_file()), None)
        if path is None:
            raise DataFormatError(
                f"{root} has no {name} (plain or .xz); give a folder with classes"
            )
        texts[part], classes[part] = [], []
        for number, line in enumerate(read_lines(path), start=1):
            id, tab, own = line.partition("\t")
            if not tab or not own or id not in text_of:
                raise DataFormatError(
                    f"{path} line {number}: {line[:80]!r} is not an entity of the triples, a tab "
                    "and its class"
                )
            texts[part].append(text_of[id])
            classes[part].append(own)
    return ClassData(texts, classes, root.name, data.text_source)


def classification(
    data: ClassData,
    encoder: EntityEncoder | None,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return accuracy and balanced accuracy on the test, for every row of the module's table.

    Args:
        data: of `load_classes`.
        encoder: whose vectors are classified; its rows are left out if not given.
        strengths: C of the logistic regression, of which dev chooses.
        seed: of the interval.

    Raises:
        ModelFileError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise ModelFileError(
            "entity classification needs scikit-learn: pip install scikit-learn"
        ) from error
    from scipy import sparse

    started = time.process_time()
    vectoriser = TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"\w+")  # noqa: S106
    spelling = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True, max_features=30_000
    )
    features: dict[str, dict[str, Any]] = {"tfidf": {}, "spelling": {}}
    for part in PARTS:
        texts = data.texts[part]
        fit = part == "train"
        words = vectoriser.fit_transform(texts) if fit else vectoriser.transform(texts)
        grams = spelling.fit_transform(texts) if fit else spelling.transform(texts)
        features["tfidf"][part] = words
        features["spelling"][part] = sparse.hstack([words, grams]).tocsr()
    if encoder is not None:
        scaler = StandardScaler()
        features |= {"encoder": {}, "encoder_spelling": {}}
        for part in PARTS:
            vectors = encoder.encode(data.texts[part])
            scaled = scaler.fit_transform(vectors) if part == "train" else scaler.transform(vectors)
            # As long as a TF-IDF vector, so that one penalty suits both.
            scaled = scaled / np.sqrt(scaled.shape[1])
            features["encoder"][part] = scaled
            features["encoder_spelling"][part] = sparse.hstack(
                [features["spelling"][part], sparse.csr_matrix(scaled)]
            ).tocsr()
    ((most, _),) = Counter(data.classes["train"]).most_common(1)
    rows = {"majority": _figures([most] * len(data.classes["test"]), data.classes["test"], seed)}
    for name, own in features.items():
        for balanced in (False, True):
            row = f"{name}_balanced" if balanced else name
            rows[row] = _row(own, data.classes, strengths, balanced=balanced, seed=seed)
    chosen = {
        "accuracy": _chosen(rows, balanced=False),
        "balanced_accuracy": _chosen(rows, balanced=True),
    }
    return {
        **{measure: rows[name][measure] for measure, name in chosen.items()},
        "chosen_on_dev": chosen,
        "rows": rows,
        "entities": {part: len(data.classes[part]) for part in PARTS},
        "classes": len(set(data.classes["train"])),
        "classes_in_test": len(set(data.classes["test"])),
        "data": data.origin,
        "text": data.text_source,
        "encoder": encoder.fingerprint if encoder is not None else None,
        "seed": seed,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def _chosen(rows: dict[str, dict[str, Any]], *, balanced: bool) -> str:
    """Return the row, among those that weigh classes or among the others, with the best dev."""
    usable = [
        name for name in rows if "dev" in rows[name] and name.endswith("_balanced") == balanced
    ]
    return max(usable, key=lambda name: rows[name]["dev"])


def past_peak(values: Sequence[float]) -> bool:
    """Return whether values have fallen twice running.

    >>> past_peak([0.5, 0.6, 0.55, 0.55]), past_peak([0.5, 0.6, 0.55, 0.54])
    (False, True)
    """
    return len(values) > 2 and values[-3] > values[-2] > values[-1]


def _row(
    features: dict[str, Any],
    classes: dict[str, list[str]],
    strengths: Sequence[float],
    *,
    balanced: bool,
    seed: int,
) -> dict[str, Any]:
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    def fitted(strength: float, x: Any, y: Sequence[str]) -> Any:
        weight = "balanced" if balanced else None
        return LogisticRegression(C=strength, max_iter=1000, class_weight=weight).fit(x, y)

    on_dev: dict[float, float] = {}
    for strength in sorted(strengths):
        said = fitted(strength, features["train"], classes["train"]).predict(features["dev"])
        found = _figures(said.tolist(), classes["dev"], seed)
        on_dev[strength] = found["balanced_accuracy" if balanced else "accuracy"]
        if past_peak(list(on_dev.values())):
            break  # a weak penalty takes longest: with 50 classes, minutes a fit
    best = max(on_dev, key=lambda strength: (on_dev[strength], -strength))
    parts = [features["train"], features["dev"]]
    both = sparse.vstack(parts).tocsr() if sparse.issparse(parts[0]) else np.vstack(parts)
    said = fitted(best, both, [*classes["train"], *classes["dev"]]).predict(features["test"])
    return {**_figures(said.tolist(), classes["test"], seed), "strength": best, "dev": on_dev[best]}


def _figures(said: Sequence[str], true: Sequence[str], seed: int) -> dict[str, Any]:
    """Return accuracy with its interval, and the mean recall over the classes of `true`.

    >>> found = _figures(["a", "a", "b"], ["a", "a", "c"], 0)
    >>> found["accuracy"], found["balanced_accuracy"]
    (0.666667, 0.5)
    """
    right = np.array([one == other for one, other in zip(said, true, strict=True)], float)
    own = np.array(true)
    recalls = [right[own == name].mean() for name in np.unique(own)]
    low, high = bounds(resampled_means(right, resamples=RESAMPLES, seed=seed))
    return {
        "accuracy": round(float(right.mean()), 6),
        "balanced_accuracy": round(float(np.mean(recalls)), 6),
        "accuracy_interval": {"low": low, "high": high},
    }
