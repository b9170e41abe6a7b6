"""Demonstration retrieval: the solved examples that help a language model most."""
