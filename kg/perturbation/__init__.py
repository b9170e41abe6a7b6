"""Perturbation: edits of a graph that break one rule, or the truth alone, or nothing."""

from kg.perturbation.edits import Edit, perturb
from kg.perturbation.hard_negatives import HardNegatives, Negative
from kg.perturbation.meaning import Meaning
from kg.perturbation.operators import OPERATORS, Operator

__all__ = ["OPERATORS", "Edit", "HardNegatives", "Meaning", "Negative", "Operator", "perturb"]
