"""The attack table through `read` of every store: refused, and nothing on disk or net has moved.

Bait is laid out: a file that a statement could load or overwrite, and a web server that counts who
calls. Each mutation of an attack (letter case, spaces, comments between the words, `\\u` escapes)
is one, too.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import graph_hash, open_graph
from kg.errors import QueryRefused
from kg.store.guard import check
from kg.store.protocol import GraphStore
from kg.store.tokens import tokens
from tests.kg.sample_graph import fill
from tests.kg.store.statements import ATTACKS, NEO4J_READS, READS

PARAMETERS: dict[str, Any] = {"name": "Marie Curie", "names": ["Marie Curie", "Warsaw"]}
STORES = ["memory", "embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)]


@dataclass
class Bait:
    """A folder with a secret, and a port of this machine that nobody has a reason to call."""

    folder: Path
    listener: socket.socket

    @property
    def secret(self) -> Path:
        return self.folder / "secret.csv"

    def put_into(self, statement: str) -> str:
        address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        return (
            statement.replace("http://BAIT", f"http://{address}")
            .replace("BAIT", str(self.secret))
            .replace("/etc/passwd", str(self.secret))
        )

    def was_called(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bait]:
    folder = tmp_path_factory.mktemp("bait")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        one = Bait(folder, listener)
        one.secret.write_text("secret,1\n")
        yield one


@dataclass
class Attacked:
    """A filled store and the folder that holds it, if there is one."""

    store: GraphStore
    folder: Path | None

    def state(self) -> tuple[str, str]:
        return graph_hash(self.store), _hash_of_files(self.folder) if self.folder else ""


@pytest.fixture(scope="module", params=STORES)
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    if request.param == "neo4j":
        from tests.neo4j_server import empty_database

        driver = request.getfixturevalue("neo4j_driver")
        empty_database(driver)
        address, folder = request.getfixturevalue("neo4j_uri"), None
    elif request.param == "embedded":
        folder = tmp_path_factory.mktemp("graphs") / "my.kg"
        address = str(folder)
    else:
        address, folder = "memory://", None
    store = open_graph(address)
    fill(store)
    store.read("MATCH (:Chunk)-[:STATES]->(e:Entity) RETURN count(e) AS n")  # snapshots are made
    yield Attacked(store, folder)
    store.close()
    if request.param == "neo4j":
        empty_database(request.getfixturevalue("neo4j_driver"))


def _hash_of_files(folder: Path) -> str:
    digest = sha256()
    for path in sorted(folder.rglob("*")):
        # SQLite's shared memory changes by being read; what it protects is in the other files.
        if path.is_file() and not path.name.endswith("-shm"):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def test_every_attack_is_refused_and_nothing_moves(attacked: Attacked, bait: Bait) -> None:
    assert len(ATTACKS) >= 60
    before = (attacked.state(), _hash_of_files(bait.folder))
    for name, statement in ATTACKS.items():
        with pytest.raises(QueryRefused):
            attacked.store.read(bait.put_into(statement), PARAMETERS)
            pytest.fail(f"not refused: {name}")
    assert (attacked.state(), _hash_of_files(bait.folder)) == before
    assert not bait.was_called()
    assert sorted(path.name for path in bait.folder.iterdir()) == ["secret.csv"]


def test_the_bait_would_have_been_taken(bait: Bait) -> None:
    """The control: without the guard, the embedded engine reads the file."""
    from grafeo import GrafeoDB

    statement = bait.put_into(ATTACKS["load csv in lower case"])
    assert [row["l"] for row in GrafeoDB().execute_cypher(statement)] == [["secret", "1"]]
    with socket.create_connection(bait.listener.getsockname()):
        pass
    assert bait.was_called()


def test_every_honest_read_is_answered(attacked: Attacked) -> None:
    reads = READS | (NEO4J_READS if attacked.store.uri.startswith(("bolt", "neo4j")) else {})
    assert len(READS) >= 60
    before = attacked.state()
    for name, statement in reads.items():
        assert attacked.store.read(statement, PARAMETERS).columns, name
    assert attacked.state() == before


# ------------------------------------------------------------------------------------ mutations

_SPACES = [" ", "  ", "\n", "\t", " /* x */ ", "/**/", " // x\n", "\r\n", " /* ' \" ` */ "]
_READABLE = {name: a for name, a in ATTACKS.items() if len(a) < 1_000}


def _spelled(statement: str) -> list[str]:
    try:
        return [token.text for token in tokens(statement)]
    except QueryRefused:
        return [statement]


def _mutated(statement: str, chance: random.Random) -> str:
    pieces = []
    for piece in _spelled(statement):
        if piece.isidentifier():
            piece = "".join(chance.choice([c.upper(), c.lower()]) for c in piece)
            if chance.random() < 0.05:
                at = chance.randrange(len(piece))
                piece = f"{piece[:at]}\\u{ord(piece[at]):04x}{piece[at + 1 :]}"
        pieces.append(piece)
    return chance.choice(_SPACES).join(pieces) + chance.choice(["", ";", " // x", "\n"])


@given(st.sampled_from(sorted(_READABLE)), st.integers(0, 2**32))
@settings(max_examples=1_000, deadline=None)
def test_mutated_attacks_are_refused(name: str, seed: int) -> None:
    mutated = _mutated(_READABLE[name], random.Random(seed))
    with pytest.raises(QueryRefused):
        check(mutated)
        pytest.fail(f"not refused: {mutated!r}")


_GOES_ON = sorted(_READABLE.keys() - {"empty", "only an end"})  # these two may follow a read


@given(st.sampled_from(sorted(READS)), st.sampled_from(_GOES_ON), st.sampled_from([" ", "\n", ";"]))
@settings(max_examples=500, deadline=None)
def test_reads_that_go_on_with_an_attack_are_refused(read: str, attack: str, between: str) -> None:
    joined = f"{READS[read]}\n{between}{_READABLE[attack]}"
    with pytest.raises(QueryRefused):
        check(joined)
        pytest.fail(f"not refused: {joined!r}")


_SHARP = st.one_of(
    st.sampled_from("'\"`\\/*-;{}()[]$:.,|<>=~&!%+^ \n\r\t\x00\x85\u2028\ufeff𝒳éa1_"),
    st.sampled_from("\\u0027 \\u /* */ // CASE END SET CALL EXISTS ''".split()),
)


@given(st.lists(_SHARP, max_size=40).map("".join))
@settings(max_examples=2_000, deadline=None)
def test_the_reader_of_text_ends_in_a_verdict(text: str) -> None:
    """Never an error of another kind, never a token that is not in the text."""
    try:
        found = list(tokens(text))
        check(text)
    except QueryRefused:
        return
    assert all(text.startswith(token.text, token.start) for token in found)
