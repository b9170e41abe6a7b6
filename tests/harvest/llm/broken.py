"""Broken answers of language models, and what must become of each.

Every case is (name, what the model says, statements found, drops by reason). `UNREADABLE` in place
of the statements means that the answer must be asked for again. Nothing may vanish: what is said
is found, or dropped with a reason, or the whole answer is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

type Case = tuple[str, str, tuple[str, ...] | None, dict[str, int]]

UNREADABLE: Final = None


def row(head: str = "Ann", tail: str = "Rome", **more: Any) -> dict[str, Any]:
    quote = f"{head} was born in {tail}."
    return {"quote": quote, "head": head, "relation": "born_in", "tail": tail, **more}


def dump(*rows: Any) -> str:
    return json.dumps({"statements": list(rows)}, ensure_ascii=False)


ONE = dump(row())
TWO = dump(row(), row("Bob", "Oslo"))
A, AB = ("Ann",), ("Ann", "Bob")
NONE: dict[str, int] = {}
ECHO = {"type": "object", "properties": {"statements": {"type": "array"}}}
OTHER_NAMES = json.dumps(
    {"triples": [{"evidence": "A b.", "subject": "Ann", "predicate": "is", "object": "B"}]}
)

WRAPPED: list[Case] = [
    ("plain", TWO, AB, NONE),
    ("indented", json.dumps(json.loads(TWO), indent=2), AB, NONE),
    ("byte-order mark", "\ufeff" + TWO, AB, NONE),
    ("json fence", f"```json\n{TWO}\n```", AB, NONE),
    ("bare fence", f"```\n{TWO}\n```", AB, NONE),
    ("fence on one line", f"```json {TWO}```", AB, NONE),
    ("fence not closed", f"```json\n{TWO}", AB, NONE),
    ("think block", f"<think>Who? {ONE}</think>{TWO}", AB, NONE),
    ("think block without its beginning", f"maybe {{}} hm</think>\n{TWO}", AB, NONE),
    ("two think blocks", f"<think>a</think><thinking>b {{</thinking>{TWO}", AB, NONE),
    ("only thoughts", f"<think>Ann, then Bob {ONE}", UNREADABLE, NONE),
    ("chatter before", f"Here is the JSON you asked for:\n\n{TWO}", AB, NONE),
    ("chatter after", f"{TWO}\n\nNote: Bob's birthplace [sic] is {{uncertain}}.", AB, NONE),
    ("chatter with a bracket before", f"The passage [1] says: {TWO}", AB, NONE),
    ("inside a string", json.dumps(TWO), AB, NONE),
    ("inside a string in an object", json.dumps({"response": TWO}), AB, NONE),
    ("html around", f"<pre>{TWO}</pre>", AB, NONE),
    ("final channel marks", f"<|channel|>final<|message|>{TWO}<|end|>", AB, NONE),
]

SYNTAX: list[Case] = [
    ("trailing comma in the list", TWO.replace("]}", ",]}"), AB, NONE),
    ("trailing comma in an object", TWO.replace('"Oslo"}', '"Oslo",}'), AB, NONE),
    ("single quotes", str(json.loads(TWO)), AB, NONE),
    ("Python literals", str({"statements": [row(negated=False, hedged=None)]}), A, NONE),
    ("no comma between statements", TWO.replace("}, {", "} {"), AB, NONE),
    ("no comma between fields", TWO.replace('", "head"', '" "head"'), AB, NONE),
    ("names without quotes", TWO.replace('"head":', "head:"), AB, NONE),
    ("comments", TWO.replace("[{", "[ // the first\n{"), AB, NONE),
    ("line break in a string", ONE.replace("was born", "was\nborn"), A, NONE),
    ("tab in a string", ONE.replace("was born", "was\tborn"), A, NONE),
    ("stray quotes in a string", ONE.replace("Ann was", '"Ann" was'), A, NONE),
    (
        "typographic quotes as marks",
        re.sub('"([^"]*)"', r"“\1”", ONE),
        A,
        NONE,
    ),
    ("wrong escape", ONE.replace("Ann was", "Ann\\' was"), A, NONE),
    ("half a unicode escape", ONE.replace("Rome.", "Rome\\u20"), A, NONE),
    ("lone surrogate", dump(row(), row("Bob\ud83d", "Oslo")), ("Ann", "Bob\ufffd"), NONE),
    ("NaN", ONE.replace('"tail"', '"score": NaN, "tail"'), A, NONE),
    ("Infinity", ONE.replace('"tail"', '"score": -Infinity, "tail"'), A, NONE),
    ("NaN as an end", ONE.replace('"Rome"}', "NaN}"), UNREADABLE, NONE),
    ("bracket not closed", TWO[:-2], AB, NONE),
    ("one brace too many", TWO + "}", AB, NONE),
]

CUT: list[Case] = [
    ("cut in the second statement", TWO[:-40], A, {"schema": 1}),
    ("cut behind the first statement", TWO[: TWO.index("}") + 2], A, NONE),
    ("cut in the first statement", ONE[:40], UNREADABLE, NONE),
    ("cut behind the opening", '{"statements": [', (), NONE),
    ("cut in the name of the list", '{"state', UNREADABLE, NONE),
    ("cut in a fence", f"```json\n{TWO[:-40]}\n```", A, {"schema": 1}),
]

SEVERAL: list[Case] = [
    ("two answers", f"{ONE}\n{dump(row('Bob', 'Oslo'))}", AB, NONE),
    ("two answers and words", f"First {ONE} and then {dump(row('Bob', 'Oslo'))}.", AB, NONE),
    ("the same answer twice", f"{ONE}\n{ONE}", A, NONE),
    ("one object per line", "\n".join(map(json.dumps, [row(), row("Bob", "Oslo")])), AB, NONE),
    ("objects with commas", ", ".join(map(json.dumps, [row(), row("Bob", "Oslo")])), AB, NONE),
    ("the list alone", json.dumps([row(), row("Bob", "Oslo")]), AB, NONE),
    ("the list twice under one name", ONE[:-1] + ", " + dump(row("Bob", "Oslo"))[1:], AB, NONE),
    ("one key twice", ONE.replace('"tail"', '"head": "Bob", "tail"'), UNREADABLE, NONE),
    (
        "one key twice beside a good one",
        TWO.replace('"Oslo"}', '"Oslo", "head": "Eve"}'),
        A,
        {"schema": 1},
    ),
    ("one key twice, equal", ONE.replace('"tail"', '"head": "Ann", "tail"'), A, NONE),
    ("schema, then the answer", json.dumps({"type": "object", "properties": {}}) + ONE, A, NONE),
    ("empty, then the answer", '{"statements": []}' + ONE, A, NONE),
]

SHAPE: list[Case] = [
    ("nothing found", '{"statements": []}', (), NONE),
    ("an empty list", "[]", (), NONE),
    ("other names", OTHER_NAMES, A, NONE),
    ("names with capitals and blanks", ONE.replace('"head"', '"Head "'), A, NONE),
    ("nested ends", dump(row() | {"head": {"name": "Ann", "type": "Person"}}), A, NONE),
    ("wrapped once more", json.dumps({"result": json.loads(TWO)}), AB, NONE),
    ("one statement, no list", json.dumps(row()), A, NONE),
    ("one statement in place of the list", json.dumps({"statements": row()}), A, NONE),
    ("null in place of the list", '{"statements": null}', UNREADABLE, NONE),
    ("words in place of the list", '{"statements": "none"}', UNREADABLE, NONE),
    ("lists in place of statements", '{"statements": [["Ann", "born_in"]]}', UNREADABLE, NONE),
    ("words among the statements", dump(row(), "and Bob"), A, {"schema": 1}),
    ("null among the statements", dump(row(), None), A, {"schema": 1}),
    ("a field is missing", dump(row(), {"head": "Bob", "tail": "Oslo"}), A, {"schema": 1}),
    ("a field is null", dump(row(), row("Bob") | {"tail": None}), A, {"schema": 1}),
    ("a field is a list", dump(row(), row("Bob") | {"tail": ["Oslo", "Rome"]}), A, {"schema": 1}),
    ("a field is blank", dump(row(), row("Bob") | {"tail": " "}), A, {"schema": 1}),
    ("a number as an end", dump(row(tail=1867)), A, NONE),
    ("truth as words", dump(row(negated="true", hedged="no")), A, NONE),
    ("truth as a list", dump(row(), row("Bob", "Oslo", negated=[])), A, {"schema": 1}),
    ("no field is right", '{"statements": [{"a": 1}]}', UNREADABLE, NONE),
    ("the schema echoed", json.dumps(ECHO), UNREADABLE, NONE),
    ("an error message", '{"error": "rate limited"}', UNREADABLE, NONE),
    ("a number", "42", UNREADABLE, NONE),
    ("an empty object", "{}", UNREADABLE, NONE),
    ("empty", "", UNREADABLE, NONE),
    ("blank", " \n\t", UNREADABLE, NONE),
    ("an excuse", "I'm sorry, but I can't help with that.", UNREADABLE, NONE),
    ("a list in words", "- Ann was born in Rome\n- Bob was born in Oslo", UNREADABLE, NONE),
    ("a web page", "<html><body>{502} Bad gateway</body></html>", UNREADABLE, NONE),
    ("brackets without end", "[" * 5000, UNREADABLE, NONE),
    ("braces without end", '{"a":' * 5000, UNREADABLE, NONE),
]  # fmt: skip

CASES = [*WRAPPED, *SYNTAX, *CUT, *SEVERAL, *SHAPE]
