#!/usr/bin/env python3
"""`leasehold top` on a real stack: one frame at a time, and live on a terminal of its own: top.py --binaries build/dev/bin

With --show it prints the screens that it sees.
"""

import argparse
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
import fcntl
import termios

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "drivers"))
from stack import Stack  # noqa: E402 (its folder has to be known first)

TENANTS = ["acme", "globex", "initech"]
PATIENCE = 30


class Screen:
    """What a terminal would show: of what FTXUI writes, cursor moves and text; colours are passed over."""

    def __init__(self, columns, lines):
        self.columns, self.lines = columns, lines
        self._cells = [[" "] * columns for _ in range(lines)]
        self._x = self._y = 0
        self._rest = ""

    def feed(self, data):
        self._rest += data.decode("utf-8", errors="replace")
        token = re.compile(r"\x1b\[([?0-9;]*) ?([A-Za-z])|\x1b\][^\x07]*\x07|\x1bP[^\x1b]*\x1b\\|([^\x1b])", re.S)
        at = 0
        while match := token.match(self._rest, at):
            at = match.end()
            if match[3]:
                self._put(match[3])
            elif match[2]:
                self._move(match[1], match[2])
        self._rest = self._rest[at:]

    def _put(self, character):
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._y = min(self._y + 1, self.lines - 1)
        elif character >= " ":
            if self._x < self.columns:
                self._cells[self._y][self._x] = character
            self._x += 1

    def _move(self, numbers, what):
        first = int(numbers) if numbers.isdigit() else 1
        match what:
            case "A":
                self._y = max(self._y - first, 0)
            case "B":
                self._y = min(self._y + first, self.lines - 1)
            case "C":
                self._x = min(self._x + first, self.columns - 1)
            case "D":
                self._x = max(self._x - first, 0)
            case "H":
                row, column = ([int(n or 1) for n in numbers.split(";")] + [1, 1])[:2] if numbers else (1, 1)
                self._y, self._x = row - 1, column - 1
            case "J":
                if numbers == "2":
                    self._cells = [[" "] * self.columns for _ in range(self.lines)]

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self._cells)


