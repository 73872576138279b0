"""What the body of a message, a command or a modal may hold. Each check raises the error that Discord gives; what Discord takes, and is
still no good manners in a bot, is told by `manners`."""

import re
from collections.abc import Iterable

from tests.platforms.discord import limits
from tests.platforms.discord.limits import Denied, Json, bad_form, bad_length, too_long
from tests.platforms.discord.things import TEXT_DISPLAY, Mentions, Message, children, texts_in, walk

# components/reference#component-object-component-types
ROW, BUTTON, SELECT, INPUT, LABEL = 1, 2, 3, 4, 18
SELECTS = (3, 5, 6, 7, 8)
LINK, PREMIUM = 5, 6  # components/reference#button-button-styles

_URL = re.compile(r"https?://[^\s<>]+[^\s<>.,)\]]")
_HIDDEN_URL = re.compile(r"<https?://[^\s<>]+>")
_COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")


def check_message(body: Json, *, has_files: bool, is_edit: bool = False, old: Message | None = None) -> None:
    """Raises Denied. An edit may leave everything out."""
    content = body.get("content")
    if content is not None and not isinstance(content, str | int | float):
        raise bad_form("content", "STRING_TYPE_CONVERT", "Could not interpret content as string.")
    if len(str(content or "")) > limits.CONTENT_CHARS:
        raise too_long("content", limits.CONTENT_CHARS)
    if len(str(body.get("nonce") or "")) > limits.NONCE_CHARS:
        raise too_long("nonce", limits.NONCE_CHARS)
    if len(body.get("embeds") or []) > limits.EMBEDS:
        raise too_long("embeds", limits.EMBEDS)
    _check_embeds(body.get("embeds") or [])
    flags = int(body.get("flags") or 0) | (old.flags if old else 0)
    check_components(body.get("components") or [], is_v2=bool(flags & limits.COMPONENTS_V2))
    if flags & limits.COMPONENTS_V2 and content:
        raise bad_form(
            "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "The 'content' field cannot be used"
        )
    check_allowed(body.get("allowed_mentions"))
    if not is_edit and not (clean(content) or has_files or body.get("embeds") or body.get("components")):
        raise limits.EMPTY_MESSAGE


def _check_embeds(embeds: list[Json]) -> None:
    """resources/message#embed-object-embed-limits."""
    size = 0
    for index, embed in enumerate(embeds):
        fields = embed.get("fields") or []
        if len(fields) > limits.EMBED_FIELDS:
            raise too_long(f"embeds.{index}.fields", limits.EMBED_FIELDS)
        texts = [(f"embeds.{index}", embed, limits.EMBED_TEXTS)]
        texts += [(f"embeds.{index}.fields.{n}", one, limits.FIELD_TEXTS) for n, one in enumerate(fields)]
        for path, part, most in texts:
            for name, chars in most.items():
                text = str(part.get(name) or "")
                size += len(text)
                if len(text) > chars or (part is not embed and not text.strip()):
                    raise bad_length(f"{path}.{name}", 1, chars)
    if size > limits.EMBED_CHARS:
        raise too_long("embeds", limits.EMBED_CHARS)


def clean(content: object) -> str:
    """Discord strips the white space around a message, and characters that are none (reference#message-formatting, the note on
    stripped characters)."""
    text = "" if content is None else str(content)
    return text.encode("utf-8", "ignore").decode().replace("\x00", "").strip()


def check_allowed(allowed: Json | None) -> None:
    """resources/message#allowed-mentions-object: a kind may be in `parse` or listed, not both; at most 100 each."""
    if allowed is None:
        return
    for kind in allowed.get("parse") or []:
        if kind not in ("roles", "users", "everyone"):
            raise bad_form(
                "allowed_mentions.parse.0", "BASE_TYPE_CHOICES", "Value must be one of roles, users, everyone."
            )
        if kind != "everyone" and allowed.get(kind):
            raise bad_form("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", f"parse:{kind} and {kind}")
    for kind in ("users", "roles"):
        if len(allowed.get(kind) or []) > 100:
            raise too_long(f"allowed_mentions.{kind}", 100)


