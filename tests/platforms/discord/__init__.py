"""Discord over loopback, for the real discord.py: REST v10, Gateway v10, signed file URLs, limits of rate and faults.

    server = DiscordServer()                      # tests.platforms.discord.server; now_ms=clock.now_ms where time is moved by hand
    await server.start()
    discord.http.Route.BASE = server.api_url                                  # "http://127.0.0.1:PORT/api/v10"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
    ... client.start(server.token) ...
    await server.gateway.wait_live()              # identified: events go out from now on

    ann = server.person("Ann")
    asked = server.say(ann, "hello")              # to the bot directly; server.say(ann, text, room) elsewhere
    room = server.add_room(server.add_guild("Shop", ann), "help")
    mention = f"<@{server.world.bot.id}> hi"      # or the bot's own role: f"<@&{guild.bot_role}>"
    server.edit(asked, "hello again"); server.delete(asked); server.repeat(asked); server.react(ann, asked, "👍")
    server.types(ann); server.open_thread(ann, room, "name", start); server.archive(thread); server.join(ben, guild, room)
    server.say_by_webhook("Relay", "text", room); server.say(server.world.user("Other", is_bot=True), "beep", room)
    server.say(ann, "see", files=(server.world.files.upload("a.png", data),)); server.say(ann, "late", is_told=False)  # then .repeat
    server.press(ann, message, "Yes")             # a button by its label or emoji -> Interaction; await interaction.wait()
    server.interactions.run_command(ann, room, "help", topic="x"); .use_component(user, message, custom_id, *values); .submit(opened, ...)
    interactions.said(interaction)                # what the person reads as its answer; .is_thinking, .state, .modal

    server.chat(channel, ann)                     # messages standing there for Ann, her ephemeral ones too (world.Message)
    server.shown(channel)                         # every text that the bot's messages have ever shown there
    server.typed(channel), server.violations, server.requests
    await server.until(lambda: ...)               # looked at after everything that the bot does

    server.lose_answers(1); server.lose_requests(1); server.fail(1, 503); server.limit_rate(1, 0.2); server.hold().release()
        # all with kind= faults.POST (the default), EDIT, DELETE, LIST, ANSWER, TYPE
    server.refuse_token(); await server.gateway.cut(); server.gateway.is_silent = True; server.gateway.refuses_resumes = False
    server.gateway.ask_reconnect(); .invalidate(is_resumable=...); await .close_all(4014); .is_content_allowed = False
    server.gateway.distort = lambda name, data: data | {...}     # odd events
    server.skip(3600)                             # wall time goes on: tokens, file URLs and nonces grow old
    server.file_answer = "gone" | "page"; channel.refusal = limits.MISSING_PERMISSIONS; server.remove_bot(guild); .remove_room(room)

What the real one does and is easily missed: an enforced nonce whose message was deleted since is answered with 404 code 10008, nothing is
posted; nonces are told in the gateway's MESSAGE_CREATE and in the answer to the post, never in listings (`server.messages.lists_nonces`);
white space around a text is stripped; an edit without allowed_mentions parses mentions anew; a thread from a message has its id, and
begins with a message of type 21; a session ends when the client closes with 1000 or 1001, else it can be resumed for two minutes.
"""
