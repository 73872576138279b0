"""The names of the built-in tools, for the config to know them without loading any."""

SEARCH_KNOWLEDGE = "search_knowledge"
REQUEST_HUMAN = "request_human"
BUILT_IN = (SEARCH_KNOWLEDGE, REQUEST_HUMAN)
