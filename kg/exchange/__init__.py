"""Exchange formats: tables of ids for encoders, networkx and GraphML for everything else.

| module | format | carries |
|---|---|---|
| `kg.exchange.tables` | three columns of ids, as PyKEEN reads them; names beside | triples |
| `kg.exchange.networkx` | `MultiDiGraph`, GraphML | triples, score, support, names |

Both carry derived triples, not their evidence. What is imported is evidence of the file: a run
with the harvester "import", which `undo` takes back. Round trip = equal triple ids.
"""
