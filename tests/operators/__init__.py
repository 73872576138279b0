"""Operators: who they are, how they prove it, and what is kept of what they do."""
