#!/usr/bin/env python3
"""The completions of bash, zsh and fish, asked for by these shells themselves: shells.py --binaries build/dev/bin

For each: a command, an option's value, and a path where the option takes one.
"""

import argparse
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import time

# What is typed, and what has to be offered for it.
CASES = [
    (["leasehold", "ten"], {"tenant"}),
    (["leasehold", "tenant", "und"], {"undelete"}),
    (["leasehold", "instances", "--sort", "con"], {"connections"}),
    (["leasehold", "tenant", "create", "acme", "--wa"], {"--wait"}),
    (["leasehold", "completion", ""], {"bash", "zsh", "fish"}),
]
PATIENCE = 30


def run(argv, environment, **kwargs):
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
                          stdin=subprocess.DEVNULL, **kwargs)
    if done.returncode != 0 or done.stderr:
        sys.exit(f"FAILED: {argv}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def expect(shell, typed, offered, wanted):
    if not wanted <= set(offered):
        sys.exit(f"FAILED: {shell} offers {sorted(offered)} for {typed}, not {sorted(wanted)}")
    print(f"{shell}: {' '.join(typed)} -> {' '.join(sorted(offered))}")


def in_bash(words, environment, folder):
    quoted = " ".join(f"'{word}'" for word in words)
    script = (f"source <(leasehold completion bash); complete -p leasehold >/dev/null || exit 1; COMP_WORDS=({quoted}); "
              f"COMP_CWORD={len(words) - 1}; _leasehold; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return run(["bash", "-c", script], environment, cwd=folder).split()


def in_fish(words, environment, folder):
    line = " ".join(words)
    script = f"leasehold completion fish | source; complete -C '{line}'"
    return [row.split("\t")[0] for row in run(["fish", "--no-config", "-c", script], environment, cwd=folder).splitlines()]


def in_zsh(words, environment, folder):
    """zsh completes only where somebody types: the line that a tab makes of it."""
    script = ("autoload -U compinit; compinit -u -D; source <(leasehold completion zsh); "
              "LISTMAX=0; PS1='rea''dy> '")  # in two, so that its echo is not taken for it
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**environment, "TERM": "vt100", "COLUMNS": "120"})
    seen = b""

    def read_until(mark):
        nonlocal seen
        end = time.monotonic() + PATIENCE
        while mark not in seen and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    seen += os.read(terminal, 65536)
                except OSError:
                    break
        return mark in seen

    try:
        os.write(terminal, script.encode() + b"\n")
        if not read_until(b"ready> "):
            sys.exit(f"FAILED: zsh did not take the script: {seen.decode(errors='replace')}")
        wanted = next(iter(next(w for t, w in CASES if t == words)))
        seen = b""
        # What is offered is inserted if it is alone, else listed. zsh does not complete what it has not yet drawn.
        os.write(terminal, " ".join(words).encode())
        read_until(" ".join(words[1:]).rstrip().encode())
        os.write(terminal, b"\t")
        read_until(wanted.encode())
        return seen.decode(errors="replace").replace("\x07", " ").split()
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, type=pathlib.Path, help="where leasehold is")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leasehold-shells-") as folder:
        environment = {"PATH": f"{flags.binaries.resolve()}:{os.environ['PATH']}", "HOME": folder, "LANG": "C.UTF-8"}
        pathlib.Path(folder, "a-file.pem").touch()
        for shell, complete in (("bash", in_bash), ("fish", in_fish)):
            for typed, wanted in CASES:
                offered = complete(typed, environment, folder)
                expect(shell, typed, offered, wanted)
                if len(wanted) == 1 and set(offered) != wanted:
                    sys.exit(f"FAILED: {shell} offers more: {offered}")
        expect("fish", ["leasehold", "--ca", "a-f"], in_fish(["leasehold", "--ca", "a-f"], environment, folder), {"a-file.pem"})
        for typed, wanted in CASES:
            offered = in_zsh(typed, environment, folder)
            # A whole word that was begun stands on the line of the prompt.
            if not any(next(iter(wanted)) in word for word in offered):
                sys.exit(f"FAILED: zsh makes {offered} of {typed}, without {sorted(wanted)}")
            print(f"zsh: {' '.join(typed)} -> {' '.join(offered)}")
        bad = subprocess.run([flags.binaries / "leasehold", "completion", "tcsh"], capture_output=True, text=True, check=False)
        if bad.returncode != 2 or "allowed: bash, zsh, fish" not in bad.stderr:
            sys.exit(f"FAILED: completion tcsh: exit {bad.returncode}: {bad.stderr}")


if __name__ == "__main__":
    main()
