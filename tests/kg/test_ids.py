"""Ids: the test vectors, and what the normal form joins and keeps apart."""

from __future__ import annotations

import json
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.ids import (
    RESERVED,
    entity_id,
    label,
    literal_id,
    make_id,
    normal_form,
    relation_type,
    triple_id,
)

CURIE = "e_f8ff17a17c5e126fbf904372f3051a9c"
WARSAW = "e_ab8eccaad5e4ad013bd3cd7dfc926030"


def test_vectors() -> None:
    assert entity_id("Marie  Curie", "Person") == CURIE
    assert entity_id("ＭＡＲＩＥ CURIE", "person") == CURIE
    assert entity_id("Warsaw", "City") == WARSAW
    assert triple_id(CURIE, "BORN_IN", WARSAW) == "t_bf4fdd4a342953902c26aaa3858c9f52"
    assert literal_id("1867-11-07", "xsd:date", "") == "l_e38aa34ee5575b221e02884144dd6424"


def test_parts_do_not_run_together() -> None:
    assert make_id("x", "ab", "c") != make_id("x", "a", "bc")
    assert make_id("x", "1") != make_id("x", 1)
    assert make_id("x", None) != make_id("x", "null")


def test_an_iri_alone_is_the_key() -> None:
    assert entity_id("A", "Person", iri="http://x/1") == entity_id("B", "", iri="http://x/1")
    assert entity_id("A", ns="mine") != entity_id("A")


@given(st.lists(st.text(), max_size=3))
def test_an_id_is_the_hash_of_a_json_array(parts: list[str]) -> None:
    text = json.dumps(["kg1", "x", *parts], ensure_ascii=False, separators=(",", ":"))
    assert make_id("x", *parts) == "x_" + blake2b(text.encode(), digest_size=16).hexdigest()


def test_normal_form_is_idempotent_on_every_code_point() -> None:
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        once = normal_form(f"a{chr(point)}b")
        assert normal_form(once) == once, hex(point)


@given(st.text())
def test_normal_form_is_idempotent(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("ﬁnance", "Finance"),
        ("A\u200bB", "AB"),  # zero-width space is a format character
        ("A\tB\r\nC", "a b c"),
        ("e\u0301", "\u00e9"),  # combining accent, composed letter
    ],
)
def test_variants_of_one_name(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(("one", "other"), [("Müller", "Muller"), ("東京", "東"), ("Москва", "M")])
def test_different_names(one: str, other: str) -> None:
    assert normal_form(one) != normal_form(other)


@given(st.text())
def test_relation_types_and_labels_are_safe_names(text: str) -> None:
    for name in (relation_type(text), label(text)):
        assert name.isascii()
        assert name.replace("_", "a").isalnum()
        assert not name[0].isdigit()
        assert name.upper() not in RESERVED


@pytest.mark.parametrize("word", ["in", "SET", "case", "States", "mentions", "predicted"])
def test_reserved_words_get_a_suffix(word: str) -> None:
    assert relation_type(word) == word.upper() + "_"


def test_scripts_without_ascii_get_a_fingerprint() -> None:
    assert relation_type("出生地") != relation_type("死亡地")
    assert relation_type("出生地").startswith("REL_")


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        make_id("x", "\ud800")
