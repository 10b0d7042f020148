"""Where an image was taken, removed without decoding it: EXIF's GPS block, and XMP packets that speak of GPS.

Pure; used by the ipfs service, and by the gateway for files that it names by their CID at once. The picture's own bytes
and every other tag (orientation above all) stay. The result of stripping twice is that of stripping once. An image
without a location is returned as it is, byte for byte.

Sources: JPEG (ITU T.81, segments), Exif 2.32 (APP1, tag 0x8825), XMP part 3 (where packets are embedded), PNG third
edition (`eXIf`, `iTXt`), the WebP container specification. Not done here: XMP in GIF files, maker notes.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import Image

_GPS_TAG: Final = 0x8825
_EXIF: Final = b"Exif\0\0"
_XMP_JPEG: Final = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_XMP_PNG: Final = b"XML:com.adobe.xmp\0"
_VP8X_XMP_FLAG: Final = 0x04


def without_location(data: bytes, content_type: str) -> bytes:
    """Return the image without what tells where it was taken; `data` itself when there is nothing of the kind."""
    match content_type:
        case "image/jpeg":
            return _jpeg(data)
        case "image/png":
            return _png(data)
        case "image/webp":
            return _webp(data)
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
    kept = bytearray(data[:2])
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF and data[offset + 1] != 0xDA:
        if data[offset + 1] == 0xFF:  # a fill byte
            kept += data[offset : offset + 1]
            offset += 1
            continue
        length = int(struct.unpack_from(">H", data, offset + 2)[0])
        segment = data[offset : offset + 2 + length]
        offset += 2 + length
        if segment[1] == 0xE1:
            segment = _app1(segment)
        kept += segment
    kept += data[offset:]
    return bytes(kept)


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
        elif kind in (b"iTXt", b"tEXt", b"zTXt") and _png_text_has_location(chunk[8:-4]):
            chunk = b""
        kept += chunk
    kept += data[offset:]
    return bytes(kept)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    if not content:
        return b""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_text_has_location(content: bytes) -> bool:
    """Tell whether a text chunk may hold a location. A compressed packet is not opened: it counts as one that does."""
    if content.startswith(b"Raw profile type "):
        return True
    if not content.startswith(_XMP_PNG):
        return False
    compressed = content[len(_XMP_PNG) : len(_XMP_PNG) + 1] == b"\x01"
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


def _speaks_of_gps(packet: bytes) -> bool:
    return b"GPS" in packet
