"""The operators' pages on the private listener: what they read, what they ask for, and what they are told as it happens."""
