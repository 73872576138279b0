"""A user asks for their data over a data folder, and the process ends before or after one of its units of work or its send:
`python -m tests.memory.giving_child FOLDER POINT`.

POINT: `before NUMBER` or `after NUMBER`, counting both; "" for none. What the platform took stands in `taken` of the folder, a line each.
"""

import asyncio
import sys
from pathlib import Path

from bot.model import Message
from tests.memory.house import Remembering, remembering
from tests.memory.job_child import Doom, arm

WISH = "Send me my data"


async def main(folder: Path, point: str) -> None:
    doom = Doom(point)

    def armed(desk: Remembering) -> None:
        arm(desk, doom)

        async def take(message: Message) -> None:
            number = doom.begin()
            with (folder / "taken").open("a") as taken:
                taken.write("".join(f"{file.name} {file.blob}\n" for file in message.attachments))
            doom.end(number)

        desk.house.channel.on_send = take

    async with remembering(folder, carries_bytes=1_000_000, ready=armed) as desk:
        await desk.say(WISH)  # as the platform delivers it, again and again
        await desk.house.rest(30)
        sys.stdout.write(str(doom.count))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
