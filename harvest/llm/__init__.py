"""Language models: a client for any OpenAI-compatible endpoint, and extraction with it.

| module | concept |
|---|---|
| `client` | ask a model: cached, paced, budgeted, re-asked |
| `endpoint`, `dialect`, `completion` | one HTTP call, what the endpoint understands, its answer |
| `limits`, `budget`, `prices`, `tokens`, `secret` | pace, budget, cost, counting, the key |
| `parsing`, `rows` | tolerant JSON, statements in it |
| `prompt`, `chunking`, `locating`, `reading`, `harvester` | schema-constrained extraction |
| `estimate`, `options`, `commands` | dry run, settings and the command line |

Importing this package loads none of them, and no library.
"""
