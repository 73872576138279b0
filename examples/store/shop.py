"""The shop's service: what a shop's own system offers to whoever has its token.

`python -m examples.store.shop --port 9100 --data DIR`, with `SHOP_TOKEN` in the environment.
"""

import argparse
import asyncio
import hmac
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from examples.store import faults, mail, page
from examples.store.books import Books, Fields, Refused

PORT = 9100
BODY_BYTES = 65_536
KEY_HEADER = "Idempotency-Key"
OPEN = ("/",)  # the page that people see

B = TypeVar("B", bound=BaseModel)
Text = Annotated[str, Field(min_length=1, max_length=2000)]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """`identity_secret` and `frontdesk` (its public address) are for the page; without them it shows no widget."""

    data: Path
    token: str
    port: int = PORT
    frontdesk: str = ""
    identity_secret: str = ""
    has_faults: bool = False


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    customer: Text


class Refund(_Body):
    """The body of `POST /orders/{order}/refunds`."""

    amount: int = Field(gt=0)
    currency: str = Field(pattern="^[A-Z]{3}$")
    reason: str = Field(default="", max_length=2000)


class Return(_Body):
    """The body of `POST /orders/{order}/returns`."""

    item: Text
    reason: str = Field(default="", max_length=2000)


class Booking(_Body):
    """The body of `POST /bookings`."""

    slot: Text


class Email(_Body):
    """The body of `POST /emails`. `email` must be the customer's own address."""

    order: Text
    email: Text


