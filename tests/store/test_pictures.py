"""f65: a picture is measured by its header, before anything takes it apart."""

import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Refused
from bot.model import Identity
from bot.store.blobs import Blobs, _check_pixels
from bot.store.folder import BLOBS, prepare
from bot.store.sqlite import SqliteStore
from tests.clock import ManualClock

ADA = Identity("web", "", "v:ada")


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + bytes(300)
    )


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(300)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("picture", [png(65_000, 65_000), gif(65_000, 65_000), gif(65_535, 65_535), png(1_000_000, 51)])
async def test_f65_a_picture_of_too_many_pixels_is_refused(tmp_path: Path, picture: bytes) -> None:
    prepare(tmp_path / "data")
    store = await SqliteStore.open(tmp_path / "data")
    try:
        blobs = Blobs(tmp_path / "data" / BLOBS, store, ManualClock(), 1_000_000)
        with pytest.raises(Refused) as refused:
            await blobs.save(pieces(picture), "bomb.png", ADA)
        assert refused.value.code == "too_large"
        assert not [path for path in (tmp_path / "data" / BLOBS).rglob("*") if path.is_file()]
        assert (await blobs.save(pieces(png(6000, 8000)), "photo.png", ADA)).media_type == "image/png"
    finally:
        await store.close()


@given(
    st.sampled_from([png(9, 9), gif(9, 9), b"\xff\xd8\xff\xe0\x00\x10JFIF", b"RIFF\x00\x00\x00\x00WEBPVP8 "]),
    st.binary(max_size=200),
)
def test_f65_no_header_breaks_the_measuring(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "picture"
    for cut in (len(start), len(start) // 2, 3):
        path.write_bytes(start[:cut] + rest)
        try:
            _check_pixels(path)
        except Refused:
            continue
