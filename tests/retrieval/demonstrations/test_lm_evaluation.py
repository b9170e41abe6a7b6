from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retrieval.causal_lm import CausalLM
from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.feedback import read_scored
from retrieval.demonstrations.lm_evaluation import (
    answers,
    claim,
    drawn_candidates,
    drawn_queries,
    feedback,
    feedback_figures,
    task_scorer,
)
from retrieval.demonstrations.lm_judge import lm_judge
from retrieval.demonstrations.scorer import LMScorer, Pair
from retrieval.demonstrations.task import Demo, Task
from sheaf import app
from tests.retrieval.demonstrations.toy_lm import toy_lm

LABELS = ("terrible", "great")
POOL = [
    Demo(str(at), f"a {'gripping' if at % 3 else 'dull'} film part {at}", LABELS[at % 2])
    for at in range(24)
]
TASK = Task("toy", "Sentiment:", POOL, labels=LABELS)
TEST = tuple(Demo(f"t{at}", f"a film {at}", LABELS[at % 2]) for at in range(6))


def test_small_samples_begin_large_ones() -> None:
    few, many = drawn_queries(POOL, 3, seed=1), drawn_queries(POOL, 9, seed=1)
    assert many[:3] == few
    assert len({demo.id for demo in many}) == 9
    assert drawn_queries(POOL, 9, seed=2) != many


def test_candidates_are_never_the_query_and_stand_in_the_order_of_bm25() -> None:
    queries = drawn_queries(POOL, 5, seed=0)
    some = drawn_candidates(TASK, queries, n=4, among=10, seed=3)
    everything = drawn_candidates(TASK, queries, n=10, among=10)
    assert list(some) == [query.id for query in queries]
    for query in queries:
        places = [everything[query.id].index(id) for id in some[query.id]]
        assert places == sorted(places)
        assert len(places) == 4
        assert query.id not in everything[query.id]
    assert drawn_candidates(TASK, queries, n=4, among=10, seed=3) == some


def test_feedback_is_the_share_of_the_gold_label_and_is_read_by_the_trainer(
    tmp_path: Path,
) -> None:
    scorer = LMScorer(toy_lm())
    candidates = drawn_candidates(TASK, drawn_queries(POOL, 4, seed=0), n=3)
    rows = feedback(scorer, TASK, candidates)
    pool = {demo.id: demo for demo in POOL}
    for row in rows:
        query = pool[row["query"]]
        pairs = [Pair(query.input, query.output, (pool[id],)) for id in row["candidates"]]
        np.testing.assert_allclose(row["scores"], scorer.score(pairs, labels=LABELS), atol=1e-5)
        np.testing.assert_allclose(row["gold_log_probs"], scorer.score(pairs), atol=1e-5)
        assert row["right"] == [share > 0.5 for share in row["scores"]]
    (tmp_path / "rows.json").write_text(json.dumps({"queries": rows}))
    read = read_scored(tmp_path / "rows.json", TASK)
    assert {id: list(one.scores) for id, one in read.items()} == {
        row["query"]: row["scores"] for row in rows
    }


def test_what_one_demonstration_does_solved_by_hand() -> None:
    rows = [  # query 0 is terrible: candidates 2 (terrible), 1 and 3 (great)
        {"query": "0", "candidates": ["1", "2", "3"], "scores": [0.2, 0.9, 0.4]},
        {"query": "1", "candidates": ["2", "4", "3"], "scores": [0.6, 0.1, 0.5]},
    ]
    rows[0]["right"], rows[1]["right"] = [False, True, False], [True, False, False]
    found = feedback_figures(TASK, rows)
    assert found == {
        "queries": 2,
        "lm_any": pytest.approx(2 / 6, abs=1e-6),
        "lm_first": 0.5,
        "lm_oracle": 1.0,
        "share_same_label": 0.7,
        "share_other_label": 0.325,
        "best_has_label": 0.5,
        "any_has_label": pytest.approx(2 / 6, abs=1e-6),
    }


