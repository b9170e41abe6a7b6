"""Encoders of entities, link prediction and entity search on a graph.

It knows texts, vectors and graphs, and not where triples come from. Nothing heavy is imported
before a model is trained or asked.
"""
