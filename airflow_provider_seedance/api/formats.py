"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_PREFIXES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"ID3", "mp3"),
)


def sniff_format(head: bytes) -> str | None:
    """
    Tell a file's format from its first bytes, never from its name.

    :param head: The first 32 bytes or more.
    :return: ``jpeg``, ``png``, ``webp``, ``bmp``, ``tiff``, ``gif``, ``heic``, ``heif``, ``wav``, ``mp3``, ``mp4``,
        ``mov``, or None for anything else.
    """
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_iso_media(head)
    if head[4:8] in _QUICKTIME_ATOMS:
        return "mov"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return "mp3" if _is_mp3_frame(head) else None


def _sniff_iso_media(head: bytes) -> str | None:
    """Read the brands of an ISO base media file: HEIF, QuickTime and MP4 share that container."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, end - 3, 4)]
    major = brands[0]
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and b"avif" in brands):
        return None
    if major in _HEIC_BRANDS:
        return "heic"
    if major in (b"mif1", b"msf1"):
        return "heic" if _HEIC_BRANDS & set(brands) else "heif"
    if major == b"qt  ":
        return "mov"
    return None if major in (b"M4A ", b"M4B ") else "mp4"


def _is_mp3_frame(head: bytes) -> bool:
    """Tell an MPEG audio layer III frame header, which AAC's differs from in the layer bits."""
    return (
        len(head) > 3
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    )
