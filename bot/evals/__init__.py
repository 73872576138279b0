"""Evaluation: a folder of questions, asked of an agent as the daemon would build it, judged and compared with the run before."""
