"""Where an image was taken, removed without decoding it: EXIF's GPS block, and XMP packets that speak of GPS.

Pure; used by the ipfs service, and by the gateway for files that it names by their CID at once. The picture's own bytes
and every other tag (orientation above all) stay. The result of stripping twice is that of stripping once. An image
without a location is returned as it is, byte for byte. So is what stands behind a JPEG, unless a location is in it.

Sources: JPEG (ITU T.81, segments), Exif 2.32 (APP1, tag 0x8825), XMP part 3 (where packets are embedded), PNG third
edition (`eXIf`, `iTXt`), the WebP container specification, GIF89a (blocks). Not done here: maker notes.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import Image

from chassis import jpeg

_GPS_TAG: Final = 0x8825
_EXIF: Final = b"Exif\0\0"
_XMP_JPEG: Final = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_PLACES_OF_FILMS: Final = (b"\xa9xyz", b"loci", b"location.ISO6709")
_MOST_SEGMENTS_BEHIND: Final = 10_000
"""Of further pictures. More are not looked at, and go."""
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_XMP_PNG: Final = b"XML:com.adobe.xmp\0"
_VP8X_XMP_FLAG: Final = 0x04
_GIF_SIGNATURES: Final = (b"GIF87a", b"GIF89a")
_GIF_XMP: Final = b"\x21\xff\x0bXMP DataXMP"
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B
_GIF_BEGINNING: Final = re.compile(rb"[\x21\x2c\x3b]")


def without_location(data: bytes, content_type: str) -> bytes:
    """Return the image without what tells where it was taken; `data` itself when there is nothing of the kind."""
    match content_type:
        case "image/jpeg":
            return _jpeg(data)
        case "image/png":
            return _png(data)
        case "image/webp":
            return _webp(data)
        case "image/gif":
            return _gif(data)
        case _:
            return data


def _exif_without_gps(tiff: bytes) -> bytes | None:
    """Return the TIFF structure without the GPS block; None when it has none, empty when it cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(_EXIF + tiff)
        if _GPS_TAG not in exif:
            return None
        del exif[_GPS_TAG]
        return exif.tobytes().removeprefix(_EXIF)
    except Exception:  # stop: Pillow raises many kinds for damaged tags; what cannot be read is taken off whole
        return b""


def _jpeg(data: bytes) -> bytes:
    kept = bytearray()
    position, end = 0, len(data)
    for segment in jpeg.segments(data):
        if segment.kind == jpeg.APP1:
            before, app1 = data[position : segment.start], _app1(data[segment.start : segment.end])
            # Fill bytes go with their segment: with what comes behind it they could be another one.
            kept += before + app1 if app1 else before.rstrip(b"\xff")
            position = segment.end
        if segment.kind == jpeg.END:
            end = segment.end
    return bytes(kept) + data[position : end if _behind_tells_place(data, end) else len(data)]


def _behind_tells_place(data: bytes, end: int) -> bool:
    """Tell whether a location is in what stands behind a JPEG: further pictures, or the film of a "motion photo".

    It goes whole then, because its parts are found by where they are.
    """
    if any(data.find(word, end) >= 0 for word in _PLACES_OF_FILMS):
        return True
    seen = 0
    while (start := data.find(jpeg.START, end)) >= 0:
        end = len(data)  # of a picture without any segment: there is no other one either
        for segment in jpeg.segments(data, start):
            found = data[segment.start : segment.end]
            seen += 1
            if seen > _MOST_SEGMENTS_BEHIND or (segment.kind == jpeg.APP1 and _app1(found) != found):
                return True
            end = segment.end
    return False


def _app1(segment: bytes) -> bytes:
    """Return an APP1 segment of a JPEG without a location; empty when nothing of it stays."""
    payload = segment[4:]
    if payload.startswith(_XMP_JPEG):
        return b"" if _speaks_of_gps(payload) else segment
    if not payload.startswith(_EXIF):
        return segment
    tiff = _exif_without_gps(payload[len(_EXIF) :])
    if tiff is None:
        return segment
    if not tiff or len(_EXIF) + len(tiff) + 2 > 0xFFFF:
        return b""
    return b"\xff\xe1" + struct.pack(">H", len(_EXIF) + len(tiff) + 2) + _EXIF + tiff