def pinged(text: str, allowed: Json | None) -> Mentions:
    """Whom a message pings after its allowed_mentions; without them, everybody it names."""
    named = Mentions.of(text)
    if allowed is None:
        return named
    parse = allowed.get("parse") or []
    users, roles = ({int(id_) for id_ in allowed.get(kind) or []} for kind in ("users", "roles"))
    return Mentions(
        tuple(id_ for id_ in named.users if "users" in parse or id_ in users),
        tuple(id_ for id_ in named.roles if "roles" in parse or id_ in roles),
        named.is_everyone and "everyone" in parse,
    )


# --- components ----------------------------------------------------------------------------------------------------


def check_components(components: list[Json], *, is_v2: bool) -> None:
    everything = walk(components)
    if is_v2:
        _check_v2(components, everything)
    else:
        _check_rows(components)
    custom_ids = [str(c["custom_id"]) for c in everything if "custom_id" in c]
    for index, component in enumerate(everything):
        _check_component(f"components.{index}", component)
    if len(set(custom_ids)) != len(custom_ids):
        raise bad_form("components", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")


def _check_v2(components: list[Json], everything: list[Json]) -> None:
    if len(everything) > limits.V2_COMPONENTS:
        raise bad_length("components", 1, limits.V2_COMPONENTS)
    if sum(map(len, texts_in(components))) > limits.V2_TEXT_CHARS:
        raise too_long("components", limits.V2_TEXT_CHARS)


def _check_rows(components: list[Json]) -> None:
    if len(components) > limits.ROWS:
        raise bad_length("components", 1, limits.ROWS)
    for index, row in enumerate(components):
        if row.get("type") != ROW:
            raise bad_form(
                f"components.{index}.type", "UNION_TYPE_CHOICES", "Value of field 'type' must be one of (1,)."
            )


def _check_component(path: str, component: Json) -> None:
    kind = component.get("type")
    if kind == ROW:
        _check_row(path, children(component))
    elif kind == BUTTON:
        _check_button(path, component)
    elif kind in SELECTS:
        _check_select(path, component)
    elif kind == TEXT_DISPLAY and not component.get("content"):
        raise bad_length(f"{path}.content", 1, limits.V2_TEXT_CHARS)


def _check_row(path: str, inner: list[Json]) -> None:
    if not 1 <= len(inner) <= limits.BUTTONS_A_ROW:
        raise bad_length(f"{path}.components", 1, limits.BUTTONS_A_ROW)
    if len(inner) > 1 and any(component.get("type") in SELECTS for component in inner):
        raise bad_form(
            f"{path}.components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width"
        )


def _check_button(path: str, button: Json) -> None:
    if len(button.get("label") or "") > limits.LABEL_CHARS:
        raise too_long(f"{path}.label", limits.LABEL_CHARS)
    if not button.get("label") and not button.get("emoji"):
        raise bad_form(path, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button needs a label or an emoji")
    if button.get("style") == LINK:
        if not str(button.get("url", "")).startswith(("http://", "https://", "discord://")):
            raise bad_form(
                f"{path}.url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https', 'discord')."
            )
        return
    if button.get("style") not in (1, 2, 3, 4, PREMIUM):
        raise bad_form(f"{path}.style", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4, 5, 6}.")
    _check_custom_id(path, button)


def _check_select(path: str, select: Json) -> None:
    _check_custom_id(path, select)
    if len(select.get("placeholder") or "") > limits.PLACEHOLDER_CHARS:
        raise too_long(f"{path}.placeholder", limits.PLACEHOLDER_CHARS)
    if select.get("type") != SELECT:
        return
    options = select.get("options") or []
    if not 1 <= len(options) <= limits.OPTIONS:
        raise bad_length(f"{path}.options", 1, limits.OPTIONS)
    for index, option in enumerate(options):
        for name in ("label", "value"):
            if not 1 <= len(str(option.get(name) or "")) <= limits.OPTION_CHARS:
                raise bad_length(f"{path}.options.{index}.{name}", 1, limits.OPTION_CHARS)
        if len(option.get("description") or "") > limits.OPTION_CHARS:
            raise too_long(f"{path}.options.{index}.description", limits.OPTION_CHARS)
    values = [option["value"] for option in options]
    if len(set(values)) != len(values):
        raise bad_form(
            f"{path}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used"
        )


def _check_custom_id(path: str, component: Json) -> None:
    if not 1 <= len(str(component.get("custom_id") or "")) <= limits.CUSTOM_ID_CHARS:
        raise bad_length(f"{path}.custom_id", 1, limits.CUSTOM_ID_CHARS)


# --- modals and commands --------------------------------------------------------------------------------------------


def check_modal(data: Json) -> None:
    if not 1 <= len(str(data.get("title") or "")) <= limits.MODAL_TITLE_CHARS:
        raise bad_length("data.title", 1, limits.MODAL_TITLE_CHARS)
    _check_custom_id("data", data)
    if not 1 <= len(data.get("components") or []) <= limits.MODAL_ROWS:
        raise bad_length("data.components", 1, limits.MODAL_ROWS)
    if sum(map(len, texts_in(data["components"]))) > limits.V2_TEXT_CHARS:
        raise too_long("data.components", limits.V2_TEXT_CHARS)
    for index, component in enumerate(walk(data["components"])):
        path = f"data.components.{index}"
        if component.get("type") == LABEL and not 1 <= len(component.get("label") or "") <= limits.FIELD_LABEL_CHARS:
            raise bad_length(f"{path}.label", 1, limits.FIELD_LABEL_CHARS)
        if component.get("type") == INPUT:
            _check_input(path, component)


def _check_input(path: str, field: Json) -> None:
    _check_custom_id(path, field)
    if field.get("style") not in (1, 2):
        raise bad_form(f"{path}.style", "BASE_TYPE_CHOICES", "Value must be one of {1, 2}.")
    if len(field.get("placeholder") or "") > limits.INPUT_HINT_CHARS:
        raise too_long(f"{path}.placeholder", limits.INPUT_HINT_CHARS)
    if not 1 <= int(field.get("max_length") or limits.INPUT_CHARS) <= limits.INPUT_CHARS:
        raise bad_form(f"{path}.max_length", "NUMBER_TYPE_MAX", "int value should be between 1 and 4000.")


def check_commands(commands: Iterable[Json]) -> None:
    commands = list(commands)
    if len(commands) > limits.COMMANDS:
        raise Denied(400, 30032, f"Maximum number of application commands reached ({limits.COMMANDS})")
    for index, command in enumerate(commands):
        name, kind = str(command.get("name") or ""), int(command.get("type") or 1)
        if kind == 1 and (not _COMMAND_NAME.fullmatch(name) or name != name.lower()):
            raise bad_form(f"{index}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
        if not 1 <= len(name) <= limits.COMMAND_NAME_CHARS:
            raise bad_length(f"{index}.name", 1, limits.COMMAND_NAME_CHARS)
        if kind == 1 and not 1 <= len(str(command.get("description") or "")) <= limits.COMMAND_TEXT_CHARS:
            raise bad_length(f"{index}.description", 1, limits.COMMAND_TEXT_CHARS)


# --- manners --------------------------------------------------------------------------------------------------------


def manners(body: Json, text: str, *, is_quiet: bool) -> list[str]:
    """What is wrong with a message of the bot that Discord would take: pings, and links that would unfold. `is_quiet`: its embeds are
    suppressed already. A body that changes no text can ping nobody."""
    wrong = []
    whom = pinged(text, body.get("allowed_mentions"))
    if says_something(body) and (whom.users or whom.roles or whom.is_everyone):
        wrong.append(f"pings {whom} by {text[:80]!r}")
    if says_something(body) and body.get("allowed_mentions") is None:
        wrong.append(f"mentions are left to the default in {text[:80]!r}")
    if _URL.search(_HIDDEN_URL.sub("", text)) and not is_quiet:
        wrong.append(f"embeds are not suppressed in {text[:80]!r}")
    return wrong


def says_something(body: Json) -> bool:
    return bool(body.get("content") or texts_in(body.get("components") or []))
