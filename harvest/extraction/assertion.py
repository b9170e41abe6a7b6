"""Judge whether a sentence asserts what it says of a pair.

| the sentence | example | what follows |
|---|---|---|
| denies it | X never played for Y · X did not marry Y · X refused to join Y | kept as negated |
| asks | Did X found Y? | nothing |
| makes it depend on something | If X had joined Y … · X would have joined Y | nothing |
| doubts it | X may have founded Y · X is said to be Y's son | kept as hedged |
| speaks of a group by its relation to X | former X engineers founded Y | nothing for X |
| plans or wishes it | X hopes to join Y · X was asked to join Y | nothing |

The words that decide are looked for where they can bear on the pair: on the dependency path, among
what hangs from its verbs, and on the verbs above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from harvest.extraction.mentions import Candidate
from harvest.extraction.pairs import dependency_path

__all__ = ["ASSERTED", "Assertion", "are_listed", "judge"]

_NEGATIONS = frozenset("not n't never no neither nor without nobody none cannot hardly".split())
_DENYING = frozenset(
    """deny refuse decline fail reject refute dismiss prevent avoid disprove miss forbid prohibit
    dispute lack""".split()
)
_HEDGING_VERBS = frozenset(
    """allege rumour rumor claim suppose believe speculate suggest suspect assume presume seem
    appear think say report purport""".split()
)
_HEDGES = frozenset(
    """possibly probably perhaps allegedly reportedly supposedly presumably apparently purportedly
    maybe seemingly reputedly likely may might could doubtful doubtfully""".split()
)
_WISHES = frozenset(
    """hope want wish plan intend ask invite attempt try offer consider propose aim expect agree
    threaten promise seek urge""".split()
)
_CONDITIONS = frozenset({"if", "unless", "whether", "should", "would"})
_PASSIVE_OR_IMPERSONAL = frozenset({"nsubjpass", "expl", "auxpass"})
#: Plural nouns that name a thing, not a group of people or things.
_NO_GROUP = frozenset("headquarters works studios series species parents".split())

#: People whose deeds are not those of the one they belong to.
_OTHERS = frozenset(
    """brother sister sibling wife husband widow father mother parent son daughter child uncle aunt
    cousin nephew niece grandfather grandmother grandson student pupil friend colleague assistant
    teacher mentor follower successor predecessor rival fan staff team army""".split()
)
#: Nouns behind a name that only say what kind of thing it is.
_SAME_THING = frozenset(
    """building headquarters company corporation band mission spacecraft novel film movie album song
    single series show game book project program programme magazine newspaper river region province
    county district city town village area island peninsula airport station bridge museum festival
    war election championship tournament prize award medal theory language family""".split()
)
_COPIES = frozenset(
    "replica copy statue bust portrait model imitation version remake biography".split()
)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a sentence does with a statement; `dropped` says why when it does not make it."""

    negated: bool = False
    hedged: bool = False
    dropped: str = ""


ASSERTED: Final = Assertion()


def judge(doc: Any, sentence: Any, head: Candidate, tail: Candidate) -> Assertion:
    """Return whether `sentence` asserts, denies, doubts or does not state something of the pair."""
    if _is_question(sentence):
        return Assertion(dropped="question")
    path = [token for token, _ in dependency_path(doc, head, tail)]
    if not path:
        left, right = sorted((head, tail))
        path = list(doc[left.start : right.end])
    if _is_group(path, head) or _is_group(path[::-1], tail):
        return Assertion(dropped="group")
    inside = {*range(head.start, head.end), *range(tail.start, tail.end)}
    above = _verbs_above(path)
    bearing = [token for token in path if token.i not in inside]
    hanging = [
        child
        for token in (*bearing, *above)
        for child in token.children
        if child.i not in inside
        and child.dep_ in ("neg", "aux", "advmod", "det", "mark", "preconj")
        and (child.dep_ != "det" or token in bearing)
    ]
    negated = hedged = False
    for token in (*bearing, *hanging):
        word = token.lower_
        if word in _NEGATIONS and not _is_not_only(token):
            negated = True
        elif word in _CONDITIONS and token.dep_ in ("mark", "aux") and not _is_reported(token):
            return Assertion(dropped="conditional")
        elif word in _HEDGES and token.tag_ != "NNP":
            hedged = True
    for token in (*bearing, *above):
        lemma = _verb(token)
        if token.pos_ not in ("VERB", "AUX"):
            continue
        governs = any(child.dep_ in ("xcomp", "ccomp") for child in token.children)
        if lemma in _DENYING and governs:
            negated = True
        elif lemma in _WISHES and governs:
            return Assertion(dropped="wish")
        elif lemma in _HEDGING_VERBS and governs and _is_impersonal(token):
            hedged = True
    if _is_conditional(sentence, path):
        return Assertion(dropped="conditional")
    return Assertion(negated=negated, hedged=hedged)


