"""files.*: handing files out and in. Each method: https://docs.slack.dev/reference/methods/NAME"""

import mimetypes

from tests.platforms.slack.chat import show, thread_of
from tests.platforms.slack.registry import TIER_4, ApiError, Args, method, writable
from tests.platforms.slack.world import File, Json, Workspace

SIGN_IN = (
    "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body><form action='/signin'></form></body></html>"
)
"""What url_private gives to who may not read the file: a page to sign in, with status 200.

https://docs.slack.dev/reference/objects/file-object: "a bearer token ... with the appropriate scope (files:read)"."""


@method("files.getUploadURLExternal", TIER_4, "files:write")
def get_upload_url(space: Workspace, args: Args) -> Json:
    name, size = args.need("filename"), args.number("length", 0)
    if size < 1:
        raise ApiError("invalid_arguments")
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    file = File(space.new_id("F"), name, size, space.bot.id, media_type)
    space.files[file.id] = file
    return {"upload_url": f"{space.base_url}/upload/v1/{space.id}-{file.id}", "file_id": file.id}


@method("files.completeUploadExternal", TIER_4, "files:write")
def complete_upload(space: Workspace, args: Args) -> Json:
    """Shares the files by a message of the app, which carries no metadata."""
    named = args.data("files")
    if not isinstance(named, list) or not named:
        raise ApiError("invalid_arguments")
    files = [_own_file(space, each) for each in named]
    if args.text("channel_id"):
        room = writable(space, args, "channel_id")
        thread = thread_of(space, args, room)
        post = space.own_post(
            room.id, args.text("initial_comment"), thread_ts=thread, files=files, subtype="file_share"
        )
        show(space, post)
    for file in files:
        file.is_shared = True
    return {"files": [space.file_json(file) for file in files]}


def _own_file(space: Workspace, named: Json) -> File:
    file = space.files.get(str(named.get("id")))
    if file is None or file.user != space.bot.id or not file.is_uploaded or file.is_shared:
        raise ApiError("file_not_found")
    file.title = str(named.get("title") or file.name)
    return file


@method("files.info", TIER_4, "files:read")
def files_info(space: Workspace, args: Args) -> Json:
    file = space.files.get(args.need("file", "file_not_found"))
    if file is None:
        raise ApiError("file_not_found")
    return {"file": space.file_json(file), "comments": [], "response_metadata": {"next_cursor": ""}}


@method("files.delete", TIER_4, "files:write")
def files_delete(space: Workspace, args: Args) -> Json:
    if space.files.pop(args.need("file", "file_not_found"), None) is None:
        raise ApiError("file_not_found")
    for room in space.posts.values():
        for post in room.values():
            post.files = [file for file in post.files if file.id != args.text("file")]
    return {}
