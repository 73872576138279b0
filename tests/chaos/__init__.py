"""Thousands of conversations against models that fail in every way, on a clock that leaps from one moment to the next."""