class Live:
    """`leasehold top` on a pseudo-terminal."""

    def __init__(self, argv, environment, columns=80, lines=24):
        self.screen = Screen(columns, lines)
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execve(argv[0], argv, {**environment, "TERM": "xterm-256color"})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.raw = b""

    def read(self, seconds=0.1):
        if select.select([self._terminal], [], [], seconds)[0]:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # the program has ended
                return
            self.raw += data
            # FTXUI asks where the cursor is; nobody else does.
            if b"\x1b[6n" in data:
                os.write(self._terminal, b"\x1b[1;1R")
            self.screen.feed(data)

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.read()
            if condition(self.screen.text()):
                return
        sys.exit(f"FAILED: no {what} on the screen:\n{self.screen.text()}")

    def end(self):
        """How it ended, once the terminal is as it was."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self._terminal)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"FAILED: it did not end:\n{self.screen.text()}")


def rows(screen):
    """Of the tenants, in their order."""
    found = []
    for line in screen.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] in [*TENANTS, "(central)"] and words[1] == "alpha":
            found.append(words[0])
    return found


def check_once(program, environment, show):
    def top(*arguments, **kwargs):
        return subprocess.run([program, "top", *arguments], env={**environment, **kwargs.pop("variables", {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    frame = top("--once", "--interval", "300ms")
    if frame.returncode != 0 or "\x1b" in frame.stdout or not all(name in frame.stdout for name in ("leasehold top", "acme", "alpha")):
        sys.exit(f"FAILED: --once: exit {frame.returncode}\n{frame.stdout}{frame.stderr}")
    if max(len(line) for line in frame.stdout.splitlines()) > 80:
        sys.exit(f"FAILED: wider than 80 columns:\n{frame.stdout}")
    if show:
        print(frame.stdout)
    with open("/dev/full", "w", encoding="utf-8") as full:
        unwritten = subprocess.run([program, "top", "--once", "--interval", "100ms"], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if unwritten.returncode != 1 or "not all of the output could be written" not in unwritten.stderr:
        sys.exit(f"FAILED: a full disk: exit {unwritten.returncode}, {unwritten.stderr}")
    filtered = top("--once", "--interval", "100ms", "--filter", "glob")
    if "acme" in filtered.stdout or "globex" not in filtered.stdout:
        sys.exit(f"FAILED: --filter glob:\n{filtered.stdout}")
    for arguments, code, text in ((("--sort", "age"), 2, "allowed: waiting"), (("--interval", "1ms"), 2, "allowed: 100ms"),
                                  ((), 1, "--once prints one frame"), (("--once", "--json"), 2, "no --json"),
                                  (("--once", "--gateway", "127.0.0.1:1"), 1, "does not answer")):
        refused = top(*arguments)
        if refused.returncode != code or text not in refused.stderr or refused.stdout:
            sys.exit(f"FAILED: top {arguments}: exit {refused.returncode}, {refused.stderr}")


def check_live(program, environment, stack, show):
    live = Live([program, "top", "--interval", "200ms"], environment)
    live.until(lambda text: set(rows(text)) >= set(TENANTS), "tenants")
    live.until(lambda text: re.search(r"^acme .* 0\s+-\s+0$", text, re.M), "rates, of a second look")
    if show:
        print(live.screen.text())
    live.until(lambda text: "sort: waiting" in text, "sort by waiting")
    live.type("s")
    live.until(lambda text: "sort: sessions" in text and rows(text)[0] == "globex", "globex first, by sessions")
    for _ in range(4):
        live.type("s")
    live.until(lambda text: "sort: tenant" in text and rows(text)[-3:] == TENANTS, "order of names")
    live.type("/init")
    live.until(lambda text: "filter: init" in text and rows(text) == ["initech"], "filter while it is typed")
    live.type("\r")
    live.until(lambda text: "filter: init" in text and "q quit" in text, "filter that is kept")
    live.type("\x1b")
    live.until(lambda text: len(rows(text)) >= 3, "all again")
    live.type("p")
    live.until(lambda text: "paused" in text, "pause")
    live.type("p")
    live.until(lambda text: "paused" not in text, "end of the pause")
    old = stack.pid_of("gateway")
    os.kill(old, signal.SIGSTOP)
    try:
        live.until(lambda text: "did not answer" in text, "word of a gateway that stands still")
    finally:
        os.kill(old, signal.SIGCONT)
    live.until(lambda text: "did not answer" not in text and "acme" in text, "figures again")
    live.type("q")
    if (code := live.end()) != 0:
        sys.exit(f"FAILED: q ends it with {code}")
    if b"\x1b[?1049l" not in live.raw and b"\x1b[?25h" not in live.raw:
        sys.exit("FAILED: the terminal is not given back")
    live = Live([program, "top"], environment, columns=100, lines=30)
    live.until(lambda text: "q quit" in text, "screen")
    live.type("\x03")
    if (code := live.end()) != 0:
        sys.exit(f"FAILED: Ctrl-C ends it with {code}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, type=pathlib.Path, help="where leasehold is")
    parser.add_argument("--show", action="store_true", help="print the screens")
    flags = parser.parse_args()
    program = str((flags.binaries / "leasehold").resolve())
    with Stack(flags.binaries) as stack:
        stack.create_tenants(*TENANTS)
        import psycopg  # as the stack has it
        sessions = [psycopg.connect(stack.lease(tenant, "alpha", "--ttl", "1h")[1], autocommit=True)
                    for tenant, count in (("acme", 1), ("globex", 3), ("initech", 1)) for _ in range(count)]
        for session in sessions:
            session.execute("SELECT 1")
        environment = {**os.environ, "LEASEHOLD_GATEWAY": stack.env["LEASEHOLD_GATEWAY"]}
        check_once(program, environment, flags.show)
        check_live(program, environment, stack, flags.show)
        for session in sessions:
            session.close()
    print("one frame at a time and live, with every key")


if __name__ == "__main__":
    main()
