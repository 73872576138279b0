"""Calls of synchronous functions, each in a thread of its own that ends with the process: one that hangs holds neither a pool nor the exit."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from bot.errors import NotSent, Uncertain

MOST = 16  # of one function at a time; one that never returns keeps its thread

Lane = asyncio.Semaphore  # entered on the loop; left when the thread ends, even if nobody waits for it any more

_lanes: WeakValueDictionary[int, Lane] = (
    WeakValueDictionary()
)  # by the id of the object, which the function keeps alive


def lane_of(function: Callable[..., Any]) -> Lane:
    """Where calls of it queue: the methods of one object in one lane, one by one."""
    owner = getattr(function, "__self__", None)
    if owner is None or inspect.ismodule(owner):
        return Lane(MOST)
    lane = _lanes.get(id(owner))
    if lane is None:
        lane = _lanes[id(owner)] = Lane(1)
    return lane


async def in_thread(call: Callable[[], Any], lane: Lane, name: str) -> Any:
    """What it returns. The caller has entered the lane. Raises what it raises, NotSent if there is no thread for it, and Uncertain for what
    would end a process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def end(value: Any, error: BaseException | None) -> None:
        lane.release()
        if not outcome.done():
            outcome.set_result((value, error))

    def run() -> None:
        made, raised = None, None
        try:
            made = call()
        except BaseException as error:  # noqa: BLE001 - it is handed over, and must not be lost with the thread
            raised = error
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(end, made, raised)

    try:
        threading.Thread(target=contextvars.copy_context().run, args=(run,), name=f"action {name}", daemon=True).start()
    except RuntimeError as error:
        lane.release()
        raise NotSent(f"{name} cannot be called: {error}") from error
    value, failure = await outcome
    if failure is None:
        return value
    if isinstance(failure, Exception):
        raise failure
    raise Uncertain(f"{name} ended with {type(failure).__name__}") from failure
