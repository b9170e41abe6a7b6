r"""When do explanations help? A diagnostic with a known answer, and the same test on own data.

| module | concept |
|---|---|
| `items` | the diagnostic task: numbers, hidden rules, three kinds of explanations |
| `network` | a reader of numbers and explanations, and an encoder that retrieves explanations |
| `training` | p(y\|x) = Σ p(set\|x) p(y\|x, set), trained on the label alone |
| `diagnostic` | all ways of choosing explanations, side by side |
| `own_data` | the same question asked of a task with explanations |
| `commands` | `sheaf eval explanation-roles` |

After Hase and Bansal, "When can models learn from explanations? A formal framework for
understanding the roles of explanation data", 2021. Their result on natural data (e-SNLI, TACRED,
SemEval) is that retrieved explanations bring nothing, so the diagnostic comes before a promise.
"""
