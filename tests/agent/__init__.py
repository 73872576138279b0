"""Which model answers, how fast it is asked, and what it may cost."""
