"""Files as text: base64, plain or in a data URL."""

import base64
import binascii

LINE_BREAKS = {ord(character): None for character in " \t\r\n"}


def decode_base64(text: str, kind: str) -> bytes:
    """The bytes of a file of some kind (`image`, `audio`). Raises `ValueError` with a sentence for the caller."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ValueError(f"a data URL must read data:{kind}/…;base64,…")
    try:
        return base64.b64decode(text.translate(LINE_BREAKS), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the string is not valid base64") from None
