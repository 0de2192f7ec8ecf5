#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `make run`'s demo in a terminal of its own and draws what it printed as docs/images/demo.svg."""
import html
import os
import pathlib
import pty
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLOURS = {"1": "font-weight:bold", "2": "fill:#8b949e", "32": "fill:#3fb950", "31": "fill:#f85149"}
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 8.43, 19, 18


def run() -> str:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["CI"] = "true"
        os.environ["TERM"] = "xterm-256color"
        os.execv(ROOT / "tools/demo", ["demo"])
    output = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        sys.exit("the demo did not hold:\n" + output.decode(errors="replace"))
    return output.decode()


def spans(line: str) -> str:
    out, style = "", ""
    for part in re.split(r"(\x1b\[\d*m)", line):
        if part.startswith("\x1b["):
            code = part[2:-1]
            style = "" if code in ("", "0") else COLOURS.get(code, "")
        elif part:
            out += f'<tspan style="{style}">{html.escape(part)}</tspan>' if style else html.escape(part)
    return out


def draw(text: str) -> str:
    # The key is of a server that no longer runs; it is shortened all the same.
    text = re.sub(r"mg_[0-9a-f]{64}", "mg_8c86…b8434", text)
    lines = ["$ make run"] + text.replace("\r", "").rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
    width = int(max(len(line) for line in plain) * CHAR_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    rows = "\n".join(f'<text x="{MARGIN}" y="{MARGIN + (i + 1) * LINE_HEIGHT - 5}" xml:space="preserve">{spans(line)}</text>'
                     for i, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"><rect width="100%" height="100%" rx="8" fill="#0d1117"/>'
            f'<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" '
            f'fill="#e6edf3">\n{rows}\n</g></svg>\n')


if __name__ == "__main__":
    target = ROOT / "docs/images/demo.svg"
    target.write_text(draw(run()))
    print(target.relative_to(ROOT))
