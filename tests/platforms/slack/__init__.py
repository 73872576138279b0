"""Slack over loopback, as Slack documents it: a server that the real slack_sdk and slack_bolt are pointed at.

Start it and install the app in a workspace (a second call of `add_workspace` gives a second one, with tokens of its own):

    async with SlackServer() as server:                       # tests.platforms.slack.server
        site = server.add_workspace("acme")
        space, people = site.space, site.people
        anna = space.add_person("Anna")
        room = space.direct(anna)                             # her chat with the app (D...)
        general = space.add_channel("general", anna)          # the app is in it, unless has_bot=False

Point the app at it: `api_url = server.api_url` (for `base_url=` of AsyncWebClient; it ends with a slash), `space.bot_token`,
`space.app_token`, `space.signing_secret`. For HTTP: `site.delivery.mode = "http"`, `site.delivery.http.url = "http://127.0.0.1:.../..."`,
`await site.delivery.http.verify()` for the url_verification handshake; `http.signed(body, at_ms=, secret=)` makes headers for requests of
your own, which `http.post(body, content_type, headers)` overrides with.

Wait and act (what people do is on the platform at once, and goes to the app by itself):

    await site.delivery.sockets.wait_open()                   # a Socket Mode connection is up
    post = people.say(anna, room, "Where is my order?")       # thread="ts" for a thread, file=people.add_file(anna, "a.pdf", b"...")
    people.mention(anna, general, "help"); people.edit(post, "..."); people.delete(post); people.unfurl(post)
    people.repeat(post)                                       # the same events again, with the same event ids
    thread = people.open_assistant(anna); people.say(anna, room, "...", thread=thread); people.open_home(anna)
    await people.press(anna, answer, "Talk to a person"); await people.rate(anna, answer, "up"); people.react(anna, answer, "+1")
    await people.command(anna, room, "/frontdesk", "help"); await people.submit(view, {...}); await people.press_in_view(anna, view, "...")
    people.webhook_says(general, "..."); people.say(space.add_person("Other", is_bot=True), general, "...")   # bots, with and without a user
    post = people.write(anna, room, "..."); people.announce(post)    # writing and telling apart: for events out of order

See what people see: `space.all_posts(room.id)` (`.text_shown()`, `.thread_ts`, `.blocks`, `.shown`), `blockkit.labels_of(post.all_blocks())`,
`space.posts[room.id]` with ephemeral (`only_for`) and deleted messages too, `space.views`, `space.homes`, `space.files`.
`space.ledger` has `shown` (each text a post of the app has ever shown, in order), `statuses`, `titles`, `prompts`, `calls` /
`called("chat.update")`, `missed` (not acknowledged in time, tried again), `lost`, and `violations`, which should stay empty.

Make things go wrong:

    site.faults.set(Fault("lost", 1, POSTS))                  # tests.platforms.slack.faults: carried out, then the connection is cut
    Fault("limited", 2, POSTS, seconds=1)  Fault("failed", 1, POSTS, status=503)  Fault("broken", 1, POSTS)  Fault("slow", 1, POSTS, seconds=5)
    Fault("refused", 1, frozenset({"chat.update"}), error="message_not_found")      # no methods at all: every method
    site.faults.token_error = "token_revoked"; space.scopes.discard("files:read"); space.stream_refusal = "channel_type_not_supported"
    site.delivery.sockets.cut(); site.delivery.sockets.hush()  # ended without a word; dead without an end (is_silent: new ones as well)
    await site.delivery.sockets.say_goodbye("refresh_requested")      # or "warning", or "link_disabled" for good
    server.uninstall(site)                                    # app_uninstalled, tokens_revoked, and account_inactive from then on
    site.delivery.retry_now()                                 # what waits to be tried again is tried now
    site.delivery.keeps_when_nobody = True                    # events without a connection are retried; otherwise they are lost
    site.pace.is_on = False                                   # no rate limits; site.pace.tiers["conversations.history"] = 1: another one

`manifest.install(site, manifest)` gives the app the scopes, events, commands and views of an app manifest, and nothing else.
`driver.SlackPlatform` is the suite's driver on top of all this.

What surprises: typed text is escaped (`&amp;`), and addresses in it become `<https://...>`, in `text` of events; a post to a thread whose
root is gone lands in the room itself without an error (`ledger.unthreaded`; `message.thread_ts` is missing in the answer); chat.update
refuses more than 4,000 characters of `text`, and spoils `<url|label>` in it without `parse=none`; a stream keeps the way it was begun with
(`markdown_text` or `chunks`), cannot be updated before it is stopped, and ends by itself after five minutes; the app hears its own posts.

Deadlines, retries and limits run on `SlackServer(clock)`; `retries_s` shortens Slack's 0 s, 1 min and 5 min. An event that is not
acknowledged is no violation (it is repeated) until it was given up; a button, command or modal that is not acknowledged is one.
"""
