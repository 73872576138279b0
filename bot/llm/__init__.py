"""Models that answer: each module implements `bot.ports.ChatModel` for one provider."""
