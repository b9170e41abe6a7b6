"""Scoring heads: how a relation joins the vectors of a head and a tail, one file per head.

`protocol` names what every head can do, makes untrained heads and loads saved ones.
"""
