"""Users as people: who is one person, what is kept of them, what they get, and how it goes."""
