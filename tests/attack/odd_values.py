"""Invalid values and changes of JSON content, from a seeded generator."""

from __future__ import annotations

import json
import math
import random
from typing import Any

HUGE = 10**400
# An XML document type whose entities, each ten of the one before, become 20 GB.
BILLION_LAUGHS = ('<!DOCTYPE a [<!ENTITY l0 "ha">' +
                  "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 11)) + "]>")


def odd_value(rng: random.Random, texts: tuple[str, ...] = ()) -> Any:
    """A value of any type: of numbers the limits, of texts the awkward ones and ``texts``."""
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind <= 2:
        return rng.choice([0, -1, 1, 2**31, 2**63, -2**63, 2**64, 10**18, HUGE, -HUGE])
    if kind <= 4:
        return rng.choice([0.0, -0.0, 1e-320, 1e308, -1e308, 0.5, math.nan, math.inf, -math.inf])
    if kind <= 7:
        return rng.choice([*texts, *texts, "", " ", "a\nb", "a\0b", "\ud800", "\x1b[31mred", "é",
                           "e\u0301", "\u202egpj", "x" * 5000, "1", "nan", "None", "..", "/",
                           "9" * 5000, "%s%n", "{0}", "CON", "\ufeffcat"])
    if kind == 8:
        return rng.choice([[], {}, [[]], [None], {"": None}, [{}]])
    if kind == 9:
        return [odd_value(rng, texts) for _ in range(rng.randrange(5))]
    if kind == 10:
        return {rng.choice(("id", "name", "x", "")): odd_value(rng, texts)}
    return nested(rng.choice([3, 50, 900]), rng.random() < 0.5)


def nested(depth: int, objects: bool = False) -> Any:
    """Lists, or objects, in each other."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if objects else [value]
    return value


def mutate(content: Any, rng: random.Random, texts: tuple[str, ...] = ()) -> str:
    """Change one place of JSON content, deep or not; returns what was done."""
    holder, path = content, ""
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return f"nothing at {path}"
        key = rng.choice(keys)
        path += f".{key}"[:40]
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.15:
            break
        holder = inner
    change = rng.choice(("value", "value", "value", "value", "drop", "double", "rename", "many"))
    if change == "value":
        holder[key] = odd_value(rng, texts)
        return f"{path} = {holder[key]!r}"[:120]
    if change == "drop":
        del holder[key]
    elif change == "double" and isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), holder[key])
    elif change == "many" and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice([10, 300]))
    elif isinstance(holder, dict):
        holder[rng.choice([f"{key}s", f" {key}", str(key).upper(), "", "bbox", "id"])] = holder[key]
        if change == "rename":
            del holder[key]
    return f"{change} {path}"


def dump_json(content: Any) -> str:
    """JSON as Python writes it: NaN and Infinity, lone surrogates and numbers of 400 digits too.
    """
    return json.dumps(content, ensure_ascii=True)


def corrupt_text(text: str, rng: random.Random) -> tuple[bytes, str]:
    """A file's bytes with something wrong in them as text, and what."""
    raw = text.encode("utf-8", "surrogatepass")
    at = rng.randrange(len(raw) + 1)
    kind = rng.choice(("cut", "byte", "bom", "utf16", "latin", "empty", "space", "nul", "twice",
                       "deep", "swap", "random", "key"))
    if kind == "cut":
        return raw[:at], f"cut at {at}"
    if kind == "byte":
        return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1:], f"byte {at}"
    if kind == "bom":
        return b"\xef\xbb\xbf" * rng.choice([1, 2]) + raw, "BOM"
    if kind == "utf16":
        return text.encode("utf-16", "surrogatepass"), "UTF-16"
    if kind == "latin":
        return raw[:at] + b"\xe9\xff" + raw[at:], "invalid UTF-8"
    if kind in ("empty", "space", "nul"):
        return {"empty": b"", "space": b" \n\t", "nul": b"\0" * 500}[kind], kind
    if kind == "twice":
        return raw + raw, "twice"
    if kind == "deep":
        depth = rng.choice([500, 5000, 200_000])
        return b"[" * depth + (b"]" * depth if rng.random() < 0.5 else b""), f"{depth} deep"
    if kind == "swap":
        return raw[at:] + raw[:at], f"rotated by {at}"
    if kind == "key":
        return raw.replace(b'"id"', b'"id": 1, "id"', rng.choice([1, -1])), "a key twice"
    return rng.randbytes(rng.choice([1, 50, 3000])), "random bytes"
