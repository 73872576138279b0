"""An endpoint that books what it is asked, as little as HTTP allows: what a call of an action costs beside it is ours."""

import asyncio

from aiohttp import web


async def book(request: web.Request) -> web.Response:
    given = await request.json()
    return web.json_response({"booked": given.get("order", ""), "key": request.headers.get("Idempotency-Key", "")})


async def serve() -> None:
    app = web.Application()
    app.router.add_post("/orders/{order}/refunds", book)
    app.router.add_get("/orders/{order}", look)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().create_future()


async def look(request: web.Request) -> web.Response:
    return web.json_response({"order": request.match_info["order"], "status": "paid", "total": 5_000})


if __name__ == "__main__":
    asyncio.run(serve())
