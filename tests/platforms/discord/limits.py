"""What Discord documents as its limits, and how it says no.

Sources, all under https://docs.discord.com/developers: `resources/message` (messages, nonce, embeds, flags), `components/reference`
(buttons, rows, selects), `interactions/receiving-and-responding` (3 seconds, 15 minutes), `interactions/application-commands`
(names, descriptions), `events/gateway` (heartbeats, identify, sends), `topics/rate-limits`, `topics/opcodes-and-status-codes`
(close codes and JSON error codes), `resources/channel` (threads, typing), `reference` (snowflakes, uploads, signed attachment URLs).
"""

from typing import Any

Json = dict[str, Any]  # JSON is untyped by nature

EPOCH_MS = 1_420_070_400_000  # reference#snowflakes

CONTENT_CHARS = 2000  # resources/message#create-message: content; in code points (discord/discord-api-docs#1315)
V2_TEXT_CHARS = 4000  # components/reference#text-display: over all of a message's text displays
NONCE_CHARS = 25  # resources/message#create-message: nonce
NONCE_WINDOW_S = 180.0  # resources/message#create-message says "the past few minutes"
EMBEDS = 10  # resources/message#create-message
EMBED_FIELDS = 25  # resources/message#embed-object-embed-limits, as the next ones
EMBED_TEXTS = {"title": 256, "description": 4096}
FIELD_TEXTS = {"name": 256, "value": 1024}
EMBED_CHARS = 6000  # all texts of all embeds of a message
FILES = 10  # reference#uploading-files, the client's limit
FILE_BYTES = 10 * 1024 * 1024  # reference#uploading-files: the default for every app
LISTED_MESSAGES = 100  # resources/message#get-channel-messages

ROWS = 5  # components/reference#action-row, legacy messages
BUTTONS_A_ROW = 5  # components/reference#action-row
V2_COMPONENTS = 40  # components/reference#component-object
CUSTOM_ID_CHARS = 100  # components/reference#button
LABEL_CHARS = 80  # components/reference#button
OPTIONS = 25  # components/reference#string-select
OPTION_CHARS = 100  # components/reference#string-select: label, value and description
PLACEHOLDER_CHARS = 150  # components/reference#string-select
MODAL_TITLE_CHARS = 45  # interactions/receiving-and-responding#modal
MODAL_ROWS = 5  # interactions/receiving-and-responding#modal
INPUT_CHARS = 4000  # components/reference#text-input: max_length
INPUT_HINT_CHARS = 100  # components/reference#text-input: placeholder
FIELD_LABEL_CHARS = 45  # components/reference#label

ANSWER_S = 3.0  # interactions/receiving-and-responding: the first response
TOKEN_S = 15 * 60.0  # interactions/receiving-and-responding: every later one

COMMAND_NAME_CHARS = 32  # interactions/application-commands
COMMAND_TEXT_CHARS = 100  # interactions/application-commands
COMMANDS = 100  # interactions/application-commands

THREAD_NAME_CHARS = 100  # resources/channel#start-thread-from-message
ARCHIVE_MINUTES = (60, 1440, 4320, 10080)  # resources/channel#channel-object: auto_archive_duration
TYPING_S = 10.0  # resources/channel#trigger-typing-indicator

HEARTBEAT_MS = 41_250  # events/gateway-events#hello, the usual value
GATEWAY_BYTES = 4096  # events/gateway#sending-events
GATEWAY_SENDS = 120  # events/gateway#rate-limiting: in each 60 seconds
GATEWAY_SENDS_S = 60.0
IDENTIFIES_A_DAY = 1000  # events/gateway#session-start-limit-object
IDENTIFY_S = 5.0  # events/gateway#session-start-limit-object: max_concurrency in each 5 seconds

GLOBAL_REQUESTS = 50  # topics/rate-limits#global-rate-limit: a second
INVALID_REQUESTS = 10_000  # topics/rate-limits#invalid-request-limit: 401, 403 and 429 in 10 minutes
INVALID_REQUESTS_S = 600.0

