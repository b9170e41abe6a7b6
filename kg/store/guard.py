"""The read-only guard: a Cypher statement passes only when it is built of reading clauses.

It is an allow-list by construction, not a list of forbidden words. Cypher puts no mark between two
clauses: a clause begins where a *complete* value or pattern is followed by another word. The guard
follows just that: whether the text so far is complete, at every depth of brackets. A bare word
after something complete must be one of `CLAUSES` or `INFIX`; every other word stands where Cypher
expects a value and is a variable, a property, a label or a function, whatever it is called. So
`MATCH (set:Create) RETURN set.delete` passes and `MATCH (n) SET n.x = 1` does not.

Where a word could be read both ways, it is taken for the dangerous one: `*` and `%` may be complete
(`WITH *`, `n:%`), `CASE` must find its `END`, names follow `:`, `.`, `AS` and `IS`, and the braces
after `EXISTS`, `COUNT`, `COLLECT` and `CALL` hold a statement of their own.

What could bring the engine itself down is refused, too: brackets or parameters nested too deep, and
long chains of comparisons (Grafeo 0.6.0 dies of 2,000 of them, and of parameters 20,000 deep).

Layers around it: a read-only connection and limits on every store; on Neo4j also the kind of the
statement and its plan as the server sees them (`kg.store.neo4j`); on an embedded graph a process
that can open no files and no connections and is ended when its time is up (`…embedded.reader`).
Beyond all of them, connect to a server as a user with the role of a reader, and leave its import
folder empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from kg.errors import QueryRefused
from kg.store.tokens import Token, place, tokens

__all__ = ["CLAUSES", "FUNCTION_NAMESPACES", "INFIX", "check"]

#: Words that may begin a clause or a part of one.
CLAUSES: Final = frozenset(
    "MATCH OPTIONAL WHERE WITH UNWIND RETURN ORDER SKIP OFFSET LIMIT UNION CALL".split()
)
#: Words that may join or end values.
INFIX: Final = frozenset(
    "AND OR XOR IN STARTS ENDS CONTAINS IS AS ASC ASCENDING DESC DESCENDING NORMALIZED "
    "WHEN THEN ELSE END".split()
)
#: Built-in functions with a dot in their names; other dotted functions are plug-ins that may do
#: anything, as procedures may.
FUNCTION_NAMESPACES: Final = frozenset(
    "date datetime localdatetime localtime time duration point vector".split()
)

#: Brackets, sub-queries and CASEs inside each other; lists and maps inside a parameter.
DEEPEST: Final = 100
#: Comparisons in a row, as in `1 < 2 < 3`.
LONGEST_CHAIN: Final = 100
#: Characters of a statement. Long lists of values belong into parameters.
LONGEST: Final = 1_000_000

_COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">="})
_ENDS_CHAIN: Final = frozenset({"AND", "OR", "XOR", "WHEN", "THEN", "ELSE"})
_BEGINS_STATEMENT: Final = frozenset("MATCH OPTIONAL WITH UNWIND RETURN CALL".split())
_COMPLETE_AFTER: Final = frozenset("ASC ASCENDING DESC DESCENDING NORMALIZED".split())
_PREFIX: Final = frozenset({"NOT", "DISTINCT"})
_SUBQUERY: Final = frozenset({"EXISTS", "COUNT", "COLLECT", "CALL"})
_PATH_SELECTORS: Final = frozenset("SHORTEST ALL ANY PATH PATHS GROUP GROUPS".split())
_PATH_FUNCTIONS: Final = frozenset({"SHORTESTPATH", "ALLSHORTESTPATHS"})
#: A second lock: names that no function has, so that a mistake in "complete" opens nothing.
_NO_FUNCTION: Final = frozenset("CREATE MERGE DELETE SET REMOVE INSERT FOREACH DROP".split())
#: With a variable `case`, `WITH case DELETE when DELETE then DELETE end` has two readings.
_NAMED_CASE: Final = "a variable of this name needs back-ticks"
_CLOSERS: Final = {"(": ")", "[": "]", "{": "}"}

type Mode = Literal["start", "pattern", "value", "call", "called"]


@dataclass(slots=True)
class _Frame:
    """What is open: the statement, a sub-query, a bracket or a CASE."""

    closer: str
    opened: Token | None
    #: A statement (`mode` says in which part we are) or only a bracket.
    statement: bool = False
    mode: Mode = "value"
    #: A value or pattern has just ended here, so that a word would begin something new.
    complete: bool = False
    #: Comparisons since the last AND, OR or comma.
    compared: int = 0


def check(cypher: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Return if the statement only reads, and if an engine can take its parameters.

    Raises:
        QueryRefused: otherwise; the message names the word and where it stands.

    >>> check("MATCH (p:Person)-[:BORN_IN]->(c) RETURN p.name, count(*) AS n ORDER BY n DESC")
    >>> try:
    ...     check("MATCH (n) DETACH DELETE n")
    ... except QueryRefused as error:
    ...     print(str(error)[:58])
    the read-only guard refused 'DETACH' at line 1, column 11:
    """
    if len(cypher) > LONGEST:
        raise QueryRefused(
            f"the read-only guard refused a statement of {len(cypher):,} characters: up to "
            f"{LONGEST:,} are allowed; pass long lists as parameters"
        )
    _Guard(cypher, list(tokens(cypher))).run()
    for name, value in (parameters or {}).items():
        _check_depth(name, value)


