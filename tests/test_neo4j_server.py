"""The test server's own promises: its cache mends itself, and what is missing is said in one line.

A small stand-in for Maven is put on the path, so none of this touches the network.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import neo4j_server
from tests.neo4j_server import VERSION, Neo4jUnavailable, jars

_MAVEN = f"""#!/bin/sh
echo called >> "$MAVEN_CALLS"
for word in "$@"; do
  case "$word" in -DoutputDirectory=*) folder="${{word#*=}}";; esac
done
mkdir -p "$folder"
echo "the server" > "$folder/neo4j-{VERSION}.jar"
echo "another" > "$folder/netty.jar"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with only the stand-in on it; the file counts how often it was called."""
    log = tmp_path / "calls"
    _program(tmp_path, "mvn", _MAVEN)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("MAVEN_CALLS", str(log))
    return log


def _program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _count(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_whole_cache_is_used_as_it_is(tmp_path: Path, calls: Path) -> None:
    folder = jars(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == [f"neo4j-{VERSION}.jar", "netty.jar"]
    assert jars(tmp_path / "cache") == folder
    assert _count(calls) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda cache: (cache / "manifest.json").unlink(),
        lambda cache: (cache / "manifest.json").write_text('{"version": "5.'),
        lambda cache: (cache / "manifest.json").write_text("[]"),
        lambda cache: (cache / "jars" / "netty.jar").unlink(),
        lambda cache: (cache / "jars" / "netty.jar").write_text("Another"),  # one byte
        lambda cache: (cache / "jars" / "netty.jar").write_text("anot"),
        lambda cache: (cache / "jars" / "stray.jar").write_text("x"),
        lambda cache: (cache / "jars").rename(cache / "jars.partial"),
    ],
)
def test_damaged_cache_is_filled_again(tmp_path: Path, calls: Path, damage) -> None:
    folder = jars(tmp_path / "cache")
    damage(tmp_path / "cache")
    assert jars(tmp_path / "cache") == folder
    assert (folder / "netty.jar").read_text() == "another\n"
    assert not (folder / "stray.jar").exists()
    assert _count(calls) == 2
    jars(tmp_path / "cache")
    assert _count(calls) == 2


def test_two_test_runs_fill_the_cache_once(tmp_path: Path, calls: Path) -> None:
    code = (
        "import sys, pathlib; from tests.neo4j_server import jars; jars(pathlib.Path(sys.argv[1]))"
    )
    root = Path(neo4j_server.__file__).parent.parent
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    both = [subprocess.Popen(command, cwd=root, env=dict(os.environ)) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert _count(calls) == 1


def test_failing_maven_leaves_no_cache_and_says_why(tmp_path: Path, calls: Path) -> None:
    _program(tmp_path, "mvn", "#!/bin/sh\necho '[ERROR] no route to the moon'\nexit 1\n")
    with pytest.raises(Neo4jUnavailable, match=r"no route to the moon.*not neo4j") as caught:
        jars(tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "manifest.json").exists()


def test_maven_that_brings_half_is_not_believed(tmp_path: Path, calls: Path) -> None:
    _program(tmp_path, "mvn", "#!/bin/sh\nexit 0\n")
    with pytest.raises(Neo4jUnavailable, match="could not resolve"):
        jars(tmp_path / "cache")


@pytest.mark.parametrize(
    ("java", "says"),
    [
        (None, "found no 'java'"),
        ("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", "found 11"),
        ("#!/bin/sh\necho strange\n", "found an unknown version"),
    ],
)
def test_missing_or_old_java_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, java: str | None, says: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    if java:
        _program(tmp_path, "java", java)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(Neo4jUnavailable, match=says) as caught:
        neo4j_server.start()
    assert "\n" not in str(caught.value)
    assert "not neo4j" in str(caught.value)


def test_missing_maven_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Neo4jUnavailable, match=r"found no 'mvn'.*not neo4j"):
        jars(tmp_path / "cache")


@pytest.mark.neo4j
def test_server_is_real_and_empty(neo4j_graph: str, neo4j_driver) -> None:
    name, version = neo4j_driver.execute_query(
        "CALL dbms.components() YIELD name, versions RETURN name, versions[0]"
    ).records[0]
    assert (name, version) == ("Neo4j Kernel", VERSION) or "SHEAF_TEST_NEO4J_URI" in os.environ
    assert neo4j_driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 0
    assert "NEO4J_URI" not in os.environ


@pytest.mark.neo4j
def test_database_that_is_not_empty_is_refused(neo4j_graph: str, neo4j_driver) -> None:
    from tests.conftest import _refuse_unless_empty

    neo4j_driver.execute_query("CREATE (:Precious)")
    with pytest.raises(pytest.fail.Exception, match="holds 1 nodes"):
        _refuse_unless_empty(neo4j_graph)
