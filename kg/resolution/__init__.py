"""Entity resolution: finds entities that are one thing and merges them; `undo` takes it back."""

from kg.resolution.layers import Proposal, ResolutionOptions
from kg.resolution.questions import Judge, Question
from kg.resolution.resolver import ResolutionReport, resolve

__all__ = ["Judge", "Proposal", "Question", "ResolutionOptions", "ResolutionReport", "resolve"]
