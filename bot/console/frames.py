"""What the console's server and page say to each other. All of it is JSON; times are UTC milliseconds; every key is always there.

HTTP, under `/console/api` (a refusal is 4xx with {code, detail}, `detail` a plain sentence; 401: sign in):

- `POST sign-in` {name, password, code} -> {operator: Me, csrf}, and the cookie. `POST accept-invite` {code, password} -> {otpauth, secret}.
  `POST confirm` {code, totp} -> {ok, name}. `POST sign-out` -> {ok}. Every other POST carries the header `X-CSRF`.
- `GET me` -> {operator: Me, csrf, operators: [{id, name, role, presence, teams, skills, languages, load, capacity}], teams: [text],
  canned: [{name, text, channels}], hours: {is_open, next_opening_ms | null}, now_ms}. Me = {id, name, role, presence, teams, rights: [text]}.
- `GET inbox?filter=mine|waiting|all|ended&q=TEXT&before=NEXT&limit=N` -> {rows: [Row], more, next}. The latest first; `before` is the
  `next` of the page before.
- `GET conversations/ID` -> {row: Row, entries: [Entry], more_before, context: Context}.
  `GET conversations/ID/entries?before=SEQ` -> {entries, more_before}.
- `GET turns/TURN` -> the trace, as `frontdesk trace --json` prints it. `GET passages/ID` -> {id, title, text, url}.
- `GET files/MESSAGE/BLOB` -> the file; only pictures are shown in place, everything else is to be saved.
- `POST command` {conversation, line, key, attachments?: [blob], suggestion?} -> Told {text, warning, message, suggestion}. The same key again
  gives the same answer and does nothing. A line without `!` is a note; `!suggest drop` with a `suggestion` drops it.
- `POST upload` (the file itself; its name in `X-Name`, percent-encoded) -> {blob, name, media_type, size_bytes}.
- `POST presence` {presence: online|away|offline} -> {operator: Me}.
- `POST facts/forget` {conversation, fact} -> {ok}: a wrong fact goes, with what it took the place of.
- `GET users/ID` -> {user, confirm, identities: [{identity, account, name, verified}], counts: {}, holds: [{identity, reason, since_ms,
  asked_ms}]}. `GET users/ID/export` -> a ZIP. `POST prove` {password, code} -> {ok}; for ten minutes after it `POST users/ID/erase` {reason,
  typed: the `confirm` of the user} -> the receipt, as `frontdesk user erase --json` prints it. ID is of a user or an identity.
- `GET knowledge` -> {is_ready, sources: [{name, kind, language, audience, documents, state | null}], documents: [{name, shown, file ("" for
  what was not uploaded), source, title, passages, is_searchable, size_bytes, modified_ms}], passed_over: [text], audiences, most_bytes}.
  `GET knowledge/why?q=TEXT` -> {words, found: [Passage with {score, coverage, likeness | null, holds, lacks}]}.
- `POST knowledge/upload` (the file; `X-Name`, `X-Language`, `X-Audience`, `X-Replace: 1`) -> {name, shown}; 409 where there is one of that name.
  `POST knowledge/delete` {name: the `file`} -> {ok}. `GET knowledge/files/FILE` -> the file as it came.

Row = {conversation, case, handoff, channel, account, user: {name, identity}, stage, owner, operator: {id, name} | null, offered_to (an
operator's id), line, line_author, at_ms, waiting_since_ms | null, deadline: {kind, due_ms, is_missed} | null, window_end_ms | null (when the
channel stops to take free text), priority (-1 low to 2 urgent), tags: [text], team, reason, origin, lookers: [name], is_open, is_blocked}.
`stage` and `handoff` are "" where nobody was asked for in this case.

Entry = {seq, id, author, name, text, at_ms, visibility: public|note, case, attachments: [{blob, name, media_type, size_bytes, transcript,
problem}], citations: [{number, title, url, passage}], buttons: [label], feedback, turn, delivery: ""|planned|sending|sent|delivered|read|
failed|held|unknown, is_edited, is_deleted, card: Card | null}, or a line of the log {log, id, seq, at_ms, actor, actor_name, what, detail,
turn}: it stands behind the message `seq`.

Card = {id, kind: consent|unknown, text, state, is_open, action, action_id, effect, arguments: {}, facts: {}, amount, detail, turn,
decided_by, why, created_ms, expires_ms | null, decided_ms | null, seq, agreed?: [{kind, by}]}. Its commands: `!approve ID`, `!refuse ID`;
`!happened ID`, `!did-not ID`, `!mine ID`.

Context = {user: {name, identity, channel, verified, language, time_zone, since_ms, contact, is_blocked, is_stopped}, brief: {}, cases: [{id,
opened_ms, ended_ms | null, title, outcome, feedback, summary}], tags, watchers: [{id, name}], consents: [Card], queue: [Card], timers: [{kind,
since_ms, due_ms, acted_ms | null}], suggestion: {id, seq, operator: {id, name}, text, citations, created_ms} | null, memory: {is_private, facts: [{id, kind,
about, value, confidence, message, seq, conversation, since_ms, expires_ms, before: [{value, since_ms, until_ms}]}], episodes: [{id, case,
conversation, text, ended_ms}], accounts: [{identity, channel, account, name, is_verified, is_here}]}}: empty where others read along.

The socket, `/console/ws`. The page says {type: open, conversation}, {type: shut, conversation}, {type: typing, conversation}. The server says:

- {type: rows, rows: [Row], gone: [conversation]}: what has changed, everything of a tenth of a second in one frame.
- {type: entries, conversation, entries: [Entry], lookers: [{id, name, is_typing}], is_user_typing, context?: Context}, of what is open: what is
  new or has changed, to be put in the place of what has the same `id`; first the newest ones, then as it happens.
- {type: consents, count}: how many consents wait for an operator.
- {type: notice, id, conversation, case, text, at_ms}: something happened that this operator asked to be told of, or was named in. Those of the
  last ten minutes come again when a console is opened: the page shows each `id` once.
- {type: gone, conversation}: what was to be opened is not there.
- {type: overflow}: too much has happened; read everything again.

Closing codes: 4401 sign in again, 1013 too slow, come back; 1008 not as described here.
"""

