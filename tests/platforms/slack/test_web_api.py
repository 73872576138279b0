"""The Web API as Slack's own client sees it."""

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.platforms.slack import registry
from tests.platforms.slack.faults import POSTS, Fault
from tests.platforms.slack.server import Site, SlackServer
from tests.platforms.slack.world import Json, Person, Post, Room

QUIET: Json = {"unfurl_links": False, "unfurl_media": False}


@pytest.fixture
def anna(site: Site) -> Person:
    return site.space.add_person("Anna")


@pytest.fixture
def room(site: Site, anna: Person) -> Room:
    return site.space.direct(anna)


async def refused(call: Any) -> SlackApiError:  # Any: an awaitable of the client's
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value


async def code(call: Any) -> str:  # Any: an awaitable of the client's
    return str((await refused(call)).response["error"])


def post_at(site: Site, room: Room, ts: str) -> Post:
    found = site.space.find_post(room.id, ts)
    assert found is not None
    return found


# --- who ----------------------------------------------------------------------------------------------------------------


async def test_a_token_opens_its_own_workspace_and_names_its_scopes(
    server: SlackServer, site: Site, client: AsyncWebClient
) -> None:
    other = server.add_workspace("beta")
    answer = await client.auth_test()
    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == (
        site.space.id,
        site.space.bot.id,
        site.space.bot.bot_id,
    )
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")
    second = AsyncWebClient(other.space.bot_token, base_url=server.api_url)
    assert (await second.auth_test())["team_id"] == other.space.id != site.space.id


async def test_f78_a_wrong_or_rotated_or_revoked_token_is_refused(
    server: SlackServer, site: Site, client: AsyncWebClient
) -> None:
    assert await code(AsyncWebClient("xoxb-nobody", base_url=server.api_url).auth_test()) == "invalid_auth"
    assert await code(AsyncWebClient(base_url=server.api_url).api_call("auth.test")) == "not_authed"
    assert await code(client.apps_connections_open(app_token=site.space.bot_token)) == "not_allowed_token_type"
    site.space.app_scopes.clear()
    assert await code(client.apps_connections_open(app_token=site.space.app_token)) == "missing_scope"
    site.faults.token_error = "token_revoked"
    assert await code(client.auth_test()) == "token_revoked"
    site.faults.clear()
    site.space.bot_token = "xoxb-new"
    assert await code(client.auth_test()) == "invalid_auth"


async def test_a_missing_scope_is_named(site: Site, client: AsyncWebClient, anna: Person) -> None:
    site.space.scopes.discard("users:read")
    answer = (await refused(client.users_info(user=anna.id))).response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "users:read")


# --- posting ------------------------------------------------------------------------------------------------------------


async def test_metadata_is_kept_over_updates_and_shown_only_to_who_asks(client: AsyncWebClient, room: Room) -> None:
    key = {"event_type": "part", "event_payload": {"k": "abc"}}
    ts = (await client.chat_postMessage(channel=room.id, text="a", metadata=key, **QUIET))["ts"]
    await client.chat_update(channel=room.id, ts=ts, text="b")
    with_all = (await client.conversations_history(channel=room.id, include_all_metadata=True))["messages"][0]
    without = (await client.conversations_history(channel=room.id))["messages"][0]
    assert with_all["metadata"] == key
    assert "metadata" not in without
    assert with_all["text"] == "b"
    assert (
        await code(client.chat_postMessage(channel=room.id, text="a", metadata={"k": 1}, **QUIET))
        == "invalid_metadata_schema"
    )


async def test_an_update_by_text_is_marked_as_edited_and_takes_the_blocks_away(
    client: AsyncWebClient, site: Site, room: Room
) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "first"}}]
    ts = (await client.chat_postMessage(channel=room.id, text="x", blocks=blocks, **QUIET))["ts"]
    post = post_at(site, room, ts)
    await client.chat_update(channel=room.id, ts=ts, blocks=[{"type": "markdown", "text": "**second**"}], text="y")
    assert (post.text_shown(), post.edited_ts) == ("**second**", "")
    await client.chat_update(channel=room.id, ts=ts, text="third")
    assert post.text_shown() == "third"
    assert post.edited_ts
    assert post.shown == ["first", "**second**", "third"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "y" * 3001}}]},
            "invalid_blocks",
        ),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "y" * 7000}] * 2}, "msg_blocks_too_long"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
    ],
)
async def test_a_message_that_slack_would_refuse_is_refused(
    client: AsyncWebClient, room: Room, call: Json, error: str
) -> None:
    assert await code(client.api_call("chat.postMessage", json={"channel": room.id} | call | QUIET)) == error


