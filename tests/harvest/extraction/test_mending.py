"""Line ends are mended for reading, and every mended span leads back to the original."""

from hypothesis import given
from hypothesis import strategies as st

from harvest.extraction.mending import mend, split_blocks


def test_a_word_cut_at_a_line_end_is_joined_and_leads_back_to_both_halves() -> None:
    text = "His advisor was Luigi Pucci-\nanti. He left."
    block = mend(text, 0, len(text))
    assert block.text == "His advisor was Luigi Puccianti. He left."
    at = block.text.index("Puccianti")
    start, end = block.original((at, at + len("Puccianti")))
    assert text[start:end] == "Pucci-\nanti"


def test_a_hyphen_before_a_capital_belongs_to_the_name() -> None:
    text = "Irène Joliot-\nCurie won."
    assert mend(text, 0, len(text)).text == "Irène Joliot-Curie won."


def test_a_wrapped_line_becomes_one_space_also_with_carriage_returns() -> None:
    text = "physicist who built the first\r\nnuclear reactor"
    assert mend(text, 0, len(text)).text == "physicist who built the first nuclear reactor"


def test_soft_hyphens_are_not_part_of_words() -> None:
    text = "radio\u00adactivity"
    block = mend(text, 0, len(text))
    assert block.text == "radioactivity"
    assert block.original((0, 13)) == (0, len(text))


def test_headings_and_paragraphs_are_blocks_of_their_own() -> None:
    text = "Early life\nMarie was born in Warsaw.\n\nShe left\nfor Paris."
    blocks = [text[start:end] for start, end in split_blocks(text, 0, len(text))]
    assert blocks == ["Early life", "Marie was born in Warsaw.", "She left\nfor Paris."]


def test_blocks_of_a_part_stay_inside_it() -> None:
    text = "One.\n\nTwo.\n\nThree."
    assert split_blocks(text, 6, 10) == [(6, 10)]
    assert split_blocks(" \n ", 0, 3) == []


PIECES = st.sampled_from(
    ["a", "Z", "-", "\n", "\r\n", "\r", " ", "\t", "\u00ad", "\u200b", "é", "e\u0301", "😀", "."]
)


@given(st.lists(PIECES, max_size=40))
def test_every_character_comes_from_where_it_says(pieces: list[str]) -> None:
    text = "".join(pieces)
    for start, end in split_blocks(text, 0, len(text)):
        block = mend(text, start, end)
        assert len(block.text) == len(block.origins)
        assert list(block.origins) == sorted(set(block.origins))
        for char, origin in zip(block.text, block.origins, strict=True):
            assert start <= origin < end
            assert char == text[origin] or (char == " " and text[origin].isspace())
