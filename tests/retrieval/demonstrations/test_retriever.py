"""One retriever for every task: what is found, what is barred, what stays the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.template import PromptTemplate
from retrieval.errors import ModelFileError, QueryShapeError

FILM = Task("film", "Sentiment of the sentence:", labels=("good", "bad"))
TOPIC = Task("topic", "Topic of the question:", labels=("place", "person"))
FILMS = [
    Demo("1", "a dull film", "bad"),
    Demo("2", "a gripping film", "good"),
    Demo("3", "a gripping , moving story", "good"),
    Demo("4", "dull and long", "bad"),
    Demo("5", "gripping , gripping", "good"),
]
QUESTIONS = [Demo("1", "who made this film ?", "person"), Demo("2", "where is Rome ?", "place")]


def letters(texts: list[str]) -> np.ndarray:
    """How often each letter stands in a text."""
    return np.array(
        [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts], np.float32
    )


@pytest.fixture(params=["bm25", "tfidf", "function", "function without faiss"])
def retriever(request: pytest.FixtureRequest) -> DemonstrationRetriever:
    if request.param.startswith("function"):
        engine = "numpy" if "without" in request.param else "faiss"
        made = DemonstrationRetriever(letters, index=engine)
    else:
        made = DemonstrationRetriever(request.param)
    made.add(FILMS, task=FILM)
    made.add(QUESTIONS, task=TOPIC)
    return made


def ids(hits: list[Demo]) -> list[str]:
    return [hit.id for hit in hits]


class TestEveryEncoder:
    def test_one_query_gives_a_list_and_several_a_list_of_lists(
        self, retriever: DemonstrationRetriever
    ) -> None:
        one = retriever.retrieve("gripping film", task=FILM, k=2)
        many = retriever.retrieve(["gripping film", "dull"], task=FILM, k=2)
        assert one == many[0]
        assert [len(found) for found in many] == [2, 2]
        assert retriever.retrieve([], task=FILM) == []

    def test_hits_carry_score_rank_and_task(self, retriever: DemonstrationRetriever) -> None:
        hits = retriever.retrieve("gripping film", task=FILM, k=5)
        assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert {hit.task for hit in hits} == {"film"}

    def test_a_pool_is_its_own(self, retriever: DemonstrationRetriever) -> None:
        assert set(ids(retriever.retrieve("film", task=TOPIC, k=8))) == {"1", "2"}

    def test_a_query_never_gets_itself(self, retriever: DemonstrationRetriever) -> None:
        pool = retriever.pool(FILM)
        found = retriever.retrieve(
            [demo.input for demo in pool], task=FILM, k=4, exclude_ids=[demo.id for demo in pool]
        )
        for demo, hits in zip(pool, found, strict=True):
            assert demo.id not in ids(hits)
            assert len(hits) == 4

    def test_excluding_an_absent_id_takes_nothing_away(
        self, retriever: DemonstrationRetriever
    ) -> None:
        plain = retriever.retrieve("gripping film", task=FILM, k=3)
        assert retriever.retrieve("gripping film", task=FILM, k=3, exclude_ids="99") == plain

    def test_added_then_removed_leaves_no_trace(self, retriever: DemonstrationRetriever) -> None:
        before = retriever.retrieve(["gripping film", "z"], task=FILM, k=5)
        retriever.add([Demo("new", "gripping film", "good")], task=FILM)
        assert "new" in ids(retriever.retrieve("gripping film", task=FILM, k=3))
        assert retriever.remove(["new", "unknown"], task=FILM) == 1
        assert retriever.retrieve(["gripping film", "z"], task=FILM, k=5) == before

    def test_it_equals_a_retriever_built_anew(self, retriever: DemonstrationRetriever) -> None:
        retriever.remove(["2"], task=FILM)
        retriever.add([Demo("6", "zzz film", "bad")], task=FILM)
        anew = DemonstrationRetriever(retriever.encoder)
        anew.add(retriever.pool(FILM), task=FILM)
        queries = ["gripping film", "dull", "zzz"]
        for mine, theirs in zip(
            retriever.retrieve(queries, task=FILM), anew.retrieve(queries, task=FILM), strict=True
        ):
            assert ids(mine) == ids(theirs)
            assert [hit.score for hit in mine] == pytest.approx(
                [hit.score for hit in theirs], abs=1e-5
            )

    def test_an_id_that_comes_again_is_replaced(self, retriever: DemonstrationRetriever) -> None:
        retriever.add([Demo("1", "xylophone", "good")], task=FILM)
        assert len(retriever.pool(FILM)) == 5
        assert retriever.retrieve("xylophone", task=FILM, k=1)[0].id == "1"
        assert "a dull film" not in {hit.input for hit in retriever.retrieve("dull", task=FILM)}

    def test_ids_are_removed_from_one_task_or_from_all(
        self, retriever: DemonstrationRetriever
    ) -> None:
        assert retriever.remove(["1"], task=TOPIC) == 1
        assert len(retriever) == 6
        assert retriever.remove(["1", "2"]) == 3

    def test_scores_are_those_of_retrieve(self, retriever: DemonstrationRetriever) -> None:
        table = retriever.scores(["gripping film"], task=FILM)
        order = np.argsort(-table[0], kind="stable")
        hits = retriever.retrieve("gripping film", task=FILM, k=5)
        assert [FILMS[at].id for at in order] == ids(hits)
        assert table[0][order] == pytest.approx([hit.score for hit in hits], abs=1e-5)

    def test_all_pools_are_searched_without_a_task(self, retriever: DemonstrationRetriever) -> None:
        hits = retriever.retrieve("film", task=None, k=8)
        assert {(hit.task, hit.id) for hit in hits} >= {("film", "1"), ("topic", "1")}
        assert len(hits) == 7

    def test_in_a_mixed_index_a_demo_bars_only_itself(
        self, retriever: DemonstrationRetriever
    ) -> None:
        own = retriever.pool(FILM)[0]
        hits = retriever.retrieve("film", task=None, k=8, exclude_ids=own)
        assert ("film", "1") not in {(hit.task, hit.id) for hit in hits}
        assert ("topic", "1") in {(hit.task, hit.id) for hit in hits}
        assert len(retriever.retrieve("film", task=None, k=8, exclude_ids="1")) == 5

    def test_an_emptied_pool_answers_nothing(self, retriever: DemonstrationRetriever) -> None:
        retriever.remove(["1", "2"], task=TOPIC)
        assert retriever.retrieve("Rome", task=TOPIC) == []
        assert retriever.retrieve(["Rome"], task=TOPIC) == [[]]
        assert retriever.scores(["Rome"], task=TOPIC).shape == (1, 0)

    def test_labels_come_in_turn(self, retriever: DemonstrationRetriever) -> None:
        hits = retriever.retrieve("gripping , gripping", task=FILM, k=4, balance="label")
        assert sorted(hit.output for hit in hits) == ["bad", "bad", "good", "good"]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    @pytest.mark.parametrize("rule", ["mmr", "dpp"])
    def test_diversity_passes_a_copy_over(
        self, retriever: DemonstrationRetriever, rule: str
    ) -> None:
        retriever.add([Demo("copy", "gripping , gripping", "good")], task=FILM)
        query = "gripping , gripping dull"
        plain = ids(retriever.retrieve(query, task=FILM, k=2))
        diverse = ids(retriever.retrieve(query, task=FILM, k=2, diversify=rule))  # type: ignore[call-overload]
        assert plain == ["5", "copy"]
        assert not {"5", "copy"} <= set(diverse)

    def test_what_is_returned_fits_the_budget(self, retriever: DemonstrationRetriever) -> None:
        # A demonstration costs its words and its answer; 3 + 1, 4 + 1 or 5 + 1 tokens here.
        for budget in range(13):
            hits = retriever.retrieve("gripping film", task=FILM, max_tokens=budget)
            cost = sum(retriever.count_tokens(PromptTemplate().demonstration(hit)) for hit in hits)
            assert cost <= budget
            assert bool(hits) == (budget >= 4)


class TestExclusion:
    def test_the_own_text_is_found_whatever_its_spelling(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        retriever.add([Demo("a", "It 's GOOD .", "good"), Demo("b", "it's", "bad")], task=FILM)
        assert ids(retriever.retrieve("it's good", task=FILM, exclude_text=True)) == ["b"]
        # A prefix is another text.
        assert len(retriever.retrieve("it's goodness", task=FILM, exclude_text=True)) == 2

    def test_each_query_has_its_own_exclusions(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        retriever.add(FILMS, task=FILM)
        found = retriever.retrieve(
            ["gripping film"] * 3, task=FILM, k=1, exclude_ids=[None, "2", {"2", "1", "5"}]
        )
        assert [ids(hits) for hits in found] == [["2"], ["1"], ["3"]]

    def test_a_wrong_number_of_exclusions_is_refused(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        retriever.add(FILMS, task=FILM)
        with pytest.raises(QueryShapeError, match="1 entries for 2 queries"):
            retriever.retrieve(["a", "b"], task=FILM, exclude_ids=["1"])


class TestDense:
    def test_the_instruction_stands_on_both_sides_and_the_answer_with_the_demo(self) -> None:
        seen: list[str] = []

        def encode(texts: list[str]) -> np.ndarray:
            seen.extend(texts)
            return letters(texts)

        retriever = DemonstrationRetriever(encode, index="numpy")
        retriever.add(FILMS[:1], task=FILM)
        retriever.retrieve("so dull", task=FILM)
        retriever.retrieve("so dull", task=None, instruction="Topic:")
        retriever.retrieve("so dull", task=None)
        assert seen == [
            "Sentiment of the sentence: a dull film\tbad",
            "Sentiment of the sentence: so dull",
            "Topic: so dull",
            "so dull",
        ]

    def test_faiss_and_numpy_find_the_same(self) -> None:
        random = np.random.default_rng(0)
        table = {str(at): random.normal(size=16).astype(np.float32) for at in range(300)}

        def encode(texts: list[str]) -> np.ndarray:
            return np.stack([table[text.split()[-1]] for text in texts])

        queries = [str(at) for at in range(20)]
        found = []
        for engine in ("faiss", "numpy"):
            retriever = DemonstrationRetriever(encode, index=engine)  # type: ignore[arg-type]
            retriever.add([Demo(str(at), str(at), "") for at in range(300)], task=Task("t", ""))
            retriever.remove(["17"])
            found.append(retriever.retrieve(queries, task="t", k=10))
        for mine, theirs in zip(*found, strict=True):
            assert ids(mine) == ids(theirs)
            assert [hit.score for hit in mine] == pytest.approx([hit.score for hit in theirs])

    def test_equal_vectors_come_in_the_order_of_the_pool(self) -> None:
        for engine in ("faiss", "numpy"):
            retriever = DemonstrationRetriever(
                lambda texts: np.ones((len(texts), 3)),
                index=engine,  # type: ignore[arg-type]
            )
            retriever.add([Demo(id, id, "") for id in "dcbafe"], task=Task("t", ""))
            assert "".join(ids(retriever.retrieve("x", task="t", k=4))) == "dcba"

    def test_a_model_is_compared_as_it_was_trained(self) -> None:
        class Model:
            """The part of a SentenceTransformer that is called."""

            def __init__(self, similarity: str) -> None:
                self.similarity_fn_name = similarity

            def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
                return np.array([[1.0, 1.0]] * len(texts))

            def encode_document(self, texts: list[str], **_: object) -> np.ndarray:
                return np.array([[3.0, 0.0] if "long" in text else [0.6, 0.6] for text in texts])

        pool = [Demo("long", "long", ""), Demo("near", "near", "")]
        first = {}
        for similarity in ("dot", "cosine"):
            retriever = DemonstrationRetriever(Model(similarity))  # type: ignore[arg-type]
            retriever.add(pool, task=Task("t", ""))
            hits = retriever.retrieve("x", task="t")
            first[similarity] = (hits[0].id, round(hits[0].score, 4))
            assert retriever.scores(["x"], task="t")[0].max() == pytest.approx(hits[0].score)
        assert first == {"dot": ("long", 3.0), "cosine": ("near", 1.0)}
        with pytest.raises(ModelFileError, match="euclidean"):
            DemonstrationRetriever(Model("euclidean"))  # type: ignore[arg-type]

    def test_an_encoder_of_another_shape_is_refused(self) -> None:
        retriever = DemonstrationRetriever(lambda texts: np.ones(3))
        with pytest.raises(QueryShapeError, match=r"\(3,\) for 1 texts"):
            retriever.add(FILMS[:1], task=FILM)
        assert len(retriever) == 0

    def test_minilm_finds_what_shares_no_word(self) -> None:
        retriever = DemonstrationRetriever("minilm")
        task = Task("t", "Topic:", labels=("sport", "food"))
        retriever.add(
            [Demo("1", "the striker scored twice", "sport"), Demo("2", "boil pasta", "food")],
            task=task,
        )
        assert ids(retriever.retrieve("a recipe with noodles", task=task, k=1)) == ["2"]
        assert ids(retriever.retrieve("football match", task=task, k=1)) == ["1"]


class TestPrompt:
    def test_the_best_stands_next_to_the_query(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        retriever.add(FILMS, task=FILM)
        hits = retriever.retrieve("gripping film", task=FILM, k=2)
        assert ids(hits) == ["2", "1"]
        assert retriever.prompt("gripping film", hits) == (
            "a dull film\tbad\na gripping film\tgood\ngripping film\t"
        )
        assert retriever.prompt("x", hits, order="descending").startswith("a gripping film")


def test_the_budget_counts_tokens_as_told() -> None:
    retriever = DemonstrationRetriever("bm25", count_tokens=len)
    retriever.add(FILMS, task=FILM)
    # "a gripping film\tgood\n" has 21 characters.
    assert ids(retriever.retrieve("gripping film", task=FILM, k=1, max_tokens=21)) == ["2"]
    assert "2" not in ids(retriever.retrieve("gripping film", task=FILM, k=1, max_tokens=20))


def test_changes_and_searches_from_several_threads() -> None:
    retriever = DemonstrationRetriever("bm25")
    retriever.add([Demo(f"old-{at}", f"film {at}", "good") for at in range(50)], task=FILM)

    def repeat(act: Callable[[int], object]) -> None:
        for at in range(40):
            act(at)

    def change(at: int) -> None:
        retriever.add([Demo(f"new-{at}", f"film new {at}", "bad")], task=FILM)
        retriever.remove([f"new-{at}"])

    def search(at: int) -> None:
        hits = retriever.retrieve([f"film {at}", "new"], task=FILM, k=50)
        assert all(len(found) == 50 for found in hits)

    with ThreadPoolExecutor() as threads:
        list(threads.map(repeat, (change, search, search)))  # raises what a thread raised
    assert len(retriever) == 50


class TestRefusals:
    def test_what_cannot_be_asked(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        with pytest.raises(QueryShapeError, match="there are: none"):
            retriever.retrieve("x", task=FILM)
        retriever.add(FILMS, task=FILM)
        with pytest.raises(QueryShapeError, match="k is 0"):
            retriever.retrieve("x", task=FILM, k=0)
        with pytest.raises(QueryShapeError, match="diversify='knn'"):
            retriever.retrieve("x", task=FILM, diversify="knn")  # type: ignore[call-overload]
        with pytest.raises(QueryShapeError, match="choose one"):
            retriever.retrieve("x", task=FILM, diversify="mmr", balance="label")
        with pytest.raises(QueryShapeError, match="budget of -1"):
            retriever.retrieve("x", task=FILM, max_tokens=-1)
        with pytest.raises(QueryShapeError, match="'topic'"):
            retriever.remove(["1"], task=TOPIC)

    def test_what_cannot_be_added(self) -> None:
        retriever = DemonstrationRetriever("bm25")
        with pytest.raises(QueryShapeError, match="none of its labels"):
            retriever.add([Demo("1", "x", "middling")], task=FILM)
        with pytest.raises(QueryShapeError, match="comes twice"):
            retriever.add([FILMS[0], FILMS[0]], task=FILM)
        retriever.add(FILMS, task=FILM)
        with pytest.raises(QueryShapeError, match="another instruction"):
            retriever.add(FILMS, task=Task("film", "Topic:", labels=FILM.labels))
        assert len(retriever) == 5

    def test_what_is_no_encoder(self) -> None:
        with pytest.raises(ModelFileError, match="no folder"):
            DemonstrationRetriever("bm42")
        with pytest.raises(QueryShapeError, match="no encoder"):
            DemonstrationRetriever(7)  # type: ignore[arg-type]
        with pytest.raises(QueryShapeError, match="faiss or numpy"):
            DemonstrationRetriever(letters, index="annoy")  # type: ignore[arg-type]
