"""CAR version 1 files, written and read: how blocks travel between this code and the JavaScript packages in tests.

Source: the CARv1 specification of IPLD: varint-framed sections, the first a DAG-CBOR header
`{roots: [CID], version: 1}`, the others a binary CID followed by its block.
"""

from collections.abc import Mapping

from unixfs import Cid
from unixfs.multibase import decode_varint, encode_varint

_HEADER_START = bytes.fromhex("a265726f6f747381d82a58")
"""A map of two; "roots": a list of one; tag 42 (a CID), a byte string with an 8-bit length."""
_HEADER_END = bytes.fromhex("6776657273696f6e01")
"""Version: 1."""


def write_car(root: Cid, blocks: Mapping[Cid, bytes]) -> bytes:
    """Return the CAR of one root."""
    link = b"\0" + bytes(root)
    header = _HEADER_START + bytes((len(link),)) + link + _HEADER_END
    sections = [header, *(bytes(cid) + block for cid, block in blocks.items())]
    return b"".join(encode_varint(len(section)) + section for section in sections)


def read_car(data: bytes) -> tuple[Cid, dict[Cid, bytes]]:
    """Return root and blocks of a CAR that the JavaScript writer made; every block is held against its CID."""
    sections: list[bytes] = []
    offset = 0
    while offset < len(data):
        length, offset = decode_varint(data, offset)
        sections.append(data[offset : offset + length])
        offset += length
    header = sections[0]
    assert header.startswith(_HEADER_START)
    assert header.endswith(_HEADER_END)
    root = Cid.from_bytes(header[len(_HEADER_START) + 2 : -len(_HEADER_END)])
    blocks: dict[Cid, bytes] = {}
    for section in sections[1:]:
        size = 34 if section[0] == 0x12 else 36
        cid, block = Cid.from_bytes(section[:size]), section[size:]
        assert cid.verifies(block)
        blocks[cid] = block
    return root, blocks
