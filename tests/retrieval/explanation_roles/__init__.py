"""Tests of `retrieval.explanation_roles`."""
