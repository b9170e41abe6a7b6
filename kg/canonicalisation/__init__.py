"""Relation canonicalisation: finds phrases that name one relation; `undo` takes it back."""

from kg.canonicalisation.canonicaliser import CanonicalisationReport, canonicalise
from kg.canonicalisation.relations import CanonicalisationOptions, PhraseUse, propose_names

__all__ = [
    "CanonicalisationOptions",
    "CanonicalisationReport",
    "PhraseUse",
    "canonicalise",
    "propose_names",
]
