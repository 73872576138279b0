"""Setting a number up: what to do in Twilio's console, and whether it was done."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from adapters.whatsapp import Account, Settings, accounts, path
from adapters.whatsapp.calls import Answered, Cut, Unreachable
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.whatsapp.api import Api

# https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides: five repeats, after any failure
OVERRIDES: Final = "#rc=5&rp=all"
SANDBOX: Final = "whatsapp:+14155238886"  # "Get started with the WhatsApp sandbox"
_STEPS: Final = """\
WhatsApp through Twilio

1. Twilio's console, "Account info": copy the Account SID and the Auth Token. Put them into the environment, not into the file:
     FRONTDESK_CHANNELS_WHATSAPP_ACCOUNT_SID=AC...
     FRONTDESK_CHANNELS_WHATSAPP_AUTH_TOKEN=...
2. "Messaging > Senders > WhatsApp senders": choose your number. To try it out without one, open "Messaging > Try it out > Send a
   WhatsApp message" and join the sandbox from your phone; its number is +1 415 523 8886.
3. Paste this as "A message comes in", method POST, at the number (or at "Sandbox settings"). What follows the "#" makes Twilio
   repeat a message that could not be taken:
{webhooks}
   A status callback need not be set: each message names its own.
4. config.toml:
     [channels.whatsapp]
     enabled = true
     from = "whatsapp:{number}"
     public_url = "{public_url}"
   public_url is the address that Twilio calls, as Twilio writes it: signatures are made over it. Behind a proxy or a tunnel it is
   their address, not this machine's.
5. "Messaging > Settings > General": turn on "Enforce HTTP Auth on Media URLs", so that what people send is not public.
6. A person who has not written for 24 hours can be sent approved templates only. Make one without variables in "Content Template
   Builder" that says that an answer waits, have it approved, and set window_template to its SID (HX...).
7. Buttons are a numbered list, unless buttons_template names quick-reply templates by their number of buttons, such as
   {{2 = "HX..."}}: body {{{{1}}}}, titles {{{{2}}}}, {{{{3}}}} and so on. They need no approval.
"""


def steps(settings: Account, public_url: str) -> str:
    base = settings.public_url or public_url.rstrip("/") or "https://YOUR-PUBLIC-ADDRESS"
    names = ["", *(settings.accounts if isinstance(settings, Settings) else ())]
    urls = [f"     {base}{path(name)}{OVERRIDES}" + (f"   (account {name})" if name else "") for name in names]
    number = settings.sender.removeprefix("whatsapp:") or "+14155238886"
    return _STEPS.format(webhooks="\n".join(urls), number=number, public_url=base)


async def findings(settings: Account, host: Host) -> Sequence[Finding]:
    """Of every number that is to run; those that are not whole say only that."""
    named = accounts(settings) if isinstance(settings, Settings) else {"": settings}
    found: list[Finding] = []
    for name, account in named.items():
        found += await _check(account, name, host)
    return found


async def _check(settings: Account, name: str, host: Host) -> list[Finding]:
    missing = settings.missing()
    if missing:
        return [Finding("the settings are complete", is_well=False, mend=f"Set {', '.join(missing)}.")]
    library = await asyncio.to_thread(importlib.import_module, "adapters.whatsapp.api")
    api: Api = library.Api(settings, host.connector())
    try:
        found = [await _account(api)]
        if found[0].is_well:
            found.append(await _webhook(api, settings, f"{settings.public_url}{path(name)}"))
            found += [await _template(api, sid) for sid in _templates(settings)]
        return found
    finally:
        await api.close()


async def _account(api: "Api") -> Finding:
    what = "Twilio takes the account's credentials"
    try:
        status = await api.account_status()
    except Answered as error:
        return Finding(what, is_well=False, mend=f"{error}. Copy account_sid and auth_token from Twilio's console.")
    except (Unreachable, Cut) as error:
        return Finding(what, is_well=False, mend=f"{error}. Is api.twilio.com reachable from here?")
    return Finding(what, is_well=status == "active", mend="" if status == "active" else f"The account is {status}.")


async def _webhook(api: "Api", settings: Account, url: str) -> Finding:
    what = f"messages to {settings.sender} come to {url}"
    try:
        configured = await api.webhook_of(settings.sender)
    except (Answered, Unreachable, Cut) as error:
        return Finding(what, is_well=False, mend=f"Twilio did not list its senders ({error}). Look in its console.")
    if configured is None and settings.sender == SANDBOX:
        return Finding(f"the sandbox cannot be asked: look there whether messages go to {url}{OVERRIDES}", is_well=True)
    if configured is None:
        return Finding(what, is_well=False, mend="Twilio lists no such WhatsApp sender in this account.")
    is_well = configured.partition("#")[0] == url
    return Finding(what, is_well, "" if is_well else f"It is {configured or 'not set'}. Set {url}{OVERRIDES}")


def _templates(settings: Account) -> list[str]:
    return [sid for sid in (settings.window_template, *settings.buttons_template.values()) if sid]


async def _template(api: "Api", sid: str) -> Finding:
    what = f"the template {sid} exists"
    try:
        await api.template_name(sid)
    except (Answered, Unreachable, Cut) as error:
        return Finding(what, is_well=False, mend=f"{error}. Copy its SID from the Content Template Builder.")
    return Finding(what, is_well=True)
