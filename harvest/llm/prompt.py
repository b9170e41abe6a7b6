"""What a model is asked: the schema, the rules, a passage; and the JSON Schema of its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from kg.records import LITERAL_TYPES
from kg.schema import RelationDef, Schema

__all__ = ["PARAMETER", "Prompt"]

#: Parameter of configs whose questions have solved examples in front of them: how many.
PARAMETER: Final = "demonstrations"

_TASK = """\
You read a passage and list every statement in it that one of the relations below can express.

Relations, each with the type of its head and the type of its tail:
{relations}

Types: {types}

For each statement give
- quote: the clause or sentence of the passage that makes the statement, copied letter by letter;
- head and tail: the two ends, copied from the passage as they are written there. Use the fullest \
name that the passage has, never a pronoun. Dates and numbers are copied too, not rewritten;
- head_type and tail_type: their types from the list above;
- relation: {relation_rule};
- negated: true if the passage says that it is not so;
- hedged: true if the passage only supposes, reports or doubts it.

Mind the direction: the head is what the first type names. State nothing that the passage does not \
state, however well you know it. A passage without any such statement has an empty list.

Answer with one JSON object and nothing else:
{{"statements": [{{"quote": "…", "head": "…", "head_type": "…", "relation": "…", "tail": "…", \
"tail_type": "…", "negated": false, "hedged": false}}]}}"""
_ONE_OF = "the name of one of the relations above"
_OR_OWN = f"{_ONE_OF}; if none fits, a short verb phrase from the passage"


@dataclass(frozen=True, slots=True)
class Prompt:
    r"""The question about a passage, for one schema.

    Args:
        schema: what to look for; relations with more than two places are left out.
        open_relations: also ask for statements that no relation of the schema fits.

    >>> schema = Schema.parse("types: {Person: {}, Place: {}}\nrelations: {born_in: "
    ...                       "{head: Person, tail: Place, description: where a person was born}}")
    >>> system, user = Prompt(schema).messages("Curie was born in Warsaw.", title="Curie")
    >>> "- born_in: Person → Place. where a person was born" in system["content"]
    True
    >>> user["content"]
    'Title: Curie\n\nPassage:\nCurie was born in Warsaw.'
    """

    schema: Schema
    open_relations: bool = False

    @property
    def relations(self) -> tuple[RelationDef, ...]:
        """The relations that are asked for."""
        return tuple(r for r in self.schema.relations.values() if not r.roles)

    @property
    def hash(self) -> str:
        """Hash of all that is asked except the passage."""
        parts = [self._system, self._user("", ""), self.answer_schema]
        return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def answer_schema(self) -> Mapping[str, Any]:
        """JSON Schema of the answer, in the strict subset that endpoints accept."""
        text = {"type": "string"}
        types = sorted({*self.schema.types, *LITERAL_TYPES})
        type_of = {"type": "string", "enum": [*types, ""]}
        names = {"type": "string", "enum": [relation.name for relation in self.relations]}
        fields: dict[str, Any] = {
            "quote": text,
            "head": text,
            "head_type": type_of,
            "relation": text if self.open_relations else names,
            "tail": text,
            "tail_type": type_of,
            "negated": {"type": "boolean"},
            "hedged": {"type": "boolean"},
        }
        item = {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"statements": {"type": "array", "items": item}},
            "required": ["statements"],
            "additionalProperties": False,
        }

    def messages(self, passage: str, *, title: str = "") -> list[dict[str, str]]:
        """Return the conversation that asks about a passage."""
        return [
            {"role": "system", "content": self._system},
            {"role": "user", "content": self._user(passage, title)},
        ]

    @property
    def _system(self) -> str:
        return _TASK.format(
            relations="\n".join(map(_described, self.relations)),
            types=", ".join(_types(self.schema)),
            relation_rule=_OR_OWN if self.open_relations else _ONE_OF,
        )

    def _user(self, passage: str, title: str) -> str:
        head = f"Title: {' '.join(title.split())}\n\n" if title.strip() else ""
        return f"{head}Passage:\n{passage}"


def _described(relation: RelationDef) -> str:
    ends = f"{relation.head or 'anything'} → {relation.tail or 'anything'}"
    known = relation.description or f"also called {', '.join(relation.aliases[:3])}"
    meaning = f". {known}" if relation.description or relation.aliases else ""
    return f"- {relation.name}: {ends}{meaning}"


def _types(schema: Schema) -> list[str]:
    literals = sorted({r.tail for r in schema.relations.values() if schema.is_literal(r.tail)})
    named = [
        f"{name} (a kind of {type.parent})" if type.parent else name
        for name, type in schema.types.items()
    ]
    return [*named, *literals]
