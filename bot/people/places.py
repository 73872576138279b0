"""Where something of a person stands, table by table: one list for export, erasure and the scan after it.

A test compares it with the database: a column that is not told of here cannot be added.
"""

from collections.abc import Mapping
from typing import Final

# What goes with a conversation in which nobody else has spoken, found by its conversation_id.
OF_CONVERSATION: Final = (
    "turns",
    "tool_calls",
    "steps",
    "outbox",
    "handoffs",
    "handoff_log",
    "blocks",
    "suggestions",
    "watchers",
    "notices",
    "incidents",
    "memory_lists",
    "answer_sources",
    "gap_asks",
    "room_cards",
    "cases",
    "messages",
)

# What goes with an identity wherever they have spoken, found by its identity_id.
OF_IDENTITY: Final = (
    *("contact_choices", "episodes", "facts", "memory_lists", "gap_asks"),
    *("link_codes", "holds", "speakers"),
)

# Columns that may hold words or names: what a person wrote, what was written of them, what they are called outside.
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("name", "language", "time_zone"),
    "identities": ("external_id", "name"),
    "conversations": ("chat", "thread"),
    "cases": ("outcome", "feedback", "summary"),
    "messages": (
        *("name", "text", "raw_hash", "attachments", "citations", "buttons", "feedback"),
        *("external_id", "error", "via", "mentions"),
    ),
    "early_changes": ("text",),
    "outbox": ("text", "external_id", "error"),
    "turns": ("outcome", "trace"),
    "tool_calls": ("call_id", "name", "arguments", "result"),
    "steps": ("text", "reasoning", "attempts"),
    "blobs": ("owner", "name", "sha256"),
    "incidents": ("subject", "detail"),
    "bookmarks": ("name", "value"),
    "contact_choices": ("word",),
    "actions": ("arguments", "facts", "object", "result", "detail"),
    "consents": ("text", "why"),
    "queue": ("subject", "detail", "why"),
    "handoffs": ("origin", "reason", "brief", "contact", "language"),
    "handoff_log": ("what", "detail"),
    "blocks": ("text",),
    "notices": ("what", "who"),
    "tags": ("tag",),
    "suggestions": ("text", "citations", "sent"),
    "commands_done": ("told",),
    "operator_links": ("external_id", "name"),
    "audit": ("detail", "subject", "actor"),
    "episodes": ("text", "words", "messages"),
    "facts": ("about", "value"),
    "memory_lists": ("items",),
    "document_versions": ("title", "path", "passages"),
    "cited_passages": ("title", "text"),
    "gap_drafts": ("title", "text"),
    "holds": ("reason", "put_away"),
    "erasures": ("reason", "receipt"),
    "meta": ("value",),
}

# Tables without anything of a person but ids, times, counts, or hashes under a key.
BARE: Final = frozenset(
    {
        "speakers",
        "answer_sources",
        "gaps",
        "gap_asks",
        "spend",
        "timers",
        "room_cards",
        "watchers",
        "operators",
        "operator_codes",
        "operator_sessions",
        "sign_in_failures",
        "link_codes",
        "tombstones",
    }
)
