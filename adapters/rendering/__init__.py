"""The one way of a message's text to a platform: Markdown in, the platform's own form out, in parts that it carries."""

from adapters.rendering.choices import chosen, coded, numbered
from adapters.rendering.render import DISCORD, PLAIN, SLACK, WHATSAPP, Form, fit, render
from adapters.rendering.sources import sources
from adapters.rendering.splitting import is_boundary, split

__all__ = [
    "DISCORD",
    "PLAIN",
    "SLACK",
    "WHATSAPP",
    "Form",
    "chosen",
    "coded",
    "fit",
    "is_boundary",
    "numbered",
    "render",
    "sources",
    "split",
]
