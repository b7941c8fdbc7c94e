#!/usr/bin/env python3
"""pg_dump of a tenant's database through the gateway, with a lease and no options of its own: dump.py --binaries build/dev/bin"""

import argparse
import pathlib
import subprocess
import sys

from stack import Stack


def dump(dsn, *arguments):
    done = subprocess.run(["pg_dump", dsn, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        sys.exit(f"FAILED: pg_dump {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def expect(what, holds):
    if not holds:
        sys.exit(f"FAILED: {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", required=True)
    with Stack(parser.parse_args().binaries) as stack:
        stack.create_tenants("acme")
        for access in ([], ["--read-only"]):
            dsn = stack.lease("acme", "alpha", *access)[1]
            text = dump(dsn)
            expect(f"the tenant's row, with {access}", "\nacme\n" in text)
            expect(f"no secret, with {access}", "history_secret" in text and "\\\\x" not in text)
            # Several sessions that share a snapshot, and one transaction each.
            folder = pathlib.Path(stack.directory, f"dump{len(access)}")
            dump(dsn, "--format=directory", "--jobs=3", f"--file={folder}")
            expect(f"a table of contents, with {access}", (folder / "toc.dat").exists())
        print("pg_dump: ok", flush=True)


if __name__ == "__main__":
    main()
