"""Damage to files, chosen by a random number generator: to bytes, to words of a binary structure, to JSON."""

import copy
import json

ODD = [
    None, True, False, 0, 1, -1, 2, 2**28, 2**31, 2**63, 10**30, -(2**40), 0.5, -0.5, 1e308, 1e-320, "", "relu ", "relu", "Dense",
    "../x", "a/b", "\x00", "\u202e", "mine>Dense", "x", [], {}, [None], [[]], [0], [1, 2, 3], [None, -1], {"a": 1}, [2**40, 2**40],
    {"class_name": "Dense", "config": {}}, {"class_name": "__keras_tensor__", "config": {}}, ["x", 0, 0], ["y", 7, -1], "os.system",
    {"class_name": "function", "config": "getcwd", "module": "os", "registered_name": "function"}, "float16", "mixed_bfloat16", "int8",
    ["_CONSTANT_VALUE", -1, 2.0], ["x", 0, 0, {}], "<lambda>", "th", "LSTM", 1e-7, [[["x", 0, 0, {}]]], [["x", 0, 0], ["x", 0, 0]],
]  # fmt: skip
KEYS = [
    "filepath",
    "cache",
    "vocabulary",
    "dtype",
    "name",
    "module",
    "batch_input_shape",
    "registered_name",
    "node_def",
    "mode",
]
TEXTS = [
    "NaN",
    "Infinity",
    "-1e999",
    "[" * 2000,
    '{"a":' * 500,
    "1" * 5000,
    '"\\ud800"',
    "\ufeff",
    '"a":1,"a":1',
    "\x00",
    "'",
    "\\",
]
NUMBERS = [2**53 + 1, 2**63 - 1, 2**64, 10**39, 10**41, -(2**63), 1e300, 5e-324, -0.0, 3.5e38, 1e-46, 65_536, 1 << 20]
MARKS = ["\u0130", "\u00a0", "\u202e", "\ud800", "\u0000", "e\u0301", "\uff24", "\u200b", "\U0001f600", "\x7f", "\n", "%s", "{0}", "a" * 5000,
         "/", "..", "\\", "~", "-", "*"]  # fmt: skip


# Bytes


def flipped(data, rng):
    """Bytes changed, cut off, left out, doubled or put in."""
    data, start = bytearray(data), rng.randrange(len(data))
    kind, length = rng.randrange(7), rng.choice([1, 1, 2, 4, 8, 16, 100])
    if kind == 0:
        return bytes(data[:start])
    if kind == 1:
        del data[start : start + length]
    elif kind == 2:
        data[start:start] = rng.randbytes(length)
    elif kind == 3:
        data[start : start + length] = rng.choice([b"\x00", b"\xff", b"\x7f", b"\x80"]) * length
    elif kind == 4:
        other = rng.randrange(len(data))
        data[start : start + length] = data[other : other + length]
    else:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def changed_words(data, rng, start=0):
    """Aligned words changed, as those that hold sizes, addresses and flags: to limits, neighbors, and other words."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        width = rng.choice([1, 2, 4, 8])
        places = range(start, len(data) - width + 1, width)
        if not places:
            break
        at, other, limit = rng.choice(places), rng.choice(places), 1 << 8 * width
        old, new = (int.from_bytes(data[place : place + width], "little") for place in (at, other))
        odd = [0, 1, limit - 1, limit // 2, len(data), len(data) - 1, old + 1, old - 1, 2 * old, new, at, other]
        data[at : at + width] = (rng.choice([*odd, old ^ 1 << rng.randrange(8 * width)]) % limit).to_bytes(
            width, "little"
        )
    return bytes(data)


# JSON


def changed_json(config, rng):
    """A config with some of its values replaced, removed, doubled or exchanged."""
    config = copy.deepcopy(config)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        spots = [(outer, key) for outer in containers(config) for key in keys(outer)]
        if not spots:
            break
        outer, key = rng.choice(spots)
        kind = rng.randrange(9)
        if kind == 0:
            del outer[key]
        elif kind == 6:
            exchange(outer, key, *alike(spots, key, rng))
        elif kind == 7:
            outer[key] = distorted(outer[key], rng)
        elif kind == 8:
            restructure(outer, key, rng)
        elif kind == 1 and isinstance(outer, list):
            outer.insert(key, copy.deepcopy(rng.choice(outer)))
        elif kind == 1:
            outer[rng.choice([*KEYS, str(key) + "_"])] = rng.choice(ODD)
        elif kind == 2:
            other, name = rng.choice(spots)
            outer[key] = copy.deepcopy(other[name])
        elif kind == 3 and isinstance(outer[key], (int, float)) and not isinstance(outer[key], bool):
            value = outer[key]
            outer[key] = rng.choice([value + 1, -value, value * 2**20, float(value), str(value)])
        else:
            outer[key] = copy.deepcopy(rng.choice(ODD))
    return config


def alike(spots, key, rng):
    """A place where something of that name is, or any."""
    return rng.choice([spot for spot in spots if spot[1] == key] if rng.randrange(2) else spots)


def exchange(outer, key, other, name):
    outer[key], other[name] = copy.deepcopy(other[name]), copy.deepcopy(outer[key])


def distorted(value, rng):
    """Nearly that value: another number, another spelling, the same as another type, or inside many lists."""
    if isinstance(value, str) and value:
        at = rng.randrange(len(value) + 1)
        return rng.choice(
            [value[:at] + rng.choice(MARKS) + value[at:], value.swapcase(), value + " ", value * 2, value[::-1]]
        )
    if isinstance(value, bool):
        return rng.choice([int(value), float(value), str(value), None])
    if isinstance(value, (int, float)):
        return rng.choice([*NUMBERS, [value], value - 1, bool(value)])
    for _ in range(rng.choice([1, 2, 20, 99, 120])):
        value = [value] if rng.randrange(2) else {rng.choice(KEYS): value}
    return value


def restructure(outer, key, rng):
    """A key gets another name; a list is shuffled, repeated, cut off, or becomes an object."""
    value = outer[key]
    if isinstance(value, list) and value:
        many = [copy.deepcopy(item) for item in value for _ in range(rng.choice([2, 200 // len(value) + 1]))]
        indexed = {str(index): item for index, item in enumerate(value)}
        outer[key] = rng.choice([rng.sample(value, len(value)), many, value[: rng.randrange(len(value))], indexed])
    elif isinstance(outer, dict):
        outer[rng.choice([key.upper(), key + " ", key + "\u0301", *MARKS])] = outer.pop(key)


def containers(value):
    """All lists and objects in a JSON value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            yield value
            waiting += value.values() if isinstance(value, dict) else value


def keys(container):
    return list(container) if isinstance(container, dict) else range(len(container))


def changed_text(text, rng):
    """A JSON text that no writer writes."""
    start = rng.randrange(len(text))
    if rng.randrange(4) == 0 and (end := text.find(",", first := text.find('"', start))) > first >= 0:
        return text[:end] + "," + text[first:end] + text[end:]  # a key twice, where these are a key and its value
    return text[:start] + rng.choice(TEXTS) + text[start + rng.choice([0, 1, 5]) :]


def other_text(text, rng):
    """The JSON text of another config, or no JSON."""
    if rng.randrange(4) == 0:
        return changed_text(text, rng)
    return json.dumps(changed_json(json.loads(text), rng))
