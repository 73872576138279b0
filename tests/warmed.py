"""Imported once by the process that daemons of tests are forked from: all that a daemon with any channel imports."""

import gc
import importlib
import threading

for name in (
    *(
        "bot.app",
        "bot.assembly",
        "bot.commands.parser",
        "bot.commands.serve",
        "bot.console.room",
        "bot.knowledge.library",
    ),
    *("bot.llm.clients", "bot.llm.openai", "bot.llm.transport", "openai.resources.chat", "runpy", "tests.warm"),
    *("adapters.discord.live", "adapters.slack.connection", "adapters.web.adapter", "adapters.whatsapp.api", "jwt"),
    *("prometheus_client", "twilio.request_validator"),
):
    importlib.import_module(name)
assert threading.active_count() == 1, "what is forked has one thread"
gc.freeze()  # what they share is not copied for each by its collector
