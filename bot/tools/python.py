"""Actions that are Python functions, or methods of an object that knows nothing of us.

What a function takes is read from its types. It is called with values of these types, and never on the loop's thread unless it is
asynchronous. Synchronous methods of one object run one after another: such objects are seldom written for several threads.
"""

import asyncio
import importlib
import inspect
import json
import logging
import re
import sys
import types
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from bot.clock import SystemClock
from bot.errors import NotSent, Refused, Uncertain
from bot.ports import Clock
from bot.tools.action import Arguments, Declared, Effect, Reply
from bot.tools.schemas import storable
from bot.tools.signature import KEY as KEY
from bot.tools.signature import SAID_CHARS, Inputs, Target, called, faults
from bot.tools.threads import in_thread, lane_of

log = logging.getLogger(__name__)

LOOK_UP = "look_up"
UNSHOWN = "It was carried out. Its result cannot be shown."


_TARGET = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<path>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")


def resolve(target: str, folder: Path) -> Target:
    """The function or method that "package.module:object.method" names. Modules are looked for in `folder` first. Imports, and so runs,
    the module. Raises ValueError, with words for the operator."""
    named = _TARGET.fullmatch(target)
    if named is None:
        raise ValueError(
            f'"{target}" does not name a function: it is written "package.module:function" or "module:object.method"'
        )
    found: Any = _imported(named["module"], folder)
    owner: Any = None
    for name in named["path"].split("."):
        owner = found
        try:
            found = getattr(owner, name)
        except AttributeError:
            raise ValueError(f'"{target}": there is no {name} in {called(owner)}') from None
    if inspect.isclass(found) or not callable(found):
        raise ValueError(f'"{target}" is {"a class" if inspect.isclass(found) else "a value"}, not a function')
    if inspect.isclass(owner) and not inspect.ismethod(found) and not _is_static(owner, found):
        raise ValueError(f'"{target}" needs an object: make one in the module, and name its method')
    return found  # type: ignore[no-any-return]  # any callable is a Target


def methods(toolkit: object) -> tuple[str, ...]:
    """The public methods of an object that can be actions, in the order they are written in: those whose every parameter has a type. Reads
    no property."""
    names = dict.fromkeys(name for each in reversed(type(toolkit).__mro__) for name in vars(each))
    return tuple(
        name for name in names if not name.startswith(("_", LOOK_UP)) and _is_typed_method(type(toolkit), toolkit, name)
    )


def declared(target: Target, clock: Clock | None = None) -> Declared:
    """What a function tells of itself: its docstring, its parameters, whether it takes a key or can be looked up. One parameter that is a
    pydantic model stands for its fields. Raises ValueError if a parameter cannot be told to a model."""
    inputs = Inputs(target)
    look_up = _look_up_of(target)
    for_look_up = Inputs(look_up) if look_up is not None else None
    if for_look_up is not None and (unknown := for_look_up.names - inputs.names):
        raise ValueError(f"{called(look_up)} takes {', '.join(sorted(unknown))}, which {called(target)} does not")
    effect = Effect.KEYED if inputs.has_key else Effect.CHECKABLE if look_up is not None else None
    return Declared(
        description=inputs.description,
        parameters=inputs.parameters,
        endpoint=PythonEndpoint(inputs, for_look_up, clock or SystemClock()),
        given=inputs.given,
        origin=f"python {called(target)}",
        effect=effect,
    )


