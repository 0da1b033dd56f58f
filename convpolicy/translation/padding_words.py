"""How each framework says what is padded, read into changes of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import literal, size, word
from convpolicy.translation.values import Expression, Value, code_of

MODES = ("zeros", "reflect", "replicate", "circular")
SAMPLES = "padding is taken for a number of samples, as its value is not known here"
Found = dict[str, Any]  # changes of `Wanted`: "policy" (changes of it), "padding" (an expression), "stride", "dilation", "notes"


def torch(given: Mapping[str, Value]) -> Found:
    """``padding`` is a number or a word, ``padding_mode`` says what with; MindSpore's mint has the same."""
    mode = word("padding_mode", given["padding_mode"], MODES)
    padding = size("padding", given["padding"])
    if isinstance(padding, Expression):
        literal("padding", padding if mode != "zeros" else 0, f"padding_mode is {mode!r}")
        return {"padding": padding, "notes": [SAMPLES]}
    if isinstance(padding, str):
        word("padding", padding, ("same", "valid"))
    return {"policy": {"padding": padding, "padding_mode": mode}}


def mindspore(given: Mapping[str, Value]) -> Found:
    """``pad_mode`` is a word; ``padding`` a number under ``"pad"``."""
    for name in ("kernel_size", "stride", "padding", "dilation"):
        if isinstance(given[name], (tuple, list)):
            raise InvalidValueError(f"{name} must be an integer, got {given[name]!r}, which MindSpore refuses; pass the number.")
    mode, padding = word("pad_mode", given["pad_mode"], ("same", "valid", "pad")), given["padding"]
    if mode != "pad":
        if isinstance(padding, Expression) or padding != 0:
            raise InvalidValueError(
                f"padding must be 0 unless pad_mode is 'pad', got {code_of(padding)} with pad_mode={mode!r}; pass pad_mode='pad'."
            )
        return {"policy": {"padding": mode}}
    padding = size("padding", padding)
    if isinstance(padding, Expression):
        return {"padding": padding}
    if isinstance(padding, str):
        raise InvalidValueError(f"padding must be an integer, got {padding!r}; pass words as pad_mode.")
    return {"policy": {"padding": padding}}


def keras(given: Mapping[str, Value]) -> Found:
    """``padding`` is a word, in any case."""
    padding = literal("padding", given["padding"], "it decides what is padded")
    return {
        "policy": {
            "padding": word("padding", padding.lower() if isinstance(padding, str) else padding, ("valid", "same", "causal"))
        }
    }


def flax(given: Mapping[str, Value]) -> Found:
    """``padding`` is a word, a number, or one number or pair in a sequence; two words are modes."""
    padding = given["padding"]
    if isinstance(padding, (tuple, list)):
        if len(padding) != 1:
            raise InvalidValueError(
                f"padding must hold one item for one spatial axis, got {code_of(padding)}; pass [(left, right)]."
            )
        padding = padding[0]
        if isinstance(padding, (tuple, list)) and len(set(padding)) == 1 and isinstance(padding[0], Expression):
            padding = padding[0]
    if isinstance(padding, Expression):
        return {"padding": padding, "notes": [SAMPLES]}
    if isinstance(padding, str):
        padding = word("padding", padding.upper(), ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT"))
    elif isinstance(padding, (tuple, list)):
        for side in padding:
            literal("padding", side, "left and right differ")
    ones = {name: 1 for name in ("stride", "dilation") if given[name] is None}
    return {"policy": {"padding": padding}, **ones}


def paddle(given: Mapping[str, Value]) -> Found:
    """``padding`` is a word for zeros, a number, or a pair for zeros; 'SAME' sets the dilation to 1."""
    mode = word("padding_mode", given["padding_mode"], MODES)
    padding = given["padding"]
    if mode != "zeros" and (not isinstance(padding, int) or isinstance(padding, bool)):
        raise InvalidValueError(f"padding must be an integer when padding_mode is {mode!r}, got {code_of(padding)}; pass one.")
    if isinstance(padding, (tuple, list)):
        if len(padding) == 3 and all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in padding):
            axis = 1 if given["data_format"] == "NLC" else 2
            if any(tuple(pair) != (0, 0) for number, pair in enumerate(padding) if number != axis):
                raise InvalidValueError(
                    f"padding must leave batch and channels alone, got {code_of(padding)}; pass [left, right]."
                )
            padding = padding[axis]
        padding = padding[0] if len(padding) == 1 else padding
        for side in padding if isinstance(padding, (tuple, list)) else ():
            literal("padding", side, "left and right may differ")
    if isinstance(padding, Expression):
        return {"padding": padding, "notes": [SAMPLES]}
    if isinstance(padding, str):
        padding = word("padding", padding.upper(), ("SAME", "VALID"))
    own_mode = Choice("circular", overflow="periodic") if mode == "circular" else mode
    found: Found = {"policy": {"padding": padding, "padding_mode": own_mode}}
    if padding == "SAME" and given["dilation"] != 1:
        note = f"dilation={code_of(given['dilation'])} is 1 here: Paddle's 'SAME' sets it to 1 without saying so"
        found |= {"dilation": 1, "notes": [note]}
    return found
