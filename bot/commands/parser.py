"""The command line itself: every command, its arguments, and the help a stranger needs. Imports nothing heavy."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot import __version__

WELCOME = """\
Frontdesk answers your customers from your knowledge and hands over to people.

  frontdesk serve           start it; then open http://127.0.0.1:8080/
  frontdesk check-config    is config.toml right?
  frontdesk status          is it running, and is anything waiting?
  frontdesk trace last      what did the agent read, find and say in its latest turn?
  frontdesk backup FOLDER   copy all data, while it runs

frontdesk --help lists every command.
"""
NEXT = """\
what to do next:
  frontdesk serve           in the folder of config.toml, then open http://127.0.0.1:8080/
  frontdesk COMMAND --help  says what a command takes

exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 not running, 4 data folder unusable
"""

CONFIG = Path("config.toml")
_CASE = "an id of a case or conversation, or its beginning"
_ROLES = "viewer, agent, approver, admin or auditor"
_ACTS = {  # of `frontdesk handoff`: what it does, what it takes, how often
    "take": ("the conversation becomes yours", "", ""),
    "release": ("give it back to the queue", "", ""),
    "reply": ("write to the user", "TEXT", "+"),
    "note": ("a note that only operators read", "TEXT", "+"),
    "canned": ("send a prepared reply", "NAME", "+"),
    "done": ("your notes are finished", "", ""),
    "transfer": ("hand it to an operator or a team", "WHO", "+"),
    "snooze": ("put it off: 30m, 2h, 1d, 14:30 or 2026-12-24", "UNTIL", "+"),
    "wake": ("take it up again now", "", ""),
    "suggest": ("let the agent propose a reply", "", ""),
    "summarise": ("what happened so far", "", ""),
    "whisper": ("tell the agent something while it answers", "TEXT", "+"),
    "tag": ("add a tag", "TAG", "+"),
    "untag": ("remove a tag", "TAG", "+"),
    "priority": ("what comes first: low, normal, high or urgent", "LEVEL", "+"),
    "reopen": ("take up an ended case again", "", ""),
    "unblock": ("the opposite", "", ""),
}
_ENDS = {  # those with an option of their own
    "return": ("the agent goes on", "--instruction", "what the agent shall do"),
    "resolve": ("the case is solved", "--summary", "what it came to"),
    "block": ("neither read nor answer this user any more", "--reason", "why"),
}

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def build(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """For these words of a command line: where the first names a command, only its part is built, as a start waits for it; else every
    command. `command` in the result of parsing is "module:function" of `bot.commands`, or None."""
    parser = argparse.ArgumentParser(
        prog="frontdesk",
        description="A self-hosted support agent: answers from your knowledge, hands over to people.",
        epilog=NEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"frontdesk {__version__}", help="show the version and stop"
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    parts = {name: add for names, add in _parts().items() for name in names.split()}
    for add in [parts[words[0]]] if words and words[0] in parts else _parts().values():
        add(commands)
    return parser


def _parts() -> "dict[str, Callable[[Commands], None]]":
    """The commands, as the help lists them, with what adds them."""
    return {
        "serve check-config doctor": _add_running,
        "status turns trace incidents": _add_reading,
        "knowledge": _add_knowledge,
        "models": _add_models,
        "channels setup": _add_channels,
        "outbox": _add_outbox,
        "backup restore salvage": _add_keeping,
        "user": _add_users,
        "eval": _add_evaluation,
        "action": _add_actions,
        "consent queue audit": _add_decisions,
        "handoff": _add_handoff,
        "operator": _add_operators,
    }


def _add_running(commands: "Commands") -> None:
    _command(commands, "serve", "serve:run", "start everything and run until stopped")
    check = _command(commands, "check-config", "check_config:run", "list everything wrong with the config")
    what = "can the models carry N turns a minute? Or 10/s, 600/min, 36000/h"
    check.add_argument("--peak", metavar="N", type=_turns_a_minute, help=what)
    check.add_argument("--calls", metavar="N", type=_amount, help="with --peak: calls of a model in one turn")
    check.add_argument("--input-tokens", metavar="N", type=_amount, help="with --peak: tokens that one call reads")
    check.add_argument("--output-tokens", metavar="N", type=_amount, help="with --peak: tokens that one call writes")
    _as_listing(_command(commands, "doctor", "doctor:run", "is everything here that it needs on this machine?"))


def _add_reading(commands: "Commands") -> None:
    _as_listing(_command(commands, "status", "status:run", "is it running, and is anything waiting?"))
    _as_listing(_command(commands, "turns", "turns:run", "list the latest turns"), limit=20)
    trace = _as_listing(_command(commands, "trace", "trace:run", "show one turn: what was read, found, done and said"))
    trace.add_argument("turn", metavar="TURN", help='an id from "frontdesk turns", its beginning, or "last"')
    _as_listing(_command(commands, "incidents", "incidents:run", "list what somebody should look at"), limit=50)


def _add_knowledge(commands: "Commands") -> None:
    inner = _group(commands, "knowledge", "list the documents, or search them as the agent does")
    _as_listing(_command(inner, "list", "knowledge:run_list", "list every document"))
    search = _as_listing(_command(inner, "search", "knowledge:run_search", "find passages as the agent does"), limit=5)
    search.add_argument("query", metavar="QUERY", nargs="+", help="what a customer would ask")
    why = _as_listing(_command(inner, "why", "knowledge:run_why", "which words led to which passages"), limit=5)
    why.add_argument("query", metavar="QUESTION", nargs="+", help="what a customer would ask")
    _as_listing(
        _command(inner, "sources", "sources:run_sources", "where documents come from, and how each source fares")
    )
    sync = _as_listing(_command(inner, "sync", "sources:run_sync", "read sources now"))
    sync.add_argument("names", metavar="NAME", nargs="*", help="only these sources")
    sync.add_argument("--dry-run", action="store_true", help="tell what would change, and keep nothing")
    _add_source(_command(inner, "add", "sources:run_add", "write a source into the config"))
    _add_recall(
        _as_listing(_command(inner, "recall", "recall:run", "who was told what from a document, and since when"))
    )
    _add_gaps(inner)


def _add_recall(recall: argparse.ArgumentParser) -> None:
    recall.add_argument("document", metavar="DOC", help="its path, its name, or a part of it that fits no other")
    recall.add_argument(
        "--since", metavar="T", default="", help="told since: 2026-12-24, 2026-12-24T18:00 (UTC), 7d, 12h"
    )
    recall.add_argument("--before", metavar="VERSION", default="", help="told from older versions than this")
    recall.add_argument(
        "--queue", action="store_true", help="ask operators to look at each person who was told what stands no longer"
    )


def _add_gaps(commands: "Commands") -> None:
    gaps = _as_listing(_command(commands, "gaps", "gaps:run_list", "what people ask and the documents do not answer"))
    gaps.add_argument("--all", action="store_true", help="closed ones too")
    inner = gaps.add_subparsers(title="commands", metavar="COMMAND")
    kept = argparse.SUPPRESS  # what stood before the word holds
    for name, what in (
        ("show", "one gap, with its draft"),
        ("draft", "write a draft from what colleagues answered"),
        ("accept", "add the draft to the documents"),
        ("close", "there is nothing to write"),
    ):
        each = _command(inner, name, f"gaps:run_{name}", what, config=kept)
        each.add_argument("id", metavar="ID", help='an id from "frontdesk knowledge gaps", or its beginning')
        each.add_argument("--json", action="store_true", default=kept, help="print JSON")


def _add_source(add: argparse.ArgumentParser) -> None:
    kinds = ("folder", "website", "git", "notion", "drive", "youtube")
    add.add_argument("kind", metavar="KIND", choices=kinds, help=", ".join(kinds))
    add.add_argument("where", metavar="WHERE", nargs="*", help="its address or folder, or ids of databases or videos")
    add.add_argument("--name", metavar="NAME", required=True, help='small letters, digits and "-"')
    add.add_argument("--every-h", metavar="H", type=_hours, help="hours between two syncs")
    add.add_argument("--playlist", metavar="ID", default="", help="youtube: the playlist")
    add.add_argument("--branch", metavar="NAME", default="", help="git: the branch (default: the main one)")
    add.add_argument("--path", metavar="FOLDER", default="", help="git: only what lies in this folder")
    add.add_argument("--key-file", metavar="FILE", default="", help="drive: the service account's key")
    add.add_argument("--secret", metavar="NAME", default="", help="notion, youtube: what the secret is called in .env")
    add.add_argument("--language", metavar="XX", default="", help='the documents\' language, such as "de"')
    add.add_argument("--audience", metavar="NAME", default="", help="only agents with this audience use the documents")


def _add_models(commands: "Commands") -> None:
    models = _as_listing(_command(commands, "models", "models:run_list", "list the models, or try one"))
    inner = models.add_subparsers(title="commands", metavar="COMMAND")
    what = "call one model once: what it says, how long it takes, what it costs"
    kept = argparse.SUPPRESS  # what stood before the word `try` holds
    attempt = _command(inner, "try", "models:run_try", what, config=kept)
    attempt.add_argument("name", metavar="NAME", help="a model of the config")
    attempt.add_argument("text", metavar="TEXT", nargs="+", help="what to say to it")
    attempt.add_argument("--json", action="store_true", default=kept, help="print JSON")


def _add_channels(commands: "Commands") -> None:
    _as_listing(_command(commands, "channels", "channels:run", "how each channel stands, and what waits to go out"))
    setup = _command(commands, "setup", "setup:run", "what to click and paste on a platform, and whether it is right")
    setup.add_argument("channel", metavar="CHANNEL", help="slack, discord or whatsapp")


def _add_outbox(commands: "Commands") -> None:
    inner = _group(commands, "outbox", "messages waiting to be sent, and those held after a restore")
    _as_listing(_command(inner, "list", "outbox:run_list", "list what is not sent"), limit=100)
    _command(inner, "release", "outbox:run_release", "send all held messages")
    _command(inner, "discard", "outbox:run_discard", "give all held messages up, for good")


def _add_keeping(commands: "Commands") -> None:
    backup = _command(commands, "backup", "backup:run_backup", "copy all data to a folder, while it runs or not")
    backup.add_argument("folder", metavar="FOLDER", type=Path, help="a new or empty folder")
    restore = _command(commands, "restore", "backup:run_restore", "put a backup in place, while it does not run")
    restore.add_argument("folder", metavar="FOLDER", type=Path, help="a folder that frontdesk backup made")
    salvage = _command(commands, "salvage", "backup:run_salvage", "save what can be read of a damaged database")
    salvage.add_argument("folder", metavar="FOLDER", type=Path, help="a new or empty folder")


def _add_users(commands: "Commands") -> None:
    inner = _group(commands, "user", "people who write to you: what is stored of them, given to them, kept or erased")
    _as_listing(_command(inner, "list", "user:run_list", "list them, who was heard last at the top"), limit=100)
    _as_listing(_of_user(inner, "show", "how much is stored of a user, and on which accounts"))
    export = _of_user(inner, "export", "write everything that is stored of a user to a folder")
    export.add_argument("folder", metavar="FOLDER", type=Path, help="a new or empty folder")
    erase = _as_listing(_of_user(inner, "erase", "erase a user everywhere, search all data for what is left, and tell"))
    erase.add_argument("--reason", metavar="TEXT", required=True, help="why, for the record; without naming the user")
    hold = _of_user(inner, "hold", "keep everything of a user, whoever wants it erased")
    hold.add_argument("--reason", metavar="TEXT", required=True, help="why, for the record")
    _of_user(inner, "release", "the opposite")
    link = _of_user(inner, "link", "two users are one person, as you know for certain")
    link.add_argument("other", metavar="OTHER", help="the other user")
    _of_user(inner, "unlink", "each account of a user is a person of its own again")


def _of_user(commands: "Commands", name: str, what: str) -> argparse.ArgumentParser:
    parser = _command(commands, name, f"user:run_{name}", what)
    parser.add_argument(
        "user", metavar="USER", help="an id of a user or identity, or CHANNEL:ID as the platform names them"
    )
    return parser


def _add_evaluation(commands: "Commands") -> None:
    inner = _group(commands, "eval", "ask an agent a folder of questions, and judge its answers")
    run = _command(inner, "run", "eval:run_suite", "ask every question of a folder and judge the answers")
    run.add_argument("folder", metavar="FOLDER", type=Path, help="a folder of *.toml files with cases")
    run.add_argument("--agent", metavar="NAME", default="main", help="which agent is asked (default: main)")
    run.add_argument("--model", metavar="NAME", default="", help="answer with this model alone (default: the agent's)")
    run.add_argument("--least", metavar="SHARE", type=_share, help="the share that must pass (default: the suite's)")
    run.add_argument("--save", metavar="FILE", type=Path, help="keep the result there (default: in the data folder)")
    run.add_argument("--json", action="store_true", help="print JSON")
    what = "write cases out of the suggested replies that operators have corrected"
    harvest = _command(inner, "harvest", "eval:run_harvest", what)
    harvest.add_argument("file", metavar="FILE", type=Path, help="a new *.toml file, in a folder of cases")
    harvest.add_argument("--limit", metavar="N", type=_count, default=200, help="at most N (default: 200)")
    compare = _command(inner, "compare", "eval:run_compare", "say what is different between two results")
    compare.add_argument("before", metavar="BEFORE", type=Path, help="a saved result")
    compare.add_argument("after", metavar="AFTER", type=Path, help="a later one")
    compare.add_argument("--json", action="store_true", help="print JSON")


def _add_actions(commands: "Commands") -> None:
    inner = _group(commands, "action", "what the agents can do besides talking: list, show, try, draft")
    _as_listing(_command(inner, "list", "action:run_list", "list every action, its rules and who may use it"))
    show = _as_listing(_command(inner, "show", "action:run_show", "everything about one action, as the model sees it"))
    show.add_argument("name", metavar="NAME", help="an action of the config")
    call = _as_listing(_command(inner, "call", "action:run_call", "call one action, or show what would be sent"))
    call.add_argument("name", metavar="NAME", help="an action of the config")
    call.add_argument("--arg", metavar="K=V", action="append", default=[], help="an argument; may be repeated")
    call.add_argument("--dry-run", action="store_true", help="check it and show what would be sent; send nothing")
    call.add_argument("--as-person", metavar="ID", default="", help="the person that it is done for")
    call.add_argument("--yes", action="store_true", help="carry out an action that has an effect")
    draft = _command(inner, "draft", "action:run_draft", "let a model propose an action, for you to paste")
    draft.add_argument("words", metavar="WORDS", nargs="+", help="what the action shall do")
    draft.add_argument("--url", metavar="URL", default="", help="the address that it calls")


def _add_decisions(commands: "Commands") -> None:
    inner = _group(commands, "consent", "what waits for a person's agreement")
    _as_listing(_command(inner, "list", "consent:run_list", "list what waits for agreement"))
    _decides(_command(inner, "approve", "consent:run_approve", "agree to it"), has_why=False)
    _decides(_command(inner, "refuse", "consent:run_refuse", "refuse it"))
    inner = _group(commands, "queue", "calls of which nobody knows what became of them")
    _as_listing(_command(inner, "list", "queue:run_list", "list what a person must find out"))
    _decides(_command(inner, "happened", "queue:run_happened", "it was carried out"))
    _decides(_command(inner, "did-not", "queue:run_did_not", "it was not carried out"))
    _decides(_command(inner, "mine", "queue:run_mine", "take it on yourself"), has_why=False)
    audit = _as_listing(_command(commands, "audit", "audit:run", "who did what, when, and who agreed"), limit=50)
    audit.add_argument("--conversation", metavar="ID", default="", help="only of this conversation")
    audit.add_argument("--action", metavar="NAME", default="", help="only of this action")
    audit.add_argument("--csv", metavar="FILE", type=Path, help="write it there, for a spreadsheet: a new file")
    inner = audit.add_subparsers(title="commands", metavar="COMMAND")
    kept = argparse.SUPPRESS  # what stood before the word `verify` holds
    log = _command(inner, "log", "audit:run_log", "what operators and local accounts did, newest first", config=kept)
    log.add_argument("--json", action="store_true", default=kept, help="print JSON")
    log.add_argument("--limit", metavar="N", type=_count, default=kept, help="at most N (default: 50)")
    what = "is every entry of the audit as it was written?"
    verify = _command(inner, "verify", "operator:run_audit_verify", what, config=kept)
    what = "what an earlier run printed: it must be in it still"
    verify.add_argument("--noted", metavar="NUMBER:HASH", default="", help=what)
    verify.add_argument("--json", action="store_true", default=kept, help="print JSON")


def _add_handoff(commands: "Commands") -> None:
    inner = _group(commands, "handoff", "conversations that wait for a person, or that a person has")
    listing = _as_listing(_command(inner, "list", "handoff:run_list", "list them, what breaks first at the top"))
    listing.add_argument("--all", action="store_true", help="what the agents have as well")
    show = _as_listing(_command(inner, "show", "handoff:run_show", "one conversation, with its notes"))
    show.add_argument("case", metavar="CASE", help=_CASE)
    watch = _command(inner, "watch", "handoff:run_watch", "tell what happens as it happens, until interrupted")
    watch.add_argument("case", metavar="CASE", nargs="?", default="", help=f"only of this one: {_CASE}")
    for kind, (what, words, many) in _ACTS.items():
        _acts(inner, kind, what, words, many)
    for kind, (what, option, takes) in _ENDS.items():
        _acts(inner, kind, what).add_argument(option, dest="instruction", metavar="TEXT", default="", help=takes)


def _acts(inner: "Commands", kind: str, what: str, words: str = "", many: str = "") -> argparse.ArgumentParser:
    parser = _as_listing(_command(inner, kind, "handoff:run_act", what))
    parser.set_defaults(kind=kind)
    parser.add_argument("case", metavar="CASE", help=_CASE)
    if words:
        parser.add_argument("text", metavar=words, nargs=many, help="what stands behind it")
    who = "who you are (default: the only operator there is)"
    parser.add_argument("--as", dest="by", metavar="NAME", default="", help=who)
    return parser


def _add_operators(commands: "Commands") -> None:
    inner = _group(commands, "operator", "who works here, what they may do, and how they get in")
    _as_listing(_command(inner, "list", "operator:run_list", "list every operator"))
    add = _of_operator(inner, "add", "add an operator, and print an invitation")
    add.add_argument("--role", metavar="ROLE", required=True, help=_ROLES)
    add.add_argument("--team", metavar="TEAM", action="append", default=[], help="a team of theirs; may be repeated")
    add.add_argument("--capacity", metavar="N", type=_count, help="how many conversations at once")
    _of_operator(inner, "invite", "print an invitation: a new password and a new second factor")
    role = _of_operator(inner, "role", "give an operator another role")
    role.add_argument("role", metavar="ROLE", help=_ROLES)
    _of_operator(inner, "link", "print a code that makes a platform account an operator's")
    unlink = _of_operator(inner, "unlink", "undo the links of an operator on a channel")
    unlink.add_argument("channel", metavar="CHANNEL", help="slack, discord, ...")
    _of_operator(inner, "disable", "shut an operator out, at once")
    _of_operator(inner, "enable", "let a disabled operator in again")
    _of_operator(inner, "password", "set a password, asked for on the terminal")
    sessions = _of_operator(inner, "sessions", "where an operator is signed in")
    sessions.add_argument("--end", action="store_true", help="end them all")


def _of_operator(commands: "Commands", name: str, what: str) -> argparse.ArgumentParser:
    parser = _command(commands, name, f"operator:run_{name}", what)
    parser.add_argument("name", metavar="NAME", help="the operator's name")
    return parser


def _decides(parser: argparse.ArgumentParser, *, has_why: bool = True) -> None:
    parser.add_argument("id", metavar="ID", help="an id from the list")
    parser.add_argument("--as", dest="by", metavar="NAME", required=True, help="who you are, of [[operators.people]]")
    if has_why:
        parser.add_argument("--why", metavar="TEXT", default="", help="the reason, for the record")


def _group(commands: "Commands", name: str, what: str) -> "Commands":
    parser = commands.add_parser(name, help=what, description=what)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(
    commands: "Commands", name: str, runs: str, what: str, *, config: Path | str = CONFIG
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=what[:1].upper() + what[1:])
    help_text = "the config file (default: config.toml in this folder)"
    parser.add_argument("--config", metavar="FILE", type=Path, default=config, help=help_text)
    parser.set_defaults(command=runs)
    return parser


def _as_listing(parser: argparse.ArgumentParser, limit: int = 0) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print JSON")
    if limit:
        parser.add_argument("--limit", metavar="N", type=_count, default=limit, help=f"at most N (default: {limit})")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("write a whole number from 1 to 10000")
    return int(text)


def _amount(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError("write a whole number from 1 to 10000000")
    return int(text)


def _hours(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) * 60 < 1:
        raise argparse.ArgumentTypeError("write hours, such as 6 or 0.5")
    return float(text)


def _turns_a_minute(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(/min|/s|/h)?", text.strip())
    turns = float(found[1]) * {"/s": 60.0, "/h": 1 / 60}.get(found[2], 1.0) if found else 0.0
    if turns <= 0:
        raise argparse.ArgumentTypeError("write turns a minute, such as 600, or 10/s, 600/min, 36000/h")
    return turns


def _share(text: str) -> float:
    if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", text):
        raise argparse.ArgumentTypeError("write a number from 0 to 1, such as 0.85")
    return float(text)