def _check_depth(name: str, value: Any) -> None:
    """Look into a parameter level by level, because recursion is what it may be made to break."""
    level = [value]
    for _ in range(DEEPEST):
        containers = [item for item in level if isinstance(item, list | tuple | Mapping)]
        if not containers:
            return
        level = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, Mapping) else container)
        ]
    raise QueryRefused(
        f"the read-only guard refused the parameter {name!r}: it is nested more than {DEEPEST} deep"
    )


@dataclass(slots=True)
class _Guard:
    cypher: str
    tokens: list[Token]
    position: int = 0
    stack: list[_Frame] = field(default_factory=list)

    def run(self) -> None:
        if self.tokens and self.tokens[-1].text == ";":
            self.tokens.pop()
        if not self.tokens:
            raise QueryRefused("the read-only guard refused an empty statement: write a MATCH")
        self.stack.append(_Frame("", None, statement=True, mode="start"))
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            frame = self.stack[-1]
            self.position += 1
            if token.kind == "operator":
                self._operator(frame, token)
            elif frame.statement:
                self._in_statement(frame, token)
            else:
                self._value(frame, token)
        frame = self.stack[-1]
        if frame.opened is not None:
            raise self._refuse(frame.opened, f"no {frame.closer!r} follows it")
        if frame.mode == "call":
            raise self._refuse(self.tokens[-1], "CALL is for sub-queries in braces")

    # ---------------------------------------------------------------------- operators, brackets

    def _operator(self, frame: _Frame, token: Token) -> None:
        text = token.text
        if text == ";":
            raise self._refuse(token, "one statement at a time")
        if text == ",":
            frame.compared = 0
        elif text in _COMPARISONS and frame.mode != "pattern":
            frame.compared += 1
            if frame.compared > LONGEST_CHAIN:
                raise self._refuse(token, f"more than {LONGEST_CHAIN} comparisons in a row")
        if text in _CLOSERS:
            self._open(frame, token)
        elif text in _CLOSERS.values():
            if frame.closer != text:
                raise self._refuse(token, "nothing open ends here")
            self._close()
        elif frame.statement and frame.mode in ("start", "call", "called"):
            raise self._refuse(token, "a clause is expected here")
        elif text == ":" and self._before(1) == ":":
            raise self._refuse(token, "value types cannot be asked for")
        else:
            # `*` and `%` where a value is expected are values: WITH *, count(*), n:%.
            frame.complete = text in "*%" and not frame.complete

    def _open(self, frame: _Frame, token: Token) -> None:
        before = self._before(1)
        subquery = token.text == "{" and before in _SUBQUERY
        if frame.statement and frame.mode == "call":
            subquery = token.text == "{"
            if not subquery and not (token.text == "(" and before == "CALL"):
                raise self._refuse(token, "CALL is for sub-queries in braces")
        elif frame.statement and frame.mode == "start" and token.text == "(" and frame.opened:
            frame.mode = "pattern"  # EXISTS { (a)-->(b) }
        elif frame.statement and frame.mode in ("start", "called"):
            raise self._refuse(token, "a clause is expected here")
        elif token.text == "(":
            self._check_function(token)
        closer = _CLOSERS[token.text]
        mode: Mode = "start" if subquery else "value"
        self._push(_Frame(closer, token, statement=subquery, mode=mode), token)

    def _push(self, frame: _Frame, token: Token) -> None:
        if len(self.stack) > DEEPEST:
            raise self._refuse(token, f"more than {DEEPEST} brackets inside each other")
        self.stack.append(frame)

    def _close(self) -> None:
        closed = self.stack.pop()
        frame = self.stack[-1]
        if closed.statement and closed.mode in ("call", "start"):
            raise self._refuse(self.tokens[self.position - 1], "a clause is expected here")
        if frame.statement and frame.mode == "call":
            if closed.statement:
                frame.mode = "called"
        else:
            frame.complete = True

    def _check_function(self, token: Token) -> None:
        """Refuse dotted functions of plug-ins, and clause words in the place of a function."""
        parts: list[Token] = []
        at = self.position - 2
        while at >= 0 and self.tokens[at].kind in ("word", "name"):
            parts.insert(0, self.tokens[at])
            if at == 0 or self.tokens[at - 1].text != ".":
                break
            at -= 2
        if len(parts) > 1 and parts[0].text.lower() not in FUNCTION_NAMESPACES:
            raise self._refuse(parts[0], "functions of plug-ins cannot be called")
        in_statement = self.stack[-1].statement
        if in_statement and len(parts) == 1 and parts[0].upper in _NO_FUNCTION:
            raise self._refuse(parts[0], "it is not a function")

    # ------------------------------------------------------------------------------------ words

    def _in_statement(self, frame: _Frame, token: Token) -> None:
        word = token.upper
        if frame.mode == "start":
            if word in _BEGINS_STATEMENT:
                self._clause(frame, token)
            elif frame.opened and self._next() == "=":  # EXISTS { p = (a)-->(b) }
                frame.mode = "pattern"
            else:
                raise self._refuse(token, "a statement does not begin so")
        elif frame.mode == "call":
            raise self._refuse(token, "procedures cannot be called")
        elif frame.mode == "pattern":
            self._in_pattern(frame, token)
        elif word in CLAUSES and (frame.complete or frame.mode == "called"):
            self._clause(frame, token)
        elif frame.mode == "called":
            raise self._refuse(token, "a clause is expected here")
        else:
            self._value(frame, token)

    def _in_pattern(self, frame: _Frame, token: Token) -> None:
        """Between MATCH and its end only path variables, selectors and clauses are words."""
        before, word = self._before(1), token.upper
        names_path = self._next() == "=" and before in {"MATCH", ",", "{"}
        if names_path and word == "CASE":
            raise self._refuse(token, _NAMED_CASE)
        if names_path or (word in _PATH_FUNCTIONS and self._next() == "("):
            return
        if word in _PATH_SELECTORS or (token.kind == "number" and before in _PATH_SELECTORS):
            return
        if word not in CLAUSES:
            raise self._refuse(token, "a pattern or a clause is expected here")
        self._clause(frame, token)

    def _clause(self, frame: _Frame, token: Token) -> None:
        word = token.upper
        frame.complete = False
        frame.compared = 0
        if word == "OPTIONAL":
            if self._next() not in {"MATCH", "CALL"}:
                raise self._refuse(token, "OPTIONAL belongs to MATCH")
            frame.mode = "start"
        elif word == "MATCH":
            frame.mode = "pattern"
        elif word == "CALL":
            frame.mode = "call"
        elif word == "UNION":
            if self._next() in {"ALL", "DISTINCT"}:
                self.position += 1
            frame.mode = "start"
        else:
            if word == "ORDER":
                self._expect(token, "BY")
            frame.mode = "value"

    def _value(self, frame: _Frame, token: Token) -> None:
        """A word, name or constant where values are: what it is depends on what came before."""
        word, before = token.upper, self._before(1)
        if not frame.complete:
            if word == "CASE" and before == "AS":
                raise self._refuse(token, _NAMED_CASE)
            is_name = before in {".", "AS"} or (frame.statement and before in set(":|&!"))
            if is_name or (before == "IS" and word != "NOT"):
                frame.complete = True
            elif word == "CASE":
                self._push(_Frame("END", token), token)
                if self._next() == "WHEN":
                    self.position += 1
            else:
                frame.complete = word not in _PREFIX
        elif word == "END" and frame.closer == "END":
            self._close()
        elif word in INFIX or (word == "WHERE" and not frame.statement):
            if word in {"STARTS", "ENDS"}:
                self._expect(token, "WITH")
            frame.complete = word in _COMPLETE_AFTER
            frame.compared = 0 if word in _ENDS_CHAIN else frame.compared
        elif frame.statement or token.kind in ("word", "name"):
            raise self._refuse(token, "an operator or a clause is expected here")

    # ---------------------------------------------------------------------------------- helpers

    def _before(self, steps: int) -> str:
        """Return the token before the one being looked at, in upper case; "" at the start."""
        at = self.position - 1 - steps
        return self.tokens[at].upper if at >= 0 else ""

    def _next(self) -> str:
        return self.tokens[self.position].upper if self.position < len(self.tokens) else ""

    def _expect(self, token: Token, word: str) -> None:
        if self._next() != word:
            raise self._refuse(token, f"{word} must follow it")
        self.position += 1

    def _refuse(self, token: Token, why: str) -> QueryRefused:
        text = token.text if len(token.text) <= 40 else token.text[:40] + "…"
        return QueryRefused(
            f"the read-only guard refused {text!r} at {place(self.cypher, token.start)}: {why}. "
            "Allowed are MATCH, OPTIONAL MATCH, WHERE, WITH, UNWIND, RETURN, ORDER BY, SKIP, "
            "LIMIT, UNION and CALL { } that only read; graphs are changed by the other commands"
        )
