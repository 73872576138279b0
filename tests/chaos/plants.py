"""Bugs to plant, to see that each is caught."""

from collections.abc import Callable

PLANTS: dict[str, Callable] = {}