class PythonEndpoint:
    """Calls one function. A ValueError or a Refused that it raises is its refusal: it must have done nothing then. NotSent and Uncertain
    pass; after anything else nobody knows.

    A synchronous function cannot be stopped: after a timeout it goes on running in its thread, which is why that is Uncertain."""

    def __init__(self, inputs: "Inputs", look_up: "Inputs | None", clock: Clock) -> None:
        self._inputs = inputs
        self._look_up = look_up
        self._clock = clock
        self._lane = lane_of(inputs.target)

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        try:
            given = self._inputs.typed(arguments, key)
        except ValueError as error:
            return Reply(_refusal(error), is_refused=True)
        try:
            return Reply(_shown(await self._run(self._inputs, given, within_s)))
        except (
            json.JSONDecodeError,
            UnicodeError,
            ValidationError,
        ) as error:  # of something that was read: by then it may have happened
            raise self._unknown(error) from error
        except (ValueError, Refused) as error:
            return Reply(_refusal(error), is_refused=True)
        except (NotSent, Uncertain):
            raise
        except Exception as error:  # whatever the function raises
            raise self._unknown(error) from error

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        """What the function for looking up returns; None is "it never happened". Whatever it raises says nothing about the call."""
        look_up = self._look_up
        if look_up is None:
            raise Uncertain(f"{self._inputs.name} cannot be looked up")
        try:
            given = look_up.typed({name: value for name, value in arguments.items() if name in look_up.names}, key)
            found = await self._run(look_up, given, within_s)
        except Uncertain:
            raise
        except Exception as error:  # whatever the function raises
            raise self._unknown(error) from error
        return None if found is None else Reply(_shown(found))

    async def _run(self, inputs: "Inputs", given: Mapping[str, Any], within_s: float) -> Any:
        """Its result. Raises what it raises, NotSent while its turn has not come, Uncertain when it takes too long."""
        call = partial(inputs.target, **given)
        has_begun = False
        try:
            async with self._clock.timeout(within_s):
                if inputs.is_async:
                    has_begun = True
                    return await _awaited(call(), inputs.name)
                await self._lane.acquire()
                has_begun = True
                made = await in_thread(call, self._lane, inputs.name)
                return await _awaited(made, inputs.name) if inspect.isawaitable(made) else made
        except TimeoutError as error:
            if not has_begun:
                raise NotSent(f"{inputs.name} is still busy with earlier calls") from error
            raise Uncertain(f"{inputs.name} took longer than {within_s:g} s") from error

    def _unknown(self, error: Exception) -> Uncertain:
        log.error("the function %s failed", self._inputs.name, exc_info=error)
        return Uncertain(f"{self._inputs.name} failed with {type(error).__name__}; the log has more")


async def _awaited(running: Awaitable[Any], name: str) -> Any:
    """Its result. What would end the process, or pass for the end of the turn that waits, is one call that failed."""
    try:
        return await running
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise Uncertain(f"{name} was cancelled from within") from error
    except (SystemExit, KeyboardInterrupt) as error:
        raise Uncertain(f"{name} ended with {type(error).__name__}") from error


def _look_up_of(target: Target) -> Target | None:
    """The function that finds out what became of a call: `look_up` on it, or `look_up_NAME` of the same object."""
    owner = getattr(target, "__self__", None)
    beside = None if owner is None else getattr(owner, f"{LOOK_UP}_{getattr(target, '__name__', '')}", None)
    if callable(beside):
        return beside  # type: ignore[no-any-return]  # any callable is a Target
    own = getattr(target, LOOK_UP, None)
    if not callable(own):
        return None
    return types.MethodType(own, owner) if inspect.isfunction(own) and owner is not None else own


def _is_typed_method(kind: type, toolkit: object, name: str) -> bool:
    if not inspect.isroutine(inspect.getattr_static(kind, name, None)):
        return False
    try:
        Inputs(getattr(toolkit, name))
    except ValueError:
        return False
    return True


def _imported(module: str, folder: Path) -> Any:
    with _first_on_path(folder):
        importlib.invalidate_caches()
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
                raise ValueError(
                    f"there is no Python module {module} in {folder}, nor among what is installed"
                ) from error
            raise ValueError(f"the Python module {module} cannot be imported: {error}") from error
        except (Exception, SystemExit) as error:  # whatever the module does when it is imported
            log.exception("the Python module %s cannot be imported", module)
            raise ValueError(
                f"the Python module {module} cannot be imported: {type(error).__name__}: {error}"
            ) from error


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        with suppress(ValueError):  # the module took it away itself
            sys.path.remove(place)


def _is_static(owner: type, found: object) -> bool:
    return isinstance(inspect.getattr_static(owner, getattr(found, "__name__", ""), None), staticmethod)


def _refusal(error: ValueError | Refused) -> str:
    if isinstance(error, Refused):
        return str(storable(error.detail[:SAID_CHARS]))
    if isinstance(error, ValidationError):
        return faults(error, "")
    return str(storable(str(error)[:SAID_CHARS])) or "it was refused"


def _shown(value: object) -> Any:
    """The result as JSON. What JSON has no form for is named by its type."""
    try:
        return storable(to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="null", fallback=_kind))
    except (ValueError, TypeError, RecursionError) as error:
        log.warning("the result of a function cannot be shown: %s", type(error).__name__)
        return UNSHOWN


def _kind(value: object) -> str:
    return f"({type(value).__name__})"
