"""Exchange formats: a graph to the files of other tools, and back.

| module | format | carries |
|---|---|---|
| `kg.exchange.rdf` | N-Quads, TriG | everything that was written: lossless |
| `kg.exchange.parquet` | a folder of Parquet tables | everything that was written: lossless |
| `kg.exchange.rdf` | Turtle, N-Triples, rdflib `Dataset` | entities, triples, score, support |
| `kg.exchange.graphml` | GraphML | entities, triples, score, support |
| `kg.exchange.networkx` | `MultiDiGraph` | entities, triples, score, support |
| `kg.exchange.tables` | three columns of ids, as PyKEEN reads them; names beside | triples |
| `kg.exchange.langchain` | `GraphDocument` | texts, entities, triples, evidence with places |
| `kg.exchange.llamaindex` | property graph of LlamaIndex | chunks, entities, triples |
| `kg.exchange.graphrag` | Parquet tables of Microsoft's GraphRAG | texts, entities, triples |

Round trip = equal ids; for the lossless ones equal `graph_hash`, runs and links. What the others
import is evidence of the file: a run with the harvester "import", which `undo` takes back.
`kg.exchange.formats` chooses by suffix. All stream: memory does not grow with the graph, but for
what must be in memory by its nature (`networkx`, `Dataset`, LlamaIndex's single JSON object).
"""