def are_listed(doc: Any, head: Candidate, tail: Candidate) -> bool:
    """Tell whether two names are only members of one list: "Annapolis County, Kings County".

    A list relates its members to something else, not to each other.
    """
    first, second = doc[head.start : head.end].root, doc[tail.start : tail.end].root
    return _is_listed_after(first, second) or _is_listed_after(second, first)


def _is_listed_after(first: Any, second: Any) -> bool:
    token = second
    while token.dep_ == "conj" and token.head.i != token.i:
        token = token.head
        if token.i == first.i:
            return True
    return False


def _verb(token: Any) -> str:
    """Return a verb's lemma; the small lemmatiser makes "hop" of "hoped"."""
    lemma = str(token.lemma_).lower()
    return lemma + "e" if lemma + "e" in _WISHES | _HEDGING_VERBS | _DENYING else lemma


def _is_question(sentence: Any) -> bool:
    text = sentence.text.rstrip(" \n\"'”’)")
    return bool(text.endswith("?"))


def _verbs_above(path: list[Any]) -> list[Any]:
    """Return the verbs that govern the top of the path: they can take the statement back.

    A relative clause, a list or an adverbial clause is a statement of its own: climbing stops.
    """
    top = min(path, key=lambda token: len(list(token.ancestors)))
    found = []
    token = top
    while token.head.i != token.i and token.dep_ in (
        "xcomp",
        "ccomp",
        "attr",
        "acomp",
        "prep",
        "pobj",
        "dobj",
        "nsubj",
        "nsubjpass",
        "agent",
        "pcomp",
        "oprd",
        "dative",
    ):
        token = token.head
        if token.pos_ in ("VERB", "AUX"):
            found.append(token)
    return found


def _is_conditional(sentence: Any, path: list[Any]) -> bool:
    """Tell whether the statement stands in an if-clause or in the main clause of one."""
    on_path = {token.i for token in path}
    for token in sentence:
        if token.lower_ in ("if", "unless") and token.dep_ == "mark":
            clause = {item.i for item in token.head.subtree}
            main = token.head.head
            if on_path & clause or main.i in on_path:
                return True
    return False


def _is_group(path: list[Any], end: Candidate) -> bool:
    """Tell whether this end only describes others that do or undergo something.

    "former Acme engineers founded Y", "students of X moved to Y", "a replica of X was built in Y":
    the path climbs from the name to a plural common noun, and that noun is subject, agent or object
    of a verb. "X's brother played for Y", "an X replica stands in Y": it climbs to somebody's
    relative or to a thing named after X, and goes on to a verb.
    """
    outside = [token for token in path if not end.start <= token.i < end.end]
    steps = [
        token for token in outside if token.pos_ != "ADP" and token.dep_ not in ("prep", "case")
    ]
    if not steps:
        return False
    token = steps[0]
    root = token.doc[end.start : end.end].root
    goes_on = any(step.pos_ in ("VERB", "AUX") for step in steps[1:])
    if root.head.i == token.i and goes_on:
        lemma = token.lemma_.lower()
        if root.dep_ == "poss" and (token.pos_ == "PROPN" or lemma in _OTHERS):
            return True
        if root.dep_ == "compound" and token.pos_ == "NOUN" and lemma not in _SAME_THING:
            return True
    if goes_on and token.lemma_.lower() in _COPIES:
        return True
    if token.tag_ == "NNS" and token.lower_ not in _NO_GROUP:
        verb = token.head
        if token.dep_ == "pobj" and verb.dep_ == "agent":
            verb = verb.head
        acts = token.dep_ in ("nsubj", "nsubjpass", "agent", "pobj", "dobj", "conj")
        return bool(acts and verb.lemma_ not in ("be", "include") and token.i != path[-1].i)
    return False


def _is_not_only(token: Any) -> bool:
    following = token.doc[token.i + 1] if token.i + 1 < len(token.doc) else None
    return following is not None and following.lower_ in (
        "only",
        "just",
        "merely",
        "until",
        "least",
    )


def _is_reported(token: Any) -> bool:
    """Tell whether a "would" only shifts a past ("He would later marry", "would go on to")."""
    if token.lower_ != "would":
        return False
    near = {item.lower_ for item in token.doc[token.i + 1 : token.i + 4]}
    perfect = "have" in near
    return not perfect and bool(
        near & {"later", "eventually", "subsequently", "then", "go", "become"}
    )


def _is_impersonal(verb: Any) -> bool:
    """Tell whether nobody stands for the claim: "is said to", "reportedly", "some believe"."""
    children = list(verb.children)
    if _verb(verb) in ("seem", "appear"):
        return True
    return any(child.dep_ in _PASSIVE_OR_IMPERSONAL for child in children) or any(
        child.dep_ == "nsubj"
        and child.lower_ in ("some", "many", "it", "sources", "historians", "scholars")
        for child in children
    )
