"""What was typed on a terminal (pam_tty_audit(8)), as `ausearch -i` shows it: "text",<ret>,<up>.

Keys are those of the Linux console and of xterm (console_codes(4), terminfo(5)).
"""

from __future__ import annotations

import re

CONTROLS = {8: "backspace", 9: "tab", 10: "nl", 13: "ret", 127: "backspace"}
SEQUENCES = {
    b"[A": "up", b"[B": "down", b"[C": "right", b"[D": "left", b"[F": "end", b"[H": "home", b"[Z": "back-tab",
    b"OA": "up", b"OB": "down", b"OC": "right", b"OD": "left", b"OF": "end", b"OH": "home",
    b"OP": "F1", b"OQ": "F2", b"OR": "F3", b"OS": "F4",
    b"[1~": "home", b"[2~": "insert", b"[3~": "delete", b"[4~": "end", b"[5~": "page-up", b"[6~": "page-down",
    b"[7~": "home", b"[8~": "end", b"[11~": "F1", b"[12~": "F2", b"[13~": "F3", b"[14~": "F4", b"[15~": "F5",
    b"[17~": "F6", b"[18~": "F7", b"[19~": "F8", b"[20~": "F9", b"[21~": "F10", b"[23~": "F11", b"[24~": "F12",
}  # fmt: skip
NAMED = {bytes([number]): f"^{chr(number + 64)}" for number in range(1, 27)}
NAMED |= {bytes([number]): name for number, name in CONTROLS.items()}
NAMED |= {b"\x1b": "esc"} | {b"\x1b" + keys: name for keys, name in SEQUENCES.items()}
KEY = re.compile(b"|".join(re.escape(key) for key in sorted(NAMED, key=len, reverse=True)))


def keystrokes(typed: bytes) -> str:
    parts: list[str] = []
    at = 0
    for match in KEY.finditer(typed):
        parts += [quoted(typed[at : match.start()])] if match.start() > at else []
        parts.append(f"<{NAMED[match[0]]}>")
        at = match.end()
    parts += [quoted(typed[at:])] if at < len(typed) else []
    return ",".join(parts)


def quoted(typed: bytes) -> str:
    shown = [
        f"\\{chr(byte)}" if byte in b'\\"' else chr(byte) if 0x20 <= byte <= 0x7E else f"\\{byte:03o}" for byte in typed
    ]
    return f'"{"".join(shown)}"'
