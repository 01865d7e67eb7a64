"""Members of a zip, each inflated in one go: most of the time that reading one takes.

ISA-L (Intel's library; `isal`, installed with shapmix[train]) inflates two to three times as fast
as zlib and finds the checksum ten times as fast; where it is missing zlib does the work.
"""

from __future__ import annotations

import os
import struct
import zipfile
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import IO

_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name and of the extra field
_LEVEL, _DESCRIPTOR, _UTF8 = 0b110, 1 << 3, 1 << 11  # flags that change nothing for a reader


def inflate(file: IO[bytes], member: zipfile.ZipInfo) -> bytes | None:
    """Contents of a sound deflated member of the zip that `file` has open.

    None where anything is unusual, damaged or encrypted or its sizes lie: `zipfile` can then read
    it or say what is wrong. Takes no more memory than twice the size that the member declares.
    """
    usual = not member.flag_bits & ~(_LEVEL | _DESCRIPTOR | _UTF8)
    if not usual or member.compress_type != zipfile.ZIP_DEFLATED:
        return None
    if member.compress_size > member.file_size:
        return None
    deflate = _deflate()
    try:
        file.seek(member.header_offset)
        signature, name_size, extra_size = _HEADER.unpack(file.read(_HEADER.size))
        name = file.read(name_size).decode("utf-8" if member.flag_bits & _UTF8 else "cp437")
        file.seek(extra_size, os.SEEK_CUR)
        stream = deflate.decompressobj(-15)
        content: bytes = stream.decompress(file.read(member.compress_size), member.file_size + 1)
    except (OSError, ValueError, OverflowError, struct.error, deflate.error):
        return None
    sound = (
        stream.eof
        and signature == b"PK\x03\x04"
        and name == member.orig_filename
        and len(content) == member.file_size
        and deflate.crc32(content) == member.CRC
    )
    return content if sound else None


@cache
def _deflate() -> ModuleType:
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return import_module("zlib")
