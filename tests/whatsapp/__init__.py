"""The WhatsApp channel, against Twilio's server of `tests.platforms.twilio` and with Twilio's own library."""
