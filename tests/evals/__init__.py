"""Evaluation: what a case demands, and that bad answers fail it."""
