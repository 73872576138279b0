"""What is remembered of a user: facts they said of themselves, what came of their earlier cases, and the window onto a long one."""