async def test_a_reply_to_a_thread_that_is_gone_lands_in_the_room_itself(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    root = site.people.say(anna, room, "never mind")
    threaded = await client.chat_postMessage(channel=room.id, thread_ts=root.ts, text="a", **QUIET)
    await client.chat_delete(channel=room.id, ts=threaded["ts"])
    site.people.delete(root)
    stray = await client.chat_postMessage(channel=room.id, thread_ts=root.ts, text="b", **QUIET)
    assert threaded["message"]["thread_ts"] == root.ts
    assert "thread_ts" not in stray["message"]
    assert site.space.ledger.unthreaded == [f"{room.id}:{root.ts}"]


async def test_an_update_by_text_spoils_named_links_without_parse_none(
    client: AsyncWebClient, site: Site, room: Room
) -> None:
    link = "<https://a.example/|a page>"
    ts = (await client.chat_postMessage(channel=room.id, text=link, **QUIET))["ts"]
    await client.chat_update(channel=room.id, ts=ts, text=link)
    assert post_at(site, room, ts).text == "&lt;https://a.example/|a page&gt;"
    await client.chat_update(channel=room.id, ts=ts, text=link, parse="none")
    assert post_at(site, room, ts).text == link


async def test_typed_text_is_escaped_and_addresses_become_links(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    post = site.people.say(anna, room, f"<@{site.space.bot.id}> a < b & c https://a.example/?x=1&y=2 end")
    assert post.text == f"<@{site.space.bot.id}> a &lt; b &amp; c <https://a.example/?x=1&amp;y=2> end"
    assert post.text_shown().startswith(f"<@{site.space.bot.id}> a < b & c")


async def test_an_update_takes_four_thousand_characters(client: AsyncWebClient, room: Room) -> None:
    ts = (await client.chat_postMessage(channel=room.id, text="a" * 5000, **QUIET))["ts"]
    assert await code(client.chat_update(channel=room.id, ts=ts, text="a" * 4001)) == "msg_too_long"
    await client.chat_update(channel=room.id, ts=ts, text="a" * 4000)


async def test_rooms_that_the_app_cannot_write_to_refuse_it(site: Site, client: AsyncWebClient, anna: Person) -> None:
    site.space.scopes.discard("chat:write.public")
    outside = site.space.add_channel("outside", anna, has_bot=False)
    gone = site.space.add_channel("gone", anna)
    gone.is_archived = True
    assert await code(client.chat_postMessage(channel=outside.id, text="a", **QUIET)) == "not_in_channel"
    assert await code(client.chat_postMessage(channel=gone.id, text="a", **QUIET)) == "is_archived"
    assert await code(client.chat_postMessage(channel="C404", text="a", **QUIET)) == "channel_not_found"


async def test_only_own_messages_can_be_changed_and_a_deleted_one_is_gone(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    theirs = site.people.say(anna, room, "mine")
    assert await code(client.chat_update(channel=room.id, ts=theirs.ts, text="x")) == "cant_update_message"
    ts = (await client.chat_postMessage(channel=room.id, text="a", **QUIET))["ts"]
    await client.chat_delete(channel=room.id, ts=ts)
    assert await code(client.chat_update(channel=room.id, ts=ts, text="x")) == "message_not_found"
    assert [post.text for post in site.space.all_posts(room.id)] == ["mine"]


@pytest.mark.parametrize("text", ["<!channel> hi", "<!here|here>", "hi <@U123>", "see <#C1>", "<!subteam^S1>"])
async def test_f104_a_text_that_pings_people_is_a_violation(
    site: Site, client: AsyncWebClient, room: Room, text: str
) -> None:
    await client.chat_postMessage(channel=room.id, text=text, **QUIET)
    await client.chat_postMessage(channel=room.id, text="a", blocks=[{"type": "markdown", "text": text}], **QUIET)
    assert len(site.space.ledger.violations) >= 2


async def test_f104_links_and_escaped_text_ping_nobody(site: Site, client: AsyncWebClient, room: Room) -> None:
    await client.chat_postMessage(channel=room.id, text="&lt;!channel&gt; <https://a.example|a> a < b", **QUIET)
    assert site.space.ledger.violations == []


async def test_f83_a_post_whose_links_unfurl_is_a_violation(site: Site, client: AsyncWebClient, room: Room) -> None:
    await client.chat_postMessage(channel=room.id, text="a", unfurl_links=False)
    await client.chat_postMessage(channel=room.id, text="a", link_names=True, **QUIET)
    assert [what.split(" ", 1)[1] for what in site.space.ledger.violations] == [
        "without unfurl_media=false",
        "names in the text become mentions (link_names, or parse=full)",
    ]


# --- streaming ----------------------------------------------------------------------------------------------------------


async def test_a_stream_grows_and_ends_with_blocks_tasks_and_metadata(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    asked = site.people.say(anna, room, "why?")
    stream = await client.chat_stream(channel=room.id, thread_ts=asked.ts, buffer_size=1)
    await stream.append(chunks=[{"type": "task_update", "id": "t1", "title": "Searching", "status": "in_progress"}])
    await stream.append(markdown_text="Because ")
    await stream.append(chunks=[{"type": "task_update", "id": "t1", "title": "Searching", "status": "complete"}])
    key = {"event_type": "part", "event_payload": {"k": "1"}}
    await stream.stop(markdown_text="of it.", metadata=key, blocks=[{"type": "markdown", "text": "Sources"}])
    (post,) = site.space.replies_to(room.id, asked.ts)
    assert post.text_shown() == "Because of it.\nSources"
    assert post.stream is not None
    assert post.stream.tasks["t1"]["status"] == "complete"
    assert [text for *_, text in site.space.ledger.shown] == ["Because ", "Because of it.\nSources"]
    found = (await client.conversations_replies(channel=room.id, ts=asked.ts, include_all_metadata=True))["messages"]
    assert found[1]["metadata"] == key
    assert site.space.ledger.violations == []


async def test_a_stream_is_refused_where_slack_refuses_it(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    asked = site.people.say(anna, room, "why?")
    general = site.space.add_channel("general", anna)
    there = site.people.say(anna, general, "why?")
    own = (await client.chat_postMessage(channel=room.id, text="a", **QUIET))["ts"]
    assert await code(client.chat_startStream(channel=general.id, thread_ts=there.ts)) == "missing_recipient_team_id"
    assert (
        await code(client.chat_startStream(channel=general.id, thread_ts=there.ts, recipient_team_id=site.space.id))
        == "missing_recipient_user_id"
    )
    assert await code(client.chat_startStream(channel=room.id, thread_ts="")) == "invalid_arguments"
    assert (
        await code(client.chat_appendStream(channel=room.id, ts=own, markdown_text="x"))
        == "message_not_in_streaming_state"
    )
    assert (
        await code(client.chat_appendStream(channel=room.id, ts=asked.ts, markdown_text="x"))
        == "message_not_owned_by_app"
    )
    site.space.stream_refusal = "channel_type_not_supported"
    assert await code(client.chat_startStream(channel=room.id, thread_ts=asked.ts)) == "channel_type_not_supported"


async def test_a_stream_keeps_its_mode_and_cannot_be_edited_until_it_ends(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    asked = site.people.say(anna, room, "why?")
    ts = (await client.chat_startStream(channel=room.id, thread_ts=asked.ts, markdown_text="a"))["ts"]
    chunks = [{"type": "markdown_text", "text": "b"}]
    assert await code(client.chat_appendStream(channel=room.id, ts=ts, chunks=chunks)) == "streaming_mode_mismatch"
    assert await code(client.chat_update(channel=room.id, ts=ts, text="x")) == "streaming_state_conflict"
    await client.chat_stopStream(channel=room.id, ts=ts)
    assert (
        await code(client.chat_appendStream(channel=room.id, ts=ts, markdown_text="b"))
        == "message_not_in_streaming_state"
    )
    await client.chat_update(channel=room.id, ts=ts, text="done")
    assert post_at(site, room, ts).text_shown() == "done"


async def test_a_stream_that_the_person_stops_takes_no_more(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    asked = site.people.say(anna, room, "why?")
    ts = (await client.chat_startStream(channel=room.id, thread_ts=asked.ts, markdown_text="a"))["ts"]
    site.people.stop_stream(post_at(site, room, ts))
    assert await code(client.chat_appendStream(channel=room.id, ts=ts, markdown_text="b")) == "stopped_by_user"


# --- reading ------------------------------------------------------------------------------------------------------------


async def test_history_pages_backwards_without_replies_and_replies_page_forwards(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    posts = [site.people.say(anna, room, f"m{n}") for n in range(5)]
    replies = [site.people.say(anna, room, f"r{n}", thread=posts[0].ts) for n in range(3)]
    texts: list[str] = []
    async for page in await client.conversations_history(channel=room.id, limit=2):
        texts += [message["text"] for message in page["messages"]]
    assert texts == ["m4", "m3", "m2", "m1", "m0"]
    texts = []
    async for page in await client.conversations_replies(channel=room.id, ts=posts[0].ts, limit=2):
        texts += [message["text"] for message in page["messages"]]
    assert texts == ["m0", "r0", "r1", "r2"]
    later = await client.conversations_history(channel=room.id, oldest=posts[2].ts)
    assert [message["text"] for message in later["messages"]] == ["m4", "m3"]
    same = await client.conversations_history(channel=room.id, oldest=posts[2].ts, latest=posts[3].ts, inclusive=True)
    assert [message["text"] for message in same["messages"]] == ["m3", "m2"]
    by_reply = await client.conversations_replies(channel=room.id, ts=replies[1].ts, oldest=replies[1].ts)
    assert [message["text"] for message in by_reply["messages"]] == ["m0", "r2"]


async def test_direct_chats_are_listed_by_pages(site: Site, client: AsyncWebClient) -> None:
    ids = {site.space.direct(site.space.add_person(f"P{n}")).id for n in range(5)}
    site.space.add_channel("general")
    found = []
    async for page in await client.conversations_list(types="im", limit=2):
        found += [channel["id"] for channel in page["channels"]]
    assert set(found) == ids
    assert len(found) == 5


async def test_a_root_with_replies_leaves_a_tombstone(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    root = site.people.say(anna, room, "secret")
    site.people.say(anna, room, "reply", thread=root.ts)
    site.people.delete(root)
    messages = (await client.conversations_replies(channel=room.id, ts=root.ts))["messages"]
    assert [message["text"] for message in messages] == ["This message was deleted.", "reply"]
    assert messages[0]["subtype"] == "tombstone"


# --- files --------------------------------------------------------------------------------------------------------------


async def test_a_file_goes_out_in_three_steps(site: Site, client: AsyncWebClient, room: Room) -> None:
    await client.files_upload_v2(channel=room.id, filename="bill.txt", content="12 EUR", initial_comment="Your bill")
    (post,) = site.space.all_posts(room.id)
    assert (post.text, post.files[0].name, post.files[0].data) == ("Your bill", "bill.txt", b"12 EUR")
    shares = (await client.files_info(file=post.files[0].id))["file"]["shares"]
    assert shares == {"private": {room.id: [{"ts": post.ts}]}}
    assert await code(client.files_completeUploadExternal(files=[{"id": post.files[0].id}])) == "file_not_found"


async def test_f67_a_file_without_the_scope_is_a_page_to_sign_in(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    file = site.people.add_file(anna, "a.png", b"PNG")
    site.people.say(anna, room, "look", file=file)
    message = (await client.conversations_history(channel=room.id))["messages"][0]
    url = message["files"][0]["url_private"]
    headers = {"Authorization": f"Bearer {site.space.bot_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=headers) as answer:
            assert (answer.content_type, await answer.read()) == ("image/png", b"PNG")
        site.space.scopes.discard("files:read")
        async with session.get(url, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")


# --- views and the assistant --------------------------------------------------------------------------------------------

MODAL: Json = {
    "type": "modal",
    "callback_id": "c",
    "title": {"type": "plain_text", "text": "Passage"},
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Text"}}],
}


async def test_a_trigger_opens_one_modal(site: Site, client: AsyncWebClient, anna: Person) -> None:
    trigger = site.space.new_trigger(anna.id)
    view = (await client.views_open(trigger_id=trigger, view=MODAL))["view"]
    assert site.space.views[view["id"]].person == anna.id
    assert await code(client.views_open(trigger_id=trigger, view=MODAL)) == "exchanged_trigger_id"
    assert await code(client.views_open(trigger_id="1.2.3", view=MODAL)) == "invalid_trigger_id"
    long = MODAL | {"title": {"type": "plain_text", "text": "x" * 25}}
    assert await code(client.views_open(trigger_id=site.space.new_trigger(anna.id), view=long)) == "invalid_arguments"


async def test_a_home_tab_is_published_for_one_person(site: Site, client: AsyncWebClient, anna: Person) -> None:
    home = {"type": "home", "blocks": MODAL["blocks"]}
    await client.views_publish(user_id=anna.id, view=home)
    await client.views_publish(user_id=anna.id, view=home | {"blocks": [{"type": "divider"}]})
    assert [block["type"] for block in site.space.homes[anna.id].body["blocks"]] == ["divider"]
    in_messages_only = home | {"blocks": [{"type": "markdown", "text": "x"}]}
    assert await code(client.views_publish(user_id=anna.id, view=in_messages_only)) == "invalid_arguments"


async def test_the_assistant_view_shows_status_title_and_prompts(
    site: Site, client: AsyncWebClient, anna: Person, room: Room
) -> None:
    thread = site.people.open_assistant(anna)
    where: Json = {"channel_id": room.id, "thread_ts": thread}
    await client.assistant_threads_setStatus(**where, status="is searching…")
    assert site.space.status_of(room.id, thread) == "is searching…"
    await client.assistant_threads_setTitle(**where, title="My order")
    await client.assistant_threads_setSuggestedPrompts(
        **where, prompts=[{"title": "Returns", "message": "How do I return it?"}]
    )
    await client.chat_postMessage(channel=room.id, thread_ts=thread, text="Found it", **QUIET)
    assert site.space.status_of(room.id, thread) == ""
    assert list(site.space.ledger.titles.values()) == ["My order"]
    assert [prompt["title"] for prompts in site.space.ledger.prompts.values() for prompt in prompts] == ["Returns"]
    many = [{"title": "t", "message": "m"}] * 5
    assert await code(client.assistant_threads_setSuggestedPrompts(**where, prompts=many)) == "invalid_arguments"


# --- limits and faults --------------------------------------------------------------------------------------------------


async def test_posts_in_one_room_are_paced_and_an_early_repeat_is_a_violation(
    site: Site, client: AsyncWebClient, room: Room
) -> None:
    other = site.space.direct(site.space.add_person("Ben"))
    for n in range(int(registry.POSTING_BURST)):
        await client.chat_postMessage(channel=room.id, text=f"{n}", **QUIET)
    answer = (await refused(client.chat_postMessage(channel=room.id, text="more", **QUIET))).response
    assert (answer.status_code, answer["error"], answer.headers["Retry-After"]) == (429, "rate_limited", "1")
    await client.chat_postMessage(channel=other.id, text="elsewhere", **QUIET)
    assert site.space.ledger.violations == []
    await refused(client.chat_postMessage(channel=room.id, text="more", **QUIET))
    assert len(site.space.ledger.violations) == 1


async def test_f12_an_answer_that_is_lost_leaves_the_post_there(site: Site, client: AsyncWebClient, room: Room) -> None:
    site.faults.set(Fault("lost", 1, POSTS))
    client.retry_handlers.clear()
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=room.id, text="a", **QUIET)
    assert [message["text"] for message in (await client.conversations_history(channel=room.id))["messages"]] == ["a"]
    await client.chat_postMessage(channel=room.id, text="b", **QUIET)
    assert len(list(site.space.all_posts(room.id))) == 2


@pytest.mark.parametrize(
    ("kind", "is_done"), [("failed", False), ("limited", False), ("broken", True), ("refused", False)]
)
async def test_each_fault_does_what_it_says_once(
    site: Site, client: AsyncWebClient, room: Room, kind: str, is_done: bool
) -> None:
    site.faults.set(Fault(kind, 1, POSTS, seconds=1, status=503, error="update_failed"))
    with pytest.raises((SlackApiError, aiohttp.ClientError)):
        await client.chat_postMessage(channel=room.id, text="a", **QUIET)
    assert len(list(site.space.all_posts(room.id))) == (1 if is_done else 0)
    await client.auth_test()


async def test_a_slow_answer_is_slower_than_a_client_waits(site: Site, server: SlackServer, room: Room) -> None:
    site.faults.set(Fault("slow", 1, POSTS, seconds=30))
    hasty = AsyncWebClient(site.space.bot_token, base_url=server.api_url)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await hasty.chat_postMessage(channel=room.id, text="a", **QUIET)
    assert len(list(site.space.all_posts(room.id))) == 1
