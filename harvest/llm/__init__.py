"""Language models: a client for any OpenAI-compatible endpoint, and extraction with it.

| module | concept |
|---|---|
| `client` | ask a model: cached, paced, budgeted, re-asked |
| `endpoint`, `dialect`, `completion` | one HTTP call, what the endpoint understands, its answer |
| `limits`, `budget`, `prices`, `tokens`, `secret` | pace, budget, cost, counting, the key |
| `parsing`, `rows` | tolerant JSON, statements in it |
| `prompt`, `chunking`, `locating`, `reading`, `scoring` | schema-constrained extraction |
| `demonstrations` | solved examples from a graph, in front of a passage |
| `constrained` | extraction with a local model, held to sentence and schema token by token |
| `local` | a harvester around it, without any endpoint |
| `harvester` | all of it together, as a job calls it |
| `verdicts`, `judge`, `commands` | the judge of entity resolution, and `sheaf resolve` |
| `settings`, `options`, `estimate` | flags and environment, the command line, dry run |
| `background` | an event loop for callers that have none |

Importing this package loads none of them, and no library.
"""
