"""Cleaning a graph with an encoder's help: commands and evaluations of resolution and relations."""
