"""The table of a task, the mixed index and `sheaf eval demos`, on two tasks made here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import sheaf
from retrieval.demonstrations import baselines
from retrieval.demonstrations.datasets import TaskData, load_task
from retrieval.demonstrations.evaluation import evaluate, hits_of, sampled
from retrieval.demonstrations.measures import average_precision
from retrieval.demonstrations.mixed_index import mixed_index
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import DataFormatError, QueryShapeError

PLACES = ["Rome", "Oslo", "Lima", "Bern", "Kyiv", "Cairo", "Quito", "Delhi"]
FILMS = ["story", "plot", "film", "scene", "drama", "comedy", "sequel", "ending"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with TREC and SST-2 in their formats; one test sentence is in the pool."""
    root = tmp_path_factory.mktemp("data")
    place = root / "demos" / "sent_cls"
    place.mkdir(parents=True)
    questions = [f"4 where is {name} ?" for name in PLACES]
    questions += [f"3 who saw {name} first ?" for name in PLACES]
    (place / "TREC.train.all").write_text("\n".join(questions) + "\n", "latin-1")
    asked = ["4 where is Rome?", "3 who saw Paris first ?", "4 where is Paris ?"]
    (place / "TREC.test.all").write_text("\n".join(asked), "latin-1")
    lines = [f"1 a gripping {word}" for word in FILMS] + [f"0 a dull {word}" for word in FILMS]
    (place / "stsa.binary.train").write_text("\n".join(lines), "utf-8")
    (place / "stsa.binary.test").write_text("1 gripping it is\n0 so dull", "utf-8")
    return root


