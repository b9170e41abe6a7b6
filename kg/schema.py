"""The schema: entity types in a tree, and relations with what readers of text need to know.

One YAML file, one block per relation, read by every harvester and retriever:

```yaml
types:
  Place: {}
  City: {parent: Place}
  Person: {}
relations:
  born_in:
    description: the place where a person was born
    head: Person
    tail: Place
    aliases: [birthplace, native of]
    inverse: birthplace_of        # the graph holds born_in only
    functional: true              # at most one tail per head
    seeds: [[Marie Curie, Warsaw]]
    templates: ["{head} was born in {tail}."]
```

A tail of type `date`, `number`, `quantity` or `text` is a literal. A relation with more than two
places names its `roles` instead of head and tail. Every error names file, line and key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kg.errors import SchemaError
from kg.ids import normal_form
from kg.records import LITERAL_TYPES, RelationName

if TYPE_CHECKING:
    import yaml

__all__ = ["RelationDef", "Schema", "TypeDef"]


@dataclass(frozen=True, slots=True)
class TypeDef:
    """An entity type and its parent ("" for a root of the tree)."""

    name: str
    parent: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class RelationDef:
    """A relation of the schema."""

    name: str
    description: str = ""
    #: Type of the head, "" for any.
    head: str = ""
    #: Type of the tail, "" for any; a literal type makes the tail a literal.
    tail: str = ""
    aliases: tuple[str, ...] = ()
    #: Name of the same relation read from the tail; stored with ends swapped.
    inverse: str = ""
    functional: bool = False
    symmetric: bool = False
    seeds: tuple[tuple[str, ...], ...] = ()
    templates: tuple[str, ...] = ()
    #: Names of the places of a relation with more than two; it becomes an event entity.
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """Types and relations, checked for consistency when made.

    >>> schema = Schema.parse('''
    ... types: {Place: {}, City: {parent: Place}, Person: {}}
    ... relations:
    ...   born_in: {head: Person, tail: Place, inverse: birthplace_of}
    ... ''')
    >>> schema.root("City"), schema.ancestors("City"), schema.is_a("City", "Place")
    ('Place', ('City', 'Place'), True)
    >>> schema.find("Birthplace of")
    (RelationDef(name='born_in', ...), True)
    """

    types: Mapping[str, TypeDef] = field(default_factory=dict)
    relations: Mapping[str, RelationDef] = field(default_factory=dict)
    source: str = "<schema>"

    def __post_init__(self) -> None:
        _check_tree(self)
        _check_relations(self)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema file.

        Raises:
            SchemaError: if the file is missing, not UTF-8, not YAML, or breaks the format.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SchemaError(f"schema file {path} does not exist: check the path") from None
        except IsADirectoryError:
            raise SchemaError(f"schema {path} is a folder: give the YAML file in it") from None
        except UnicodeDecodeError as error:
            raise SchemaError(
                f"schema file {path} is not UTF-8 ({error}): save it as UTF-8"
            ) from None
        except OSError as error:
            raise SchemaError(f"schema file {path} cannot be read: {error.strerror}") from None
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, *, source: str = "<schema>") -> Schema:
        """Make a schema from YAML text; `source` names it in errors.

        Raises:
            SchemaError: if it is not YAML or breaks the format.
        """
        return _Reader(text, source).schema()

    def root(self, type: str) -> str:
        """Return the root of a type's branch; an unknown type is its own root, "" stays ""."""
        return self.ancestors(type)[-1] if type else ""

    def ancestors(self, type: str) -> tuple[str, ...]:
        """Return the type and its parents, finest first."""
        chain = [type]
        while (known := self.types.get(chain[-1])) is not None and known.parent:
            chain.append(known.parent)
        return tuple(chain)

    def is_a(self, type: str, ancestor: str) -> bool:
        """Say whether `type` is `ancestor` or lies below it; "" as ancestor means any type."""
        return not ancestor or ancestor in self.ancestors(type)

    def is_literal(self, type: str) -> bool:
        """Say whether values of this type are literals, not entities."""
        return type in LITERAL_TYPES

    def find(self, phrase: str) -> tuple[RelationDef, bool] | None:
        """Return the relation that a phrase names, and whether its ends are swapped.

        Names, aliases and inverses are compared in normal form, with `_` and space equal.
        """
        wanted = _phrase_key(phrase)
        for relation in self.relations.values():
            if wanted in map(_phrase_key, (relation.name, *relation.aliases)):
                return relation, False
            if relation.inverse and wanted == _phrase_key(relation.inverse):
                return relation, True
        return None

    def relation_names(self) -> tuple[RelationName, ...]:
        """Return the rows of the relation map: every name, alias and inverse of every relation."""
        rows: dict[str, RelationName] = {}
        for relation in self.relations.values():
            phrases = ((relation.name, False), *((alias, False) for alias in relation.aliases))
            inverse = ((relation.inverse, True),) if relation.inverse else ()
            for phrase, swapped in (*phrases, *inverse):
                row = RelationName(phrase, relation.name, swapped, relation.symmetric)
                rows.setdefault(phrase, row)
        return tuple(rows[phrase] for phrase in sorted(rows))

    def parameters(self) -> dict[str, Any]:
        """Return what of the schema can change a harvester's output, for `Config.parameters`."""
        return {
            "types": {name: type.parent for name, type in sorted(self.types.items())},
            "relations": {
                name: {
                    "description": relation.description,
                    "head": relation.head,
                    "tail": relation.tail,
                    "aliases": list(relation.aliases),
                    "inverse": relation.inverse,
                    "functional": relation.functional,
                    "symmetric": relation.symmetric,
                    "seeds": [list(seed) for seed in relation.seeds],
                    **({"roles": list(relation.roles)} if relation.roles else {}),
                }
                for name, relation in sorted(self.relations.items())
            },
        }


