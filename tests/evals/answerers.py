"""Answerers that say what a test wants."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.config.refusals import parse
from bot.errors import ModelError
from bot.evals.answers import Reply
from bot.evals.cases import Case, Suite
from bot.evals.judging import Verdict
from bot.evals.results import Result, Run
from bot.model import Message


class Says:
    """Gives `reply` of what the user said last; raises it where it is an error. Keeps what it was shown."""

    def __init__(self, reply: Callable[[str], Reply | ModelError]) -> None:
        self.seen: list[tuple[str, tuple[Message, ...]]] = []
        self.running = 0
        self.most_running = 0
        self._reply = reply

    async def answer(self, conversation: str, messages: Sequence[Message]) -> Reply:
        self.seen.append((conversation, tuple(messages)))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        reply = self._reply(messages[-1].text)
        if isinstance(reply, ModelError):
            raise reply
        return reply


class Judges:
    """A judge of one opinion; no opinion at all: it fails."""

    def __init__(self, opinion: Verdict | ModelError) -> None:
        self._opinion = opinion

    async def judge(self, turns: Sequence[str], answer: str, criterion: str) -> Verdict:
        if isinstance(self._opinion, ModelError):
            raise self._opinion
        return self._opinion


def case(*turns: str, **demands: object) -> Case:
    """A case as it is after loading."""
    return parse(Case, {"name": " / ".join(turns), "turns": turns, **demands})


def suite(*cases: Case, least: float = 0.85) -> Suite:
    return Suite("shop", least, cases)


def run(*results: Result, at_ms: int = 1_700_000_000_000, least: float = 0.5) -> Run:
    return Run(suite="shop", agent="main", at_ms=at_ms, least=least, results=results)


def write(folder: Path, **files: str) -> Path:
    """Files of a suite, by their names without the ending."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder
