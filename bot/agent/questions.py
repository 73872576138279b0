"""Whether a text asks something, by its marks and first words. Pure; where neither tells, it does not."""

import re

from bot.knowledge.blocks import sentences

_OPENING = re.compile(
    r"(?:^|[.!?\n,;]\s*)(?:(?:hello|hi|hey|hallo|and|but|so|und|aber|also|please|bitte)\W+)*"
    r"(?:how|what|when|where|why|who|whom|whose|which|can|could|may|do|does|did|is|are|am|was|were|will|would|should|has|have|"
    r"wie|was|wann|wo|woher|wohin|warum|wieso|weshalb|wer|wem|wen|welche[rsnm]?|kann|kannst|können|könnt|könnte|darf|dürfen|gibt|gilt|"
    r"ist|sind|hat|haben|muss|müssen|soll|sollte|wird|werden)\s+\w",
    re.IGNORECASE,
)
_MARKS = ("?", "？", "؟")


def is_question(text: str) -> bool:
    """Whether somebody asks something with it."""
    return any(mark in text for mark in _MARKS) or bool(_OPENING.search(text))


def is_asking_back(text: str) -> bool:
    """Whether it is one question and nothing else."""
    return text.rstrip().endswith(_MARKS) and len(sentences(text)) == 1
