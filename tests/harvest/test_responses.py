"""The response cache: saved before it is read, shared by processes, nothing lost to a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harvest.responses import Response, ResponseCache, response_key

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> ResponseCache:
    return ResponseCache.beside(None if request.param == "memory" else tmp_path / "home")


def test_the_first_answer_of_a_question_stays(cache: ResponseCache) -> None:
    cache.save("0a", model="m", body="one")
    cache.save("0a", model="m", body="two")
    assert cache.get("0a") == Response("one") and cache.get("0b") is None
    cache.account("0a", prompt_tokens=3, output_tokens=4, cost=0.5)
    assert cache.get("0a") == Response("one", 3, 4, 0.5)
    cache.close()
    cache.close()


def test_what_turns_out_to_be_no_answer_becomes_a_failure_with_its_text(
    cache: ResponseCache,
) -> None:
    cache.save("0a", model="m", body="<html>")
    cache.fail("0a", model="m", reason="no JSON", text="<html>")
    assert cache.get("0a") is None and cache.size() == 0
    (failure,) = cache.failures()
    assert (failure.key, failure.reason, failure.text) == ("0a", "no JSON", "<html>")
    cache.close()


def test_a_note_leaves_the_answer_where_it_is(cache: ResponseCache) -> None:
    cache.save("0a", model="m", body="x")
    for _ in range(3):  # as often as a harvest meets it
        cache.note("0a", model="m", reason="unreadable", text="x")
    assert cache.size() == 1 and len(list(cache.failures())) == 1
    cache.close()


@pytest.mark.parametrize("body", ["", "\0", "\ud800 lone", "👩‍🔬" * 1000, "' OR 1=1 --"])
def test_any_body_is_kept(cache: ResponseCache, body: str) -> None:
    cache.save("0a", model="m", body=body)
    assert cache.get("0a") == Response(body.encode("utf-8", "replace").decode())
    cache.close()


KEY: dict[str, object] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Ann\u0000 \ud800"}],
    "schema": {"type": "object"},
    "parameters": {"temperature": 0.0, "max_tokens": 9},
    "sample": 0,
}


def test_everything_asked_is_in_the_key_and_the_order_of_names_is_not() -> None:
    def key(**change: object) -> str:
        return response_key(**{**KEY, **change})  # type: ignore[arg-type]

    others = [
        key(model="n"),
        key(messages=[{"role": "system", "content": "Ann\u0000 \ud800"}]),
        key(schema=None),
        key(parameters={"temperature": 0.5, "max_tokens": 9}),
        key(sample=1),
    ]
    assert len({key(), *others}) == 6
    assert key(parameters={"max_tokens": 9, "temperature": 0.0}) == key()
    assert len(key()) == 32


def test_threads_and_handles_share_a_file(tmp_path: Path) -> None:
    caches = [ResponseCache(tmp_path / "r.sqlite") for _ in range(3)]

    def write(number: int) -> None:
        for index in range(40):
            caches[number % 3].save(f"{number:02x}{index:02x}", model="m", body=str(index))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {cache.size() for cache in caches} == {240}
    for cache in caches:
        cache.close()


def test_processes_make_the_file_together_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    """Each process says what it has saved; whatever was said is there after the kill."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harvest.responses import ResponseCache\n"
        "sys.stdin.readline()\n"
        "cache = ResponseCache(Path(sys.argv[1]))\n"
        "for number in range(100_000):\n"
        "    key = f'{int(sys.argv[2]):02x}{number:06x}'\n"
        "    cache.save(key, model='m', body=key * 20)\n"
        "    print(key, flush=True)\n"
    )
    place = tmp_path / "r.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(place), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=(tmp_path / f"said{number}").open("w"),
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [tmp_path / f"said{number}" for number in range(4)]
    while min(path.stat().st_size for path in said) < 200:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.005)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    cache = ResponseCache(place)
    for path in said:
        keys = [line for line in path.read_text().split("\n")[:-1] if line]
        assert keys and all(cache.get(key) == Response(key * 20) for key in keys)
    cache.close()
