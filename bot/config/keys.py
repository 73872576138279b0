"""The customary key of a model's provider, for models that have none of their own, and where such a key may travel."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from bot.config.schema import PROVIDER_URLS
from bot.config.sources import CUSTOMARY, Given, Origins
from bot.net import perimeter


def lend(raw: dict[str, Any], given: Iterable[Given], origins: Origins) -> None:
    """Puts each customary key into the tables of `raw` that it is for. One that is set but empty is none."""
    found = {each.variable: each for each in given if each.text.strip()}
    models = raw.get("models")
    for name, table in models.items() if isinstance(models, dict) else ():
        if not isinstance(table, dict) or "api_key" in table or not may_travel(table):
            continue
        key = found.get(CUSTOMARY.get(str(table.get("provider")), ""))
        if key is not None:
            table["api_key"] = key.text.strip()
            origins.given["models", name, "api_key"] = key


def may_travel(table: dict[str, Any]) -> bool:
    """Whether a provider's customary key may be sent to this model: to the provider itself and to this machine, and to nobody else."""
    url = table.get("base_url", "")
    if not isinstance(url, str):
        return False
    return not url or is_own_host(str(table.get("provider")), url) or perimeter.is_loopback(host_of(url))


def is_own_host(provider: str, url: str) -> bool:
    """Whether `url` is the provider's own service."""
    return host_of(url) == host_of(PROVIDER_URLS.get(provider, "")) != ""


def host_of(url: str) -> str:
    """The host of an address; "" where there is none. The address need not be valid."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
