"""The agent: what a model sees (`context`), and the loop of model and tools (`loop`)."""
