"""Every Cypher statement that the Neo4j store sends, as constants and pure functions.

Values are always parameters. Only labels and relationship types stand in the text, because Cypher
takes no parameter there, and they pass `names.name` first. One module per concern:

| module | statements that |
|---|---|
| `names` | are made of: checked names, rows that are written and accounted for |
| `opening` | make constraints and indexes, open a graph, count it |
| `locking` | let writers work side by side |
| `writing` | begin and end runs, look up what a batch refers to, write its records |
| `deriving` | read and change what is derived |
| `predicting` | draw predicted links |
| `removing` | lease, adopt, undo and delete |

Nodes beside those of `kg.store.shape`, without relationships, so that users' paths never meet them:

```
(:SheafGraph {id: 'graph', format, store, counter, structure, runs})   one per database
(:SheafText {id, uri_key, text, media_type, meta})            the text of a document
(:SheafNaming {id, raw, key, entity, name, …, times})         kg.derivation.Naming, counted
(:SheafLink {id: 'number|source'})                            where a run has found something
(:SheafLock {id}) (:SheafRelationName) (:SheafLease) (:Config) (:Run) (:Task) (:Merge) (:Prediction)
```

STATES and MENTIONS carry `config` and `runs` (small numbers of runs) beside their shape. Look-ups
of relationships name their index: a plan made while the graph was small would scan. What is read
comes as lists in one row, because for the driver a row costs twenty times what a list costs.
"""