def _phrase_key(phrase: str) -> str:
    return normal_form(phrase.replace("_", " "))


def _near(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _check_tree(schema: Schema) -> None:
    for type in schema.types.values():
        if schema.is_literal(type.name):
            raise SchemaError(
                f"{schema.source}: types.{type.name}: {type.name} is a literal type and needs no "
                "entry; remove it"
            )
        if type.parent and type.parent not in schema.types:
            raise SchemaError(
                f"{schema.source}: types.{type.name}.parent: {type.parent!r} is not among the "
                f"types{_near(type.parent, schema.types)}"
            )
        seen, at = [type.name], type.parent
        while at:
            if at in seen:
                raise SchemaError(
                    f"{schema.source}: types.{type.name}.parent: {' → '.join([*seen, at])} is a "
                    "circle; a type tree has roots"
                )
            seen.append(at)
            at = schema.types[at].parent if at in schema.types else ""


def _check_relations(schema: Schema) -> None:
    owner: dict[str, str] = {}
    for relation in schema.relations.values():
        at = f"{schema.source}: relations.{relation.name}"
        for key, type in (("head", relation.head), ("tail", relation.tail)):
            literal_tail = key == "tail" and schema.is_literal(type)
            if type and type not in schema.types and not literal_tail:
                known = [*schema.types, *(LITERAL_TYPES if key == "tail" else ())]
                raise SchemaError(
                    f"{at}.{key}: {type!r} is not among the types{_near(type, known)}"
                )
        if relation.symmetric and relation.inverse:
            raise SchemaError(f"{at}.inverse: a symmetric relation is its own inverse; drop one")
        for phrase in (relation.name, *relation.aliases, relation.inverse):
            other = owner.setdefault(_phrase_key(phrase), relation.name) if phrase else ""
            if other and other != relation.name:
                raise SchemaError(f"{at}: {phrase!r} also names the relation {other}; keep one")


_RELATION_KEYS: Final[Mapping[str, type]] = {
    "description": str,
    "head": str,
    "tail": str,
    "aliases": list,
    "inverse": str,
    "functional": bool,
    "symmetric": bool,
    "seeds": list,
    "templates": list,
    "roles": list,
}
_TYPE_KEYS: Final[Mapping[str, type]] = {"parent": str, "description": str}
_KIND: Final = {str: "text", list: "a list", bool: "true or false", dict: "a mapping"}


class _Reader:
    """Reads the YAML node tree, because plain values have forgotten their lines."""

    def __init__(self, text: str, source: str) -> None:
        import yaml  # a third of the time of `import kg`, and only files need it

        self.source = source
        self.scalar, self.map = yaml.ScalarNode, yaml.MappingNode
        self.construct = yaml.SafeLoader("").construct_object
        try:
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error)
            raise SchemaError(f"{source}:{line} is not YAML: {problem}") from None

    def schema(self) -> Schema:
        top = self.mapping(self.root, "the schema") if self.root else {}
        self.known(top, ("types", "relations"), "")
        types = {
            name: TypeDef(name, **self.values(node, _TYPE_KEYS, f"types.{name}"))
            for name, node in self.mapping(top.get("types"), "types").items()
        }
        relations = {
            name: RelationDef(name, **self.values(node, _RELATION_KEYS, f"relations.{name}"))
            for name, node in self.mapping(top.get("relations"), "relations").items()
        }
        return Schema(types, relations, self.source)

    def fail(self, node: yaml.Node, key: str, problem: str) -> SchemaError:
        return SchemaError(f"{self.source}: line {node.start_mark.line + 1}, {key}: {problem}")

    def mapping(self, node: yaml.Node | None, key: str) -> dict[str, yaml.Node]:
        """Return a mapping's values by key; nothing and an empty value are an empty mapping."""
        if node is None or (isinstance(node, self.scalar) and node.value in ("", "~", "null")):
            return {}
        if not isinstance(node, self.map):
            raise self.fail(node, key, "a mapping is expected here")
        result: dict[str, yaml.Node] = {}
        for name, value in node.value:
            if name.value in result:
                raise self.fail(name, f"{key}.{name.value}", "this key stands here twice")
            result[str(name.value)] = value
        return result

    def known(self, found: Mapping[str, yaml.Node], allowed: Iterable[str], key: str) -> None:
        allowed = tuple(allowed)
        for name, node in found.items():
            if name not in allowed:
                where = f"{key}.{name}" if key else name
                raise self.fail(
                    node,
                    where,
                    f"unknown key; allowed are {', '.join(allowed)}{_near(name, allowed)}",
                )

    def values(self, node: yaml.Node, keys: Mapping[str, type], key: str) -> dict[str, Any]:
        found = self.mapping(node, key)
        self.known(found, keys, key)
        result: dict[str, Any] = {}
        for name, value_node in found.items():
            value = self.construct(value_node, deep=True)
            where = f"{key}.{name}"
            if not isinstance(value, keys[name]):
                raise self.fail(value_node, where, f"{value!r} is not {_KIND[keys[name]]}")
            if isinstance(value, list):
                value = tuple(self.item(item, name, value_node, where) for item in value)
            result[name] = value
        return result

    def item(self, item: object, name: str, node: yaml.Node, where: str) -> Any:
        if name == "seeds":
            if not isinstance(item, list) or len(item) < 2:
                raise self.fail(
                    node, where, f"{item!r} is not a pair such as [Marie Curie, Warsaw]"
                )
            return tuple(str(part) for part in item)
        if not isinstance(item, str):
            raise self.fail(node, where, f"{item!r} is not text; put it in quotes")
        return item