FILE_URL_S = 24 * 3600.0  # reference#signed-attachment-cdn-urls: `ex`, a time of day later

# resources/message#message-object-message-flags
SUPPRESS_EMBEDS = 1 << 2
HAS_THREAD = 1 << 5
EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

# events/gateway#list-of-intents
GUILDS = 1 << 0
GUILD_MEMBERS = 1 << 1
GUILD_PRESENCES = 1 << 8
GUILD_MESSAGES = 1 << 9
GUILD_REACTIONS = 1 << 10
GUILD_TYPING = 1 << 11
DIRECT_MESSAGES = 1 << 12
DIRECT_REACTIONS = 1 << 13
DIRECT_TYPING = 1 << 14
MESSAGE_CONTENT = 1 << 15
ALL_INTENTS = (
    sum(1 << bit for bit in range(17)) | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
)  # those above, moderation and polls


class Denied(Exception):
    """A request that Discord answers with an error: the HTTP status, the JSON code and, for forms, which field is wrong."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.body: Json = {"message": message, "code": code}
        if errors:
            self.body["errors"] = errors


# topics/opcodes-and-status-codes#json
UNAUTHORIZED = Denied(401, 0, "401: Unauthorized")
NOT_FOUND = Denied(404, 0, "404: Not Found")
UNKNOWN_CHANNEL = Denied(404, 10003, "Unknown Channel")
UNKNOWN_GUILD = Denied(404, 10004, "Unknown Guild")
UNKNOWN_MEMBER = Denied(404, 10007, "Unknown Member")
UNKNOWN_MESSAGE = Denied(404, 10008, "Unknown Message")
UNKNOWN_USER = Denied(404, 10013, "Unknown User")
UNKNOWN_EMOJI = Denied(400, 10014, "Unknown Emoji")
UNKNOWN_WEBHOOK = Denied(404, 10015, "Unknown Webhook")
UNKNOWN_INTERACTION = Denied(404, 10062, "Unknown interaction")
UNKNOWN_COMMAND = Denied(404, 10063, "Unknown application command")
TOO_LARGE = Denied(413, 40005, "Request entity too large")
ALREADY_ANSWERED = Denied(400, 40060, "Interaction has already been acknowledged.")
MISSING_ACCESS = Denied(403, 50001, "Missing Access")
NOT_IN_DIRECT = Denied(403, 50003, "Cannot execute action on a DM channel")
NOT_YOURS = Denied(403, 50005, "Cannot edit a message authored by another user")
EMPTY_MESSAGE = Denied(400, 50006, "Cannot send an empty message")
CANNOT_WRITE_TO_USER = Denied(403, 50007, "Cannot send messages to this user")
MISSING_PERMISSIONS = Denied(403, 50013, "Missing Permissions")
BAD_TOKEN = Denied(401, 50027, "Invalid Webhook Token")
BAD_JSON = Denied(400, 50109, "The request body contains invalid JSON.")
TOO_MANY_EDITS = Denied(429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later.")
ARCHIVED = Denied(400, 50083, "Thread is archived")
HAS_THREAD_ALREADY = Denied(400, 160004, "A thread has already been created for this message")


def bad_form(field: str, code: str, message: str) -> Denied:
    """One wrong field, named by its path with dots."""
    errors: Json = {"_errors": [{"code": code, "message": message}]}
    for name in reversed(field.split(".")):
        errors = {name: errors}
    return Denied(400, 50035, "Invalid Form Body", errors)


def too_long(field: str, limit: int) -> Denied:
    return bad_form(field, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def bad_length(field: str, least: int, most: int) -> Denied:
    return bad_form(field, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")


BAD_ID = bad_form("id", "NUMBER_TYPE_COERCE", "Value is not snowflake.")
OWN_FAULTS = (30032, 40005, 50006, 50035, 50109)
"""Errors that only a bot's own mistake can bring about."""
