"""Platforms that can do only what an answer needs, as a small imitation of one does: the rest is missing, each in another way."""
