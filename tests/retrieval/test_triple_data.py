"""Loading folders: every form a file may have, and every line that is wrong."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from retrieval.errors import DataFormatError, NothingToPredict
from retrieval.protocols import questions, relation_categories
from retrieval.triple_data import TripleData, load_folder

TRAIN = "a\tr\tb\nb\tr\tc\nc\ts\ta\n"


def folder(path: Path, **files: str) -> Path:
    """Write files; `train` becomes train.tsv, a name with a dot stays."""
    defaults = {"train": TRAIN, "dev": "a\ts\tc\n", "test": "c\tr\tb\n"}
    for name, text in {**defaults, **files}.items():
        target = path / (name if "." in name else f"{name}.tsv")
        target.write_bytes(text.encode())
    return path


def named(data: TripleData, part: str) -> list[tuple[str, str, str]]:
    return [
        (data.entities[h], data.relations[r], data.entities[t])
        for h, r, t in getattr(data, part).tolist()
    ]


def test_plain_files(tmp_path: Path) -> None:
    data = load_folder(folder(tmp_path, **{"entity2text.txt": "a\tAnn\nb\tBob\nzz\tnobody\n"}))
    assert data.entities == ("a", "b", "c")
    assert data.relations == ("r", "s")
    assert data.texts == ("Ann", "Bob", "c")
    assert data.without_text == 1
    assert named(data, "train") == [("a", "r", "b"), ("b", "r", "c"), ("c", "s", "a")]
    assert named(data, "test") == [("c", "r", "b")]


@pytest.mark.parametrize(
    "text", [TRAIN.rstrip("\n"), TRAIN.replace("\n", "\r\n"), "\ufeff" + TRAIN]
)
def test_line_ends_and_a_missing_last_one_change_nothing(tmp_path: Path, text: str) -> None:
    # A carriage return that stays would double ids: "b" and "b\r".
    data = load_folder(folder(tmp_path, train=text))
    assert data.entities == ("a", "b", "c")
    assert len(data.train) == 3


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    text = "a\tone\u2028two\x0bthree\nb\tBob"
    data = load_folder(folder(tmp_path, **{"entity2text.txt": text}))
    assert data.texts[0] == "one\u2028two\x0bthree"


def test_every_file_may_be_packed(tmp_path: Path) -> None:
    folder(tmp_path, **{"entity2text.txt": "a\tAnn\n", "entities.txt": "d\n"})
    plain = load_folder(tmp_path)
    for path in list(tmp_path.iterdir()):
        (tmp_path / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    packed = load_folder(tmp_path)
    assert packed.entities == plain.entities == ("a", "b", "c", "d")
    assert packed.texts == plain.texts
    assert packed.train.tolist() == plain.train.tolist()


def test_candidates_come_from_triples_and_the_list_never_from_the_texts(tmp_path: Path) -> None:
    texts = "a\tAnn\nforeign\tNobody\n"
    assert "foreign" not in load_folder(folder(tmp_path, **{"entity2text.txt": texts})).entities
    listed = load_folder(folder(tmp_path, **{"entities.txt": "lonely\n"}))
    assert "lonely" in listed.entities


def test_valid_and_txt_are_names_too(tmp_path: Path) -> None:
    for name, text in (("train.txt", TRAIN), ("valid.txt", "a\tr\tc"), ("test.txt", "b\tr\ta")):
        (tmp_path / name).write_text(text)
    assert named(load_folder(tmp_path), "dev") == [("a", "r", "c")]


def test_the_wikidata_file_goes_first_and_the_text_file_fills_its_gaps(tmp_path: Path) -> None:
    entries = {"a": {"label": "Ann", "description": "a person"}, "b": {"label": None}}
    data = load_folder(
        folder(
            tmp_path,
            **{
                "entity2wikidata.json": json.dumps(entries),
                "entity2text.txt": "a\tnot this\nb\tBob\n",
            },
        )
    )
    assert data.texts == ("Ann a person", "Bob", "c")
    assert data.text_source == "entity2wikidata.json + entity2text.txt"
    chosen = load_folder(tmp_path, text="entity2text.txt")
    assert chosen.texts[0] == "not this"


def test_escapes_in_texts_are_resolved(tmp_path: Path) -> None:
    text = 'a\tthe \\"best\\"\\nof caf\\u00e9 \\\\ \\q\n'
    data = load_folder(folder(tmp_path, **{"entity2text.txt": text}))
    assert data.texts[0] == 'the "best" of café \\ \\q'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": "a\tr\tb\na\tr\n"}, r"train\.tsv line 2: .* not three"),
        ({"train": "a\tr\tb\tc\n"}, "line 1"),
        ({"train": "a\t\tb\n"}, "line 1"),
        ({"train": ""}, "holds no triple"),
        ({"entity2text.txt": "a Ann\n"}, "line 1: .* no tab"),
        ({"entity2wikidata.json": "{"}, "not JSON"),
        ({"entity2wikidata.json": "[]"}, "must hold an object"),
        ({"entity2text.txt.xz": "no archive"}, "damaged"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        load_folder(folder(tmp_path, **files))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="not a folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(DataFormatError, match=r"none of train\.tsv"):
        load_folder(tmp_path)
    folder(tmp_path, **{"entity2text.txt": ""})
    with pytest.raises(DataFormatError, match=r"ind-train\.tsv"):
        load_folder(tmp_path, split="inductive")
    with pytest.raises(DataFormatError, match=r"did you mean 'entity2text\.txt'"):
        load_folder(tmp_path, text="entity2txt.txt")
    (tmp_path / "train.tsv").write_bytes(b"a\tr\t\xff\n")
    with pytest.raises(DataFormatError, match="not UTF-8"):
        load_folder(tmp_path)


def test_the_dynamic_protocol_wants_a_new_entity_in_every_triple() -> None:
    triples = [("a", "r", "b"), ("b", "r", "c")]
    fine = TripleData.of(triples, dev=[("a", "r", "d")], test=[("e", "r", "a"), ("d", "r", "e")])
    asked = questions(fine, "dynamic")
    assert len(asked.candidates) == 5
    assert asked.target_is_new.tolist() == [False, True, True, True]
    dev = questions(fine, "dynamic", "dev")
    # The new entity of the test is no candidate on dev, and is dropped from the filter there.
    assert [fine.entities[row] for row in dev.candidates] == ["a", "b", "c", "d"]
    assert dev.known[1].max() < 4
    broken = TripleData.of(triples, dev=[("a", "r", "d")], test=[("a", "r", "c")])
    with pytest.raises(DataFormatError, match="not an inductive split"):
        questions(broken, "dynamic")


def test_the_transductive_protocol_keeps_triples_with_unseen_ends() -> None:
    data = TripleData.of([("a", "r", "b")], test=[("a", "r", "x")], entities=["y"])
    asked = questions(data, "transductive")
    assert asked.with_new_end == 1
    assert len(asked.candidates) == 4
    # (a, r, ?) has b and x as known answers, (x, r⁻¹, ?) has a.
    rows, ids = asked.known
    assert list(zip(rows.tolist(), ids.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0)]
    with pytest.raises(NothingToPredict):
        questions(data, "transductive", "dev")


def test_relation_categories() -> None:
    data = TripleData.of(
        [("a", "one", "b"), ("c", "one", "d")]
        + [("a", "many", x) for x in "bcd"]
        + [(x, "back", "a") for x in "bcd"]
        + [(x, "both", y) for x in "ab" for y in "cd"]
    )
    found = dict(zip(data.relations, relation_categories(data.train, 4), strict=True))
    assert found == {"one": "1-1", "many": "1-n", "back": "n-1", "both": "n-n"}