def instructed(texts: list[str]) -> np.ndarray:
    """An encoder that sees the instruction above all, and then the words."""
    rows = np.zeros((len(texts), 64), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[0 if text.startswith("Topic") else 1] = 5
        for word in text.split("\t")[0].split()[4:]:
            row[2 + sum(word.encode()) % 62] += 1
    return rows


class TestTable:
    def test_every_row_stands_beside_its_floors_and_its_ceiling(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        table = evaluate(
            data, {"bm25": DemonstrationRetriever("bm25"), "tfidf": DemonstrationRetriever("tfidf")}
        )
        assert list(table["rows"]) == [
            "majority", "random", "random_balanced", "bm25", "tfidf", "oracle_same_label",
            "tfidf_logistic",
        ]  # fmt: skip
        assert (table["pool"], table["queries"], table["repeated_in_pool"]) == (16, 3, 1)
        rows = table["rows"]
        assert rows["bm25"]["vote"] == rows["tfidf_logistic"]["accuracy"] == 1.0
        assert rows["oracle_same_label"]["match_at_8"] == 1.0
        assert rows["majority"]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
        assert rows["tfidf"]["vote_against_bm25"]["difference"] == 0.0
        assert len(rows["random"]["votes"]) == 3
        assert rows["random_balanced"]["match_at_8"] == 0.5

    def test_a_repeated_query_loses_its_own_text_and_no_other(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        retriever = DemonstrationRetriever("bm25")
        row = evaluate(data, {"bm25": retriever}, k=1, classifier=False)["rows"]["bm25"]
        own = hits_of(retriever, data, k=1, exclude_text=True)
        assert [hit.input for hit in hits_of(retriever, data, k=1)[0]] == ["where is Rome ?"]
        assert [hit.input for hit in own[0]] == ["who saw Rome first ?"]
        assert row["match_at_1"] == 1.0
        assert row["without_repeated"]["match_at_1"] == pytest.approx(2 / 3, abs=1e-6)

    def test_map_is_that_of_the_whole_pool(self, folder: Path) -> None:
        data = load_task(folder, "sst2")
        retriever = DemonstrationRetriever("tfidf")
        row = evaluate(data, {"tfidf": retriever}, classifier=False)["rows"]["tfidf"]
        scores = retriever.scores([query.input for query in data.test], task=data.task)
        right = [[demo.output == query.output for demo in data.task.demos] for query in data.test]
        assert row["map"] == pytest.approx(average_precision(scores, right).mean(), abs=1e-6)

    def test_a_judge_adds_its_figures_to_every_row_with_demonstrations(self, folder: Path) -> None:
        table = evaluate(
            load_task(folder, "sst2"),
            {"bm25": DemonstrationRetriever("bm25")},
            judge=lambda data, hits: {"lm_accuracy": len(hits) / len(data.test)},
            classifier=False,
        )
        judged = {name for name, row in table["rows"].items() if "lm_accuracy" in row}
        assert judged == {"random", "random_balanced", "bm25", "oracle_same_label"}

    def test_a_sample_is_seeded_and_keeps_the_order(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        drawn = sampled(data, 2, seed=1)
        assert drawn == sampled(data, 2, seed=1)
        assert [demo.id for demo in drawn.test] == sorted(demo.id for demo in drawn.test)
        assert sampled(data, None) == sampled(data, 99) == data

    def test_generation_has_no_table(self) -> None:
        free = TaskData(Task("free", "Answer:", [Demo("1", "x", "y")]), (Demo("q", "x", "y"),))
        with pytest.raises(QueryShapeError, match="0 labels"):
            evaluate(free, {})


class TestBaselines:
    def test_barred_demonstrations_are_never_drawn(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        barred = [[f"train-{at}" for at in range(12)]] * 3
        for hits in (
            baselines.random_hits(data, barred, k=8, seed=0),
            baselines.balanced_hits(data, barred, k=8, seed=0),
            baselines.oracle_hits(data, barred, k=8),
        ):
            assert all(int(hit.id[6:]) >= 12 for found in hits for hit in found)
        assert [len(found) for found in baselines.random_hits(data, barred, k=8, seed=0)] == [4] * 3

    def test_chance_is_seeded_and_other_for_each_query(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        first = baselines.random_hits(data, [[]] * 3, k=4, seed=0)
        assert first == baselines.random_hits(data, [[]] * 3, k=4, seed=0)
        assert first[0] != first[1]
        assert first != baselines.random_hits(data, [[]] * 3, k=4, seed=1)

    def test_a_label_that_no_pool_has_leaves_the_oracle_empty(self, folder: Path) -> None:
        data = load_task(folder, "trec")
        strange = replace(data, test=(Demo("q", "how many ?", "Number"),))
        assert baselines.oracle_hits(strange, [[]], k=8) == [[]]


class TestMixedIndex:
    def test_the_instruction_decides_where_the_encoder_reads_it(self, folder: Path) -> None:
        tasks = [load_task(folder, name) for name in ("trec", "sst2")]
        answer = mixed_index(DemonstrationRetriever(instructed, index="numpy"), tasks)
        assert answer["right_task"] == answer["right_instruction"] == 1.0
        assert answer["shuffled"]["right_task"] == 0.0
        assert answer["chance"] == {"right_task": 0.5, "right_instruction": 0.5}
        assert answer["tasks"]["trec"]["shuffled"]["right_instruction"] == 0.0

    def test_words_find_their_task_whatever_the_instruction(self, folder: Path) -> None:
        tasks = [load_task(folder, name) for name in ("trec", "sst2")]
        answer = mixed_index(DemonstrationRetriever("bm25"), tasks, k=4)
        assert answer["right_task"] == answer["shuffled"]["right_task"] > 0.9

    def test_no_text_of_a_test_is_in_the_index(self, folder: Path) -> None:
        retriever = DemonstrationRetriever("bm25")
        tasks = [load_task(folder, name) for name in ("trec", "sst2")]
        assert mixed_index(retriever, tasks)["demonstrations"] == len(retriever) == 31
        with pytest.raises(QueryShapeError, match="starts empty"):
            mixed_index(retriever, tasks)
        with pytest.raises(QueryShapeError, match="1 instructions"):
            mixed_index(DemonstrationRetriever("bm25"), tasks[:1])


class TestCommand:
    def test_json_has_match_and_vote_on_top(self, folder: Path) -> None:
        done = CliRunner().invoke(
            sheaf.app,
            ["eval", "demos", "--data", str(folder), "--task", "trec", "--retriever", "bm25",
             "--json"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["of"] == "bm25"
        row = answer["tasks"]["trec"]["rows"]["bm25"]
        assert (answer["match_at_8"], answer["vote"]) == (row["match_at_8"], row["vote"])

    def test_the_table_shows_rows_with_and_without_repeats(self, folder: Path) -> None:
        done = CliRunner().invoke(
            sheaf.app,
            ["eval", "demos", "--data", str(folder), "--task", "trec", "--retriever", "tfidf",
             "--retriever", "bm25", "--queries", "2", "--no-classifier"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        for part in ("bm25, no repeats", "oracle_same_label", "2 queries", "majority"):
            assert part in done.stdout
        assert "tfidf_logistic" not in done.stdout

    def test_one_index_over_several_tasks(self, folder: Path) -> None:
        arguments = ["eval", "demos", "--data", str(folder), "--mixed", "--retriever", "bm25",
                     "--task", "trec", "--task", "sst2"]  # fmt: skip
        done = CliRunner().invoke(sheaf.app, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        answer = json.loads(done.stdout.splitlines()[-1])["mixed"]["bm25"]
        assert set(answer["tasks"]) == {"trec", "sst2"}
        shown = CliRunner().invoke(sheaf.app, arguments).stdout
        assert "shuffled" in shown
        assert "bm25" in shown

    def test_an_unknown_task_lists_the_known_ones(self, folder: Path) -> None:
        done = CliRunner().invoke(
            sheaf.app, ["eval", "demos", "--data", str(folder), "--task", "sst3"]
        )
        assert done.exit_code == 2
        assert "semeval-re" in done.output


class TestFiles:
    def test_only_a_line_feed_ends_a_line(self, folder: Path) -> None:
        file = folder / "demos" / "sent_cls" / "subj.all"
        rows = [f"{at % 2} text {at} \x85 goes on" for at in range(9000)]
        file.write_text("\n".join(rows) + "\n", "latin-1")
        data = load_task(folder, "subj")
        assert (len(data.task.demos), len(data.test)) == (8000, 1000)
        assert all("goes on" in demo.input for demo in data.test)

    def test_a_missing_file_is_named(self, folder: Path) -> None:
        with pytest.raises(DataFormatError, match="rt-polarity"):
            load_task(folder, "mr")

    def test_fewrel_keeps_the_sentence_of_a_masked_text(self, tmp_path: Path) -> None:
        place = tmp_path / "re" / "fewrel"
        place.mkdir(parents=True)
        words = "Ada Byron met Bob in Paris".split()

        def items(relation: str) -> list[dict[str, object]]:
            return [
                {"tokens": [*words, str(at), relation], "h": ["a", "", [[0, 1]]],
                 "t": ["b", "", [[3], [5]]]}
                for at in range(4)
            ]  # fmt: skip

        rows = {relation: items(relation) for relation in ("P1", "P2")}
        (place / "val_wiki.json").write_text(json.dumps(rows))
        (place / "val_nyt.json").write_text(json.dumps({"P2": items("P2"), "P3": items("P3")}))
        names = {f"P{at}": [f"relation {at}", ""] for at in range(1, 4)}
        (place / "pid2name.json").write_text(json.dumps(names))
        data = load_task(tmp_path, "fewrel")
        assert (len(data.task.demos), len(data.test)) == (4, 4)
        demo = data.task.demos[0]
        assert demo.input.startswith("SUBJ met OBJ in OBJ")
        assert demo.provenance["sentence"].startswith("adabyronmetbobinparis")
        assert load_task(tmp_path, "fewrel-plain").task.demos[0].input.startswith("Ada Byron met")
        across = load_task(tmp_path, "fewrel-wiki-nyt")
        assert across.task.labels == ("relation 2",)
        assert (len(across.task.demos), len(across.test)) == (4, 4)
