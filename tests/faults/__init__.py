"""The disk full, failing, locked, or without power in the middle: what was acknowledged is there."""
