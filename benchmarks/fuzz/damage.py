"""Changes that often hurt, to bytes and to JSON."""

import json
import random
from typing import Any

BYTES = [b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 64, b"../", b"\r\n", b"NaN", b"1e999", b"\xed\xa0\x80"]
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, 5e-324, 0.1),
    *(
        "",
        "x",
        "\0",
        "../x",
        "..\\x",
        "/etc/passwd",
        "mdl_" + "0" * 32,
        "a\r\nX-Evil: 1",
        "\ud800",
        "🜁" * 50,
        "A" * 5000,
    ),
    *("http://127.0.0.1:1/", "file:///etc/passwd", "data:image/png;base64,AAAA", "NaN", "Infinity", "${jndi:x}", "%00"),
    *([], {}, [[]], {"": ""}, {"npy": "AAAA"}, {"id": "dst_" + "0" * 32}, {"__proto__": 1}, [None], [[1], [2, 3]]),
    *([float("nan")], [float("inf")], float("nan"), float("-inf"), [0] * 3000, [[0.5] * 4] * 4, list(range(40))),
]
DEEP = 3_000


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four changes: flipped, cut off, repeated, taken out, or replaced by what often hurts."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        if rng.random() < 0.5:  # headers are where formats break
            at, end = sorted(rng.randrange(min(len(changed), 64) + 1) for _ in range(2))
        match rng.randrange(6):
            case 0 if changed:
                changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = changed[at:end]
            case 3:
                del changed[at:end]
            case 4:
                value = rng.choice(BYTES)
                changed[at : at + len(value)] = value
            case _:
                changed[at : at + 4] = rng.randbytes(4)
    return bytes(changed)


def spoilt(value: Any, rng: random.Random) -> Any:
    """JSON with one node replaced, removed, repeated or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        rest = {key: item for key, item in value.items() if key != name}
        new = {**value, rng.choice(["", "x", "__class__", "\0", "é" * 100, "inputs"]): rng.choice(NASTY)}
        return rng.choice([rest, new, *[{**value, name: spoilt(value[name], rng)}] * 8])
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        more = value[:at] + [value[at]] * rng.randint(2, 30) + value[at:]
        return rng.choice(
            [value[:at] + value[at + 1 :], more, *[[*value[:at], spoilt(value[at], rng), *value[at + 1 :]]] * 8]
        )
    if isinstance(value, str) and value and rng.random() < 0.5:
        return damaged(value.encode("utf-8", "replace"), rng).decode("latin-1")
    return rng.choice(NASTY)


def as_json(value: Any, rng: random.Random) -> bytes:
    """A value as JSON text, now and then damaged, deeply nested, with a name twice, or in another encoding."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    match rng.randrange(12):
        case 0:
            return damaged(text.encode("utf-8", "replace"), rng)
        case 1:
            return text.replace("{", '{"a": ' + rng.choice(["[", '{"a":']) * rng.randint(10, DEEP), 1).encode(
                "utf-8", "replace"
            )
        case 2:
            return text.replace("{", '{"base": 1, "support": {}, ', 1).encode("utf-8", "replace")
        case 3:
            return text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]), "replace")
    return text.encode("utf-8", "replace")