class Note(BaseModel):
    """The body of `POST /customers/{id}/notes`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text


class Shop:
    """The routes over the books."""

    def __init__(self, settings: Settings, books: Books, mail_port: int) -> None:
        self._settings = settings
        self._books = books
        self._mail_port = mail_port
        self._wanted = f"Bearer {settings.token}".encode()
        self._faults = faults.Faults()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard, self._spoil, self._answer], client_max_size=BODY_BYTES)
        app.add_routes(
            [
                web.get("/", self.page),
                web.get("/me", self.me),
                web.get("/orders", self.orders),
                web.get("/orders/{order}", self.order),
                web.post("/orders/{order}/refunds", self.refund),
                web.get("/refunds", self.refunds),
                web.post("/orders/{order}/returns", self.take_back),
                web.get("/slots", self.slots),
                web.post("/bookings", self.book),
                web.post("/emails", self.send_email),
                web.get("/emails", self.emails),
                web.post("/customers/{customer}/notes", self.note),
                web.get("/ledger", self.ledger),
            ]
        )
        if self._settings.has_faults:
            app.router.add_post("/faults", self.order_fault)
        app.on_shutdown.append(self._stop)
        return app

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.Response:
        customer = self._books.customer(request.query.get("customer", "c1"))
        orders = self._books.orders(customer["id"])
        host = page.Host(self._settings.frontdesk, self._settings.identity_secret)
        text = page.render(host, customer, self._books.customers(), orders)
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def me(self, request: web.Request) -> web.Response:
        return web.json_response(self._books.customer(_asked(request, "customer")))

    async def orders(self, request: web.Request) -> web.Response:
        return web.json_response({"orders": self._books.orders(_asked(request, "customer"))})

    async def order(self, request: web.Request) -> web.Response:
        return web.json_response(self._books.order(request.match_info["order"], _asked(request, "customer")))

    async def refunds(self, request: web.Request) -> web.Response:
        return web.json_response(self._books.refunds(_asked(request, "key")))

    async def slots(self, request: web.Request) -> web.Response:
        return web.json_response({"slots": self._books.slots()})

    async def emails(self, request: web.Request) -> web.Response:
        found = self._books.mails(_asked(request, "key"))
        if not found:
            raise Refused(404, "no_email", "No such e-mail was sent.")
        return web.json_response({"id": f"mail-{found[0]['id']}", "status": "sent", "to": found[0]["recipient"]})

    async def ledger(self, request: web.Request) -> web.Response:
        return web.json_response({"entries": self._books.ledger()})

    # --- changing --------------------------------------------------------------------------------------------------------

    async def refund(self, request: web.Request) -> web.Response:
        order, key, body = request.match_info["order"], _key(request), await _body(request, Refund)

        def carry_out() -> Fields:
            return self._books.refund(key, order, body.customer, body.amount, body.currency, body.reason)

        return self._once(request, key, body, carry_out)

    async def take_back(self, request: web.Request) -> web.Response:
        order, key, body = request.match_info["order"], _key(request), await _body(request, Return)

        def carry_out() -> Fields:
            return self._books.take_back(key, order, body.customer, body.item, body.reason)

        return self._once(request, key, body, carry_out)

    async def book(self, request: web.Request) -> web.Response:
        key, body = _key(request), await _body(request, Booking)
        return self._once(request, key, body, lambda: self._books.book(key, body.slot, body.customer))

    async def send_email(self, request: web.Request) -> web.Response:
        """Each call sends one, whatever its key: the key only lets it be looked up."""
        key, body = _key(request), await _body(request, Email)
        order = self._books.order(body.order, body.customer)
        if body.email != order["email"]:
            raise Refused(422, "not_theirs", "That is not the customer's address.")
        lines = "\n".join(f"{each['quantity']} x {each['name']}" for each in order["items"])
        text = f"Your order {body.order} ({order['status']}):\n\n{lines}\n\n{page.money(order['total'], order['currency'])}\n"
        try:
            await mail.send(self._mail_port, key, body.email, f"Your order {body.order}", text)
        except OSError as error:
            log.warning("The mail server did not confirm a mail: %s", error)
            return _refusal(502, "no_mail", "The mail server did not say whether it took the e-mail.")
        return web.json_response({"status": "sent", "to": body.email}, status=201)

    async def note(self, request: web.Request) -> web.Response:
        body = await _body(request, Note)
        return web.json_response(self._books.note(request.match_info["customer"], body.text), status=201)

    async def order_fault(self, request: web.Request) -> web.Response:
        self._faults.add(await _body(request, faults.Order))
        return web.json_response({"status": "ordered"}, status=201)

    def _once(self, request: web.Request, key: str, body: BaseModel, carry_out: Callable[[], Fields]) -> web.Response:
        asked = {"path": request.path, "body": body.model_dump()}
        answer, is_repeated = self._books.once(key, asked, carry_out)
        return web.json_response(answer, status=201, headers={"Idempotent-Replayed": str(is_repeated).lower()})

    # --- around every request --------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: faults.Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if request.path not in OPEN and not hmac.compare_digest(given, self._wanted):
            return _refusal(401, "bad_token", "The token is missing or wrong.")
        return await handler(request)

    @web.middleware
    async def _spoil(self, request: web.Request, handler: faults.Handler) -> web.StreamResponse:
        if request.path == "/faults":
            return await handler(request)
        return await self._faults.pass_through(request, handler)

    @web.middleware
    async def _answer(self, request: web.Request, handler: faults.Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return _refusal(refused.status, refused.code, refused.detail)
        except web.HTTPException as error:
            return _refusal(error.status, "bad_request", error.reason)

    async def _stop(self, app: web.Application) -> None:
        self._faults.stop()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The shop on its port (0: any) for as long as the context lasts; gives its address. Raises OSError where the port is taken."""
    async with AsyncExitStack() as stack:
        books = Books(settings.data, lambda: time.time_ns() // 1_000_000)
        stack.callback(books.close)
        mail_port = await stack.enter_async_context(mail.sink(books.receive_mail))
        app = Shop(settings, books, mail_port).app()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", settings.port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. 2: a setting is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.store.shop", description="A small shop to try Frontdesk on."
    )
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data" / "shop")
    parser.add_argument("--frontdesk", default="http://127.0.0.1:8080", help="the address of the widget's server")
    parser.add_argument("--faults", action="store_true", help="let POST /faults spoil answers")
    given = parser.parse_args(argv)
    token = os.environ.get("SHOP_TOKEN", "")
    if not token:
        sys.stderr.write("Set SHOP_TOKEN: the token that requests must bear.\n")
        return 2
    secret = os.environ.get("FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET", "")
    settings = Settings(given.data, token, given.port, given.frontdesk, secret, given.faults)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with running(settings) as address:
        sys.stdout.write(f"The shop is ready: {address}/\n")
        sys.stdout.flush()
        await stop.wait()


def _asked(request: web.Request, name: str) -> str:
    if not (value := request.query.get(name, "")):
        raise Refused(400, "bad_request", f"The parameter {name} is missing.")
    return value


def _key(request: web.Request) -> str:
    key = request.headers.get(KEY_HEADER, "")
    if not 0 < len(key) <= 255:
        raise Refused(400, "no_key", f"{KEY_HEADER} is missing, or longer than 255 characters.")
    return key


async def _body(request: web.Request, kind: type[B]) -> B:
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, found["loc"])) or "body"
        raise Refused(400, "bad_body", f"{where}: {found['msg']}") from error


def _refusal(status: int, code: str, detail: str) -> web.Response:
    return web.Response(
        text=json.dumps({"code": code, "detail": detail}), status=status, content_type="application/json"
    )


if __name__ == "__main__":
    sys.exit(main())