def _png(data: bytes) -> bytes:
    kept = bytearray(_PNG_SIGNATURE)
    offset = len(_PNG_SIGNATURE)
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        chunk = data[offset : offset + 12 + length]
        offset += 12 + length
        if kind == b"eXIf":
            tiff = _exif_without_gps(chunk[8:-4])
            chunk = chunk if tiff is None else _png_chunk(kind, tiff)
        elif kind in (b"iTXt", b"tEXt", b"zTXt") and _png_text_has_location(kind, chunk[8:-4]):
            chunk = b""
        kept += chunk
    kept += data[offset:]
    return bytes(kept)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    if not content:
        return b""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_text_has_location(kind: bytes, content: bytes) -> bool:
    """Tell whether a text chunk may hold a location. A compressed packet is not opened: it counts as one that does."""
    # A profile in hexadecimal digits, or a tag by itself: `exif:GPSLatitude`, as ImageMagick writes them.
    if content.startswith(b"Raw profile type ") or _speaks_of_gps(content.partition(b"\0")[0]):
        return True
    if not content.startswith(_XMP_PNG):
        return False
    compressed = kind == b"zTXt" or content[len(_XMP_PNG) : len(_XMP_PNG) + 1] == b"\x01"
    return compressed or _speaks_of_gps(content)


def _webp(data: bytes) -> bytes:
    kept = bytearray()
    changed = False
    dropped_xmp = False
    for kind, chunk in _riff_chunks(data):
        if kind == b"EXIF":
            payload = chunk[8 : 8 + struct.unpack_from("<I", chunk, 4)[0]]
            tiff = _exif_without_gps(payload.removeprefix(_EXIF))
            if tiff is not None:
                changed = True
                padding = b"\0" if len(tiff) % 2 else b""
                chunk = b"EXIF" + struct.pack("<I", len(tiff)) + tiff + padding
        elif kind == b"XMP " and _speaks_of_gps(chunk):
            changed = dropped_xmp = True
            continue
        kept += chunk
    if not changed:
        return data
    if dropped_xmp and kept.startswith(b"VP8X"):
        kept[8] &= ~_VP8X_XMP_FLAG & 0xFF
    return b"RIFF" + struct.pack("<I", len(kept) + 4) + b"WEBP" + bytes(kept)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a WebP file with their headers and padding."""
    offset = 12
    while offset + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        end = offset + 8 + length + length % 2
        yield kind, data[offset:end]
        offset = end


def _gif(data: bytes) -> bytes:
    if not data.startswith(_GIF_SIGNATURES) or _GIF_XMP not in data:
        return data
    kept = bytearray()
    start = 0
    for end in _gif_ends(data):
        block = data[start:end]
        if not (block.startswith(_GIF_XMP) and (_speaks_of_gps(block) or _speaks_of_gps(_gif_content(block)))):
            kept += block
        start = end
    kept += data[start:]
    return bytes(kept)


def _gif_ends(data: bytes) -> Iterator[int]:
    """Yield where each part of a GIF file ends: its head, each extension, each image; up to the trailer."""
    end = 13 + _gif_colours(data[10:11])
    while end < len(data) and data[end] != _GIF_TRAILER:
        yield end
        start = end
        if data[start] == _GIF_EXTENSION:
            end = _gif_after(data, start + 2)
        elif data[start] == _GIF_IMAGE:
            end = _gif_after(data, start + 11 + _gif_colours(data[start + 9 : start + 10]))
        else:  # bytes that begin nothing are passed over, as decoders do
            beginning = _GIF_BEGINNING.search(data, start)
            end = beginning.start() if beginning else len(data)
    yield end


def _gif_colours(flags: bytes) -> int:
    """Return the length of the table of colours that the flags of a head tell of; none where the file has ended."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _gif_after(data: bytes, offset: int) -> int:
    """Return where the blocks of data end that begin at `offset`, each with its length before it, up to an empty one.

    A packet of XMP is not cut into blocks: a trailer leads whoever takes its letters for lengths to the right end.
    """
    while offset < len(data) and (length := data[offset]):
        offset += 1 + length
    return min(offset + 1, len(data))


def _gif_content(extension: bytes) -> bytes:
    """Return what is in the blocks of an extension, for those who do cut a packet into blocks."""
    content = bytearray()
    offset = 2
    while offset < len(extension) and (length := extension[offset]):
        content += extension[offset + 1 : offset + 1 + length]
        offset += 1 + length
    return bytes(content)


def _speaks_of_gps(packet: bytes) -> bool:
    return b"GPS" in packet
