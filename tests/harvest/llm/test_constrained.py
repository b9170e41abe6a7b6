"""Whatever a model likes, its answer has the form: random models are held to it here."""

from __future__ import annotations

import pytest

from harvest.errors import InputError
from harvest.llm import constrained
from harvest.llm.constrained import ConstrainedExtractor, _Grammar, _Node, spans, written
from retrieval.demonstrations.task import Demo
from tests.harvest.llm.copying_lm import random_lm
from tests.retrieval.demonstrations.toy_lm import toy_lm

RELATIONS = ["place of birth", "place of death", "date of birth"]
SENTENCES = [
    "Marie Curie was born in Warsaw on 7 November 1867.",
    'The "Hahn-Meitner" institute (Berlin) & Co.; others | say: O\'Neill.',
    "東京 is the capital of Japan, 🙂 they say\r\nsince 1868.",
    "Warsaw",
    "One two.",
]


def test_spans_are_runs_of_words_without_marks_at_their_ends() -> None:
    assert spans("a b") == ["a", "a b", "b"]
    found = spans(SENTENCES[1])
    assert {"Hahn-Meitner", "O'Neill", "Berlin"} <= set(found)
    assert not any(mark in span for span in found for mark in "|;\n")
    assert len(max(spans("w " * 30), key=len).split()) == constrained.LONGEST
    assert spans("… !") == []


@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_only_says_what_sentence_and_schema_allow(seed: int) -> None:
    reader = ConstrainedExtractor(random_lm(seed), RELATIONS, most=3)
    for sentence, triples in zip(SENTENCES, reader.extract(SENTENCES, [[]] * 5), strict=True):
        assert len(triples) <= 3 and len(set(triples)) == len(triples)
        for head, relation, tail in triples:
            assert relation in RELATIONS and head != tail
            assert {head, tail} <= set(spans(sentence))
    assert all(reader.extract(SENTENCES[:3], [[]] * 3))  # there is always something to say


def test_one_word_has_no_two_ends_and_no_word_is_not_asked() -> None:
    reader = ConstrainedExtractor(random_lm(), RELATIONS)
    assert reader.extract(["Warsaw", "…", ""], [[], [], []]) == [[], [], []]


def test_sentences_are_read_alone_as_together() -> None:
    reader = ConstrainedExtractor(random_lm(1), RELATIONS, most=2)
    demos = [[Demo("1", "Fermi died in Chicago.", written([("Fermi", RELATIONS[1], "Chicago")]))]]
    together = reader.extract(SENTENCES, demos * 5)
    assert together == [reader.extract([one], demos)[0] for one in SENTENCES]


def walked(sentence: str, answer: str, *, most: int = 4) -> list[int]:
    """Return how many tokens were allowed at each token of an answer, all of which must be."""
    lm = random_lm()
    marks = tuple(lm.ids(mark)[0] for mark in (" |", ";", "\n"))
    grammar = _Grammar(sentence, _Node.of(RELATIONS, lm), lm, marks=marks, most=most)  # type: ignore[arg-type]
    tokens: list[int] = []
    choices = []
    for token in lm.ids(answer):
        choice = grammar.allowed(tokens)
        assert token in choice, (lm.text(tokens), lm.text([token]))
        choices.append(len(choice))
        tokens.append(token)
    return choices


def test_a_good_answer_can_be_said() -> None:
    facts = [
        ("Marie Curie", "place of birth", "Warsaw"),
        ("Marie Curie", "date of birth", "7 November 1867"),
    ]
    walked(SENTENCES[0], written(facts) + "\n")


@pytest.mark.parametrize(
    "answer",
    [
        " Marie Curie | place of birth | Paris\n",  # not in the sentence
        " Marie Curie | spouse | Warsaw\n",  # not in the schema
        " Marie Curie | place of birth | Marie Curie\n",  # one end twice
        " Marie Curie | place of birth\n",  # no tail
        " Marie Warsaw | place of birth | Warsaw\n",  # no run of words
        " Curie | place of birth | Warsaw; Curie | place of birth | Warsaw\n",  # said before
    ],
)
def test_a_bad_answer_cannot(answer: str) -> None:
    with pytest.raises(AssertionError):
        walked(SENTENCES[0], answer)


def test_no_more_triples_than_allowed() -> None:
    answer = written([("Marie", "place of birth", "Warsaw"), ("Curie", "place of birth", "Warsaw")])
    walked(SENTENCES[0], answer + "\n", most=2)
    with pytest.raises(AssertionError):
        walked(SENTENCES[0], answer + "\n", most=1)


def test_an_answer_that_is_cut_gives_its_whole_triples(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ConstrainedExtractor(random_lm(2), RELATIONS, most=4)
    (whole,) = reader.extract(SENTENCES[:1], [[]])
    for tokens in (1, 5, 20, 40):
        monkeypatch.setattr(constrained, "MOST_TOKENS", tokens)
        (cut,) = reader.extract(SENTENCES[:1], [[]])
        assert len(cut) <= len(whole)
        assert cut[:-1] == whole[: len(cut) - 1]


def test_the_best_demonstration_stands_next_to_the_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    lm = random_lm()

    def watched(_: object, prompts: list[list[int]], **options: object) -> list[str]:
        seen.extend(lm.text(prompt) for prompt in prompts)
        return [""] * len(prompts)

    monkeypatch.setattr("retrieval.demonstrations.generation.greedy", watched)
    demos = [Demo("best", "b", " B | r | C"), Demo("next", "n", " N | r | M")]
    ConstrainedExtractor(lm, RELATIONS).extract(["x"], [demos])
    assert seen == [
        "Sentence: n\nTriples: N | r | M\nSentence: b\nTriples: B | r | C\nSentence: x\nTriples:"
    ]


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(InputError, match=r"relation 'a \| b' cannot stand in an answer"):
        ConstrainedExtractor(random_lm(), ["a | b"])
    with pytest.raises(InputError, match="no relation to look for"):
        ConstrainedExtractor(random_lm(), [])
    with pytest.raises(InputError, match="the model's tokenizer cuts"):
        ConstrainedExtractor(toy_lm(), RELATIONS)