def test_the_claim_compares_rows_on_the_same_queries() -> None:
    data = TaskData(TASK, TEST)
    scorer = LMScorer(toy_lm())
    same = [[demo for demo in POOL if demo.output == query.output][:4] for query in TEST]
    rows = {"fixed": [POOL[:4]] * len(TEST), "oracle": same}
    done: list[str] = []
    found = claim(scorer, data, rows, progress=done.append)
    assert done == ["fixed", "oracle"]
    assert found["oracle"]["vote"] == 1
    assert found["fixed"]["against"] == {}
    said = answers(scorer, data, same)
    right = np.mean([one == query.output for one, query in zip(said, TEST, strict=True)])
    assert found["oracle"]["lm"] == pytest.approx(right, abs=1e-6)
    assert found["oracle"]["against"]["fixed"]["difference"] == pytest.approx(
        found["oracle"]["lm"] - found["fixed"]["lm"], abs=1e-5
    )
    assert found["oracle"]["gate"] is bool(right > 1)
    assert lm_judge(scorer.lm)(data, same)["lm_accuracy"] == found["oracle"]["lm"]


def test_the_best_demonstration_stands_next_to_the_query() -> None:
    scorer = task_scorer(toy_lm(), "toy")
    data = TaskData(TASK, TEST[:1])
    hits = [POOL[:3]]
    seen = []

    class Spy(LMScorer):
        def label_log_probs(self, prompts, labels):  # type: ignore[no-untyped-def]
            seen.extend(prompts)
            return super().label_log_probs(prompts, labels)

    answers(Spy(scorer.lm), data, hits)
    answers(Spy(scorer.lm), data, hits, order="descending")
    assert [demo.id for demo in seen[0][1]] == ["2", "1", "0"]
    assert [demo.id for demo in seen[1][1]] == ["0", "1", "2"]


@pytest.mark.parametrize("task", ["sst2", "trec", "subj", "semeval-re"])
def test_the_formats_write_a_scored_answer_as_the_demonstrations_do(task: str) -> None:
    template = task_scorer(toy_lm(), task).template
    demo = Demo("1", "a {dull} film", "SUBJ is made by OBJ")
    shown = template.demonstration(demo)
    assert shown.startswith(template.question(demo.input) + template.reply(demo.output))


def test_the_command_prints_the_model_beside_the_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demos" / "sent_cls"
    folder.mkdir(parents=True)
    lines = [f"{at % 2} {'gripping' if at % 2 else 'dull'} film {at}" for at in range(20)]
    (folder / "stsa.binary.train").write_text("\n".join(lines))
    (folder / "stsa.binary.test").write_text("1 a gripping part\n0 a dull part\n1 film 3 gripping")
    monkeypatch.setattr(CausalLM, "load", lambda model: toy_lm())
    options = ["--data", str(tmp_path), "--task", "sst2", "--retriever", "bm25"]
    options += ["--store", str(tmp_path / "scores.sqlite"), "--queries", "2"]
    options += ["--shuffled", "bm25"]
    done = CliRunner().invoke(app, ["eval", "demos-lm", *options, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["tasks"]["sst2"]
    by_chance = [f"{kind}-{seed}" for kind in ("random", "balanced") for seed in range(3)]
    assert list(rows) == [*by_chance, "bm25", "bm25-shuffled"]
    # Eight in turn of two labels are four of each; the order by chance changes no share.
    assert rows["balanced-0"]["match_at_8"] == 0.5
    assert rows["bm25"]["match_at_8"] == rows["bm25-shuffled"]["match_at_8"]
    assert all(len(row["right"]) == 2 for row in rows.values())
    assert set(rows["bm25"]["against"]) == set(by_chance)
    assert rows["bm25"]["vote"] == 1
    table = CliRunner().invoke(app, ["eval", "demos-lm", *options, "--scored", "3"])
    assert table.exit_code == 0, table.output
    assert "above the vote" in table.stdout
    assert "lm_oracle" in table.stdout
