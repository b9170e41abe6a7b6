"""Only English is read, and a missing pipeline says what to install."""

import pytest

from harvest.errors import ExtractionError
from harvest.extraction.pipeline import NotEnglish, PipelineMissing, check_english, load_pipeline

GERMAN = (
    "Marie Curie war eine polnische Physikerin und Chemikerin, die in Frankreich lebte und wirkte. "
    "Sie untersuchte die Strahlung von Uranverbindungen und prägte dafür das Wort radioaktiv."
)
FRENCH = (
    "Marie Curie est une physicienne et chimiste polonaise, naturalisée française par son mariage "
    "avec le physicien Pierre Curie, et qui reçut deux fois le prix Nobel pour ses travaux."
)
RUSSIAN = "Мария Склодовская-Кюри — польская и французская учёная-экспериментатор (физик, химик)."
CHINESE = (
    "居里夫人是一位波兰裔法国籍物理学家和化学家她是放射性研究的先驱者也是首位"
    "获得诺贝尔奖的女性科学家世界著名居里夫人居里夫人"
)


@pytest.mark.parametrize("text", [GERMAN, FRENCH, RUSSIAN, CHINESE])
def test_other_languages_are_refused_with_the_document_named(text: str) -> None:
    with pytest.raises(NotEnglish, match=r"letter\.txt does not read as English"):
        check_english(text, name="letter.txt")
    assert issubclass(NotEnglish, ExtractionError)  # so the job makes it one failed document


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Marie Curie (née Skłodowska) was born in Warsaw.",
        "Notable pupils: Max Born, Werner Heisenberg, Wolfgang Pauli, Lise Meitner, Otto Hahn.",
        "The city of Kraków (Polish: Kraków; German: Krakau) lies on the Vistula and is the second "
        "largest city of Poland, with one of the oldest universities of Europe.",
    ],
)
def test_english_and_what_is_too_short_to_tell_pass(text: str) -> None:
    check_english(text)


def test_a_missing_pipeline_is_named() -> None:
    with pytest.raises(PipelineMissing, match="no_such_pipeline"):
        load_pipeline("no_such_pipeline")
    with pytest.raises(PipelineMissing, match=r"\./no/such/folder"):
        load_pipeline("./no/such/folder")
