"""Twilio's WhatsApp as its documentation describes it: REST API, signed webhooks, and the person's phone."""
