"""Text from outside: made fit to keep (`clean`), and made fit to look at (`visible`)."""

import re

# NUL and other control characters except tab and newline, lone surrogates, byte-order marks, Unicode's interlinear marks.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufff9-\ufffb]")
_LINE_ENDS = re.compile("\r\n?|\x0b|\x0c|\x85")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def clean(text: str) -> str:
    """Text that every store and terminal can hold: line ends are newlines; what is not text becomes U+FFFD, byte-order marks go."""
    if not _UNFIT.search(text):
        return text
    text = _LINE_ENDS.sub("\n", text).replace("\ufeff", "")
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def visible(text: str) -> str:
    """The text with everything that hides or reorders (direction marks, zero-width and tag characters, terminal escapes) written out
    as `‹U+202E›`."""
    return _HIDDEN.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)
