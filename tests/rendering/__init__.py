"""Rendering for the platforms."""
