"""Kills the real daemon at every step of a message's path, starts it again, and judges what people saw."""
