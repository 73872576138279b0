"""What the body of a message, a modal or a command may hold: each limit from both sides."""

from typing import Any

import pytest

from tests.platforms.discord import forms, limits
from tests.platforms.discord.limits import Denied, Json
from tests.platforms.discord.things import Mentions


def button(**fields: Any) -> Json:
    return {"type": 2, "style": 2, "label": "Yes", "custom_id": "yes", **fields}


def select(*options: Json, **fields: Any) -> Json:
    return {"type": 3, "custom_id": "pick", "options": list(options), **fields}


def option(value: str = "1", **fields: Any) -> Json:
    return {"label": "One", "value": value, **fields}


def row(*inner: Json) -> Json:
    return {"type": 1, "components": list(inner)}


def said(text: str) -> Json:
    return {"type": 10, "content": text}


@pytest.mark.parametrize(
    "components",
    [
        [row(button())],
        [row(button(label=None, emoji={"name": "👍"}))],
        [row({"type": 2, "style": 5, "label": "Read", "url": "https://example.com"})],
        [row(select(*(option(str(n)) for n in range(25))))],
        [row(*(button(custom_id=str(n)) for n in range(5)))],
    ],
)
def test_what_discord_takes_passes(components: list[Json]) -> None:
    forms.check_components(components, is_v2=False)


@pytest.mark.parametrize(
    "components",
    [
        [button()],
        [row()],
        [row(*(button(custom_id=str(n)) for n in range(6)))],
        [row(button(custom_id=str(n))) for n in range(6)],
        [row(button(), button())],
        [row(button(label=""))],
        [row(button(style=9))],
        [row(button(custom_id=""))],
        [row({"type": 2, "style": 5, "label": "Read", "url": "javascript:alert(1)"})],
        [row(select())],
        [row(select(*(option(str(n)) for n in range(26))))],
        [row(select(option(), option()))],
        [row(select(option(label="")))],
        [row(select(option(description="x" * 101)))],
        [row(select(option(), placeholder="x" * 151))],
        [row(select(option()), button())],
    ],
)
def test_what_discord_refuses_is_refused(components: list[Json]) -> None:
    with pytest.raises(Denied) as refused:
        forms.check_components(components, is_v2=False)
    assert refused.value.body["code"] == 50035


@pytest.mark.parametrize(
    ("components", "is_taken"),
    [
        ([said("x" * 4000)], True),
        ([said("x" * 2001), said("x" * 2000)], False),
        ([said("")], False),
        ([said(str(n)) for n in range(41)], False),
        ([{"type": 17, "components": [said("in a container"), row(button())]}], True),
    ],
)
def test_messages_of_components_alone_have_limits_of_their_own(components: list[Json], is_taken: bool) -> None:
    body: Json = {"flags": limits.COMPONENTS_V2, "components": components}
    if is_taken:
        forms.check_message(body, has_files=False)
    else:
        with pytest.raises(Denied):
            forms.check_message(body, has_files=False)


@pytest.mark.parametrize(
    "body",
    [
        {"content": {}},
        {"content": "x", "embeds": [{}] * 11},
        {"content": "x", "allowed_mentions": {"parse": ["all"]}},
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        {"content": "x", "allowed_mentions": {"users": ["1"] * 101}},
        {"content": "x", "flags": limits.COMPONENTS_V2, "components": [said("y")]},
    ],
)
def test_odd_messages_are_refused(body: Json) -> None:
    with pytest.raises(Denied):
        forms.check_message(body, has_files=False)


@pytest.mark.parametrize(
    ("allowed", "users", "roles", "is_everyone"),
    [
        (None, (1, 2), (3,), True),
        ({"parse": []}, (), (), False),
        ({"parse": ["users"]}, (1, 2), (), False),
        ({"parse": [], "users": ["2"], "roles": ["3"]}, (2,), (3,), False),
        ({"parse": ["everyone"]}, (), (), True),
    ],
)
def test_f104_allowed_mentions_decide_who_is_pinged(
    allowed: Json | None, users: tuple[int, ...], roles: tuple[int, ...], is_everyone: bool
) -> None:
    assert forms.pinged("<@1> <@!2> <@&3> @here", allowed) == Mentions(users, roles, is_everyone)


@pytest.mark.parametrize(("text", "kept"), [("  hi \n", "hi"), ("a\x00b", "ab"), ("a\ud800b", "ab"), (None, "")])
def test_f58_what_is_no_text_is_stripped(text: str | None, kept: str) -> None:
    assert forms.clean(text) == kept


@pytest.mark.parametrize(
    "modal",
    [
        {"title": "", "custom_id": "m", "components": [said("x")]},
        {"title": "x" * 46, "custom_id": "m", "components": [said("x")]},
        {"title": "x", "custom_id": "", "components": [said("x")]},
        {"title": "x", "custom_id": "m", "components": []},
        {"title": "x", "custom_id": "m", "components": [said("x")] * 6},
        {"title": "x", "custom_id": "m", "components": [said("x" * 4001)]},
    ],
)
def test_modals_have_limits(modal: Json) -> None:
    forms.check_modal({"title": "x" * 45, "custom_id": "m", "components": [said("x")]})
    with pytest.raises(Denied):
        forms.check_modal(modal)


@pytest.mark.parametrize(
    "commands",
    [
        [{"name": "help", "description": "x"}] * 101,
        [{"name": "help", "description": ""}],
        [{"name": "help", "description": "x" * 101}],
        [{"name": "", "type": 3}],
    ],
)
def test_commands_have_limits(commands: list[Json]) -> None:
    forms.check_commands([{"name": "help", "description": "x" * 100}, {"name": "Ask a person", "type": 3}])
    with pytest.raises(Denied):
        forms.check_commands(commands)
