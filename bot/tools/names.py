"""The names of the built-in tools, for the config to know them without loading any."""

SEARCH_KNOWLEDGE = "search_knowledge"
REQUEST_HUMAN = "request_human"
REMEMBER = "remember"
ABOUT_ME = "about_me"
BUILT_IN = (SEARCH_KNOWLEDGE, REQUEST_HUMAN, REMEMBER, ABOUT_ME)
