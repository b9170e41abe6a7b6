"""Constraints: rules that a graph must keep, what breaks them, and their form in SHACL."""

from kg.constraints.graph import Edge, LabelledGraph, Node, StoredGraph
from kg.constraints.rules import (
    Arity,
    Cardinality,
    Disjoint,
    Domain,
    MaxWords,
    Range,
    Relations,
    Rule,
    Symmetric,
    Types,
    Violation,
)
from kg.constraints.schema_rules import harvested_schema, rules_of
from kg.constraints.structure import Acyclic, Connected, Covers, MaxEdges, MinEdges
from kg.constraints.validation import Failed, Report, validate

__all__ = [
    "Acyclic",
    "Arity",
    "Cardinality",
    "Connected",
    "Covers",
    "Disjoint",
    "Domain",
    "Edge",
    "Failed",
    "LabelledGraph",
    "MaxEdges",
    "MaxWords",
    "MinEdges",
    "Node",
    "Range",
    "Relations",
    "Report",
    "Rule",
    "StoredGraph",
    "Symmetric",
    "Types",
    "Violation",
    "harvested_schema",
    "rules_of",
    "validate",
]