import json
from typing import Any, Final

from bot.errors import Refused
from bot.handoff.notice import Notice

SIGNED_OUT: Final = 4401
TOO_SLOW: Final = 1013
POLICY: Final = 1008
FRAME_BYTES: Final = 8_192  # of the page: it only names conversations

OPEN, SHUT, TYPING = "open", "shut", "typing"
_TYPES: Final = (OPEN, SHUT, TYPING)
_ID_CHARS: Final = 64


def framed(value: object) -> bytes:
    """JSON as one unmasked web socket text frame (RFC 6455, 5.2)."""
    data = encoded(value)
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


def encoded(value: object) -> bytes:
    """Text from outside may hold lone surrogates: they become question marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def closing(code: int) -> bytes:
    """A web socket close frame."""
    return b"\x88\x02" + code.to_bytes(2, "big")


def rows(changed: list[dict[str, Any]], gone: list[str]) -> bytes:
    return framed({"type": "rows", "rows": changed, "gone": gone})


def consents(count: int) -> bytes:
    return framed({"type": "consents", "count": count})


def notice(told: Notice) -> bytes:
    return framed(
        {
            "type": "notice",
            "id": f"{told.conversation}:{told.number}",
            "conversation": told.conversation,
            "case": told.case,
            "text": told.text,
            "at_ms": told.at_ms,
        }
    )


def gone(conversation: str) -> bytes:
    return framed({"type": "gone", "conversation": conversation})


OVERFLOW: Final = framed({"type": "overflow"})


def parse(text: str) -> tuple[str, str]:
    """The type and the conversation of a page's frame. Raises Refused."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    kind, conversation = (frame.get("type"), frame.get("conversation")) if isinstance(frame, dict) else ("", "")
    if kind not in _TYPES or not isinstance(conversation, str) or not 0 < len(conversation) <= _ID_CHARS:
        raise Refused("bad_frame", "A frame is open, shut or typing, and names a conversation.")
    return str(kind), conversation
