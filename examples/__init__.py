"""Whole installations to look at and to start from."""
