"""Proofs: each test's docstring is the promise that it holds."""
