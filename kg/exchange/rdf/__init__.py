"""RDF: N-Quads and TriG carry the whole graph, Turtle and N-Triples what is derived from it.

| part | where | as |
|---|---|---|
| entity | default graph | IRI with `rdfs:label`, `skos:altLabel`, its types as classes |
| triple | default graph | `h relation t`, and an `rdf:Statement` with score and support |
| document, chunk, mention, evidence | one named graph per document | PROV entities; evidence is an `rdf:Statement` with quote, `prov:wasDerivedFrom` its chunk, `prov:wasGeneratedBy` its runs |
| config, run, merge, prediction, … | named graph `…records` | `prov:SoftwareAgent`, `prov:Activity` |

An import of N-Quads or TriG restores the written records, whatever tool has sorted or rewritten the
file in between: hash, explanations and `undo` are those of the source. An import of Turtle gives
equal ids, names, types and scores, with the file as the only evidence. Other people's RDF is read
as facts: labels become names, `rdf:type` types, all other statements triples.

IRIs are `base` + id; an entity with an external IRI has that one, if RDF allows its characters and
no other entity has it. Scores are `xsd:decimal`, because Turtle shortens doubles.

RDF's words subject, predicate and object are used in this package only.
"""  # noqa: E501

from kg.exchange.rdf.reading import read_rdf
from kg.exchange.rdf.writing import to_rdflib, write_rdf

__all__ = ["read_rdf", "to_rdflib", "write_rdf"]
