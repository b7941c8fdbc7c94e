#!/usr/bin/env python3
"""The man pages, read by groff and mandoc without a warning: man.py --binaries build/dev/bin"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile


def run(argv, **kwargs):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, **kwargs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", required=True, type=pathlib.Path, help="where leasehold is")
    program = str(parser.parse_args().binaries / "leasehold")
    with tempfile.TemporaryDirectory(prefix="leasehold-man-") as folder:
        # Another gateway in the environment must not become the default that the page tells of.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "LEASEHOLD_GATEWAY": "10.9.8.7:1"}
        made = run([program, "man", "--out", f"{folder}/pages"], env=environment)
        if made.returncode != 0:
            sys.exit(f"FAILED: leasehold man: {made.stderr}")
        pages = sorted(pathlib.Path(folder, "pages").iterdir())
        commands = [line.split()[0] for line in run([program, "--help"]).stdout.splitlines() if line.startswith("  ") and line[2:3].islower()]
        missing = {f"leasehold-{name}.1" for name in commands} - {page.name for page in pages}
        if missing or not commands or pathlib.Path(folder, "pages", "leasehold.1") not in pages:
            sys.exit(f"FAILED: no pages of {sorted(missing)}; there are {[page.name for page in pages]}")
        for page in pages:
            for reader in (["mandoc", "-Tlint", "-W", "warning"], ["groff", "-man", "-ww", "-z", "-Tutf8"]):
                read = run([*reader, str(page)])
                if read.returncode != 0 or read.stdout or read.stderr:
                    sys.exit(f"FAILED: {' '.join(reader)} {page.name}: exit {read.returncode}\n{read.stdout}{read.stderr}")
        shown = run(["mandoc", "-Tutf8", str(pathlib.Path(folder, "pages", "leasehold.1"))]).stdout
        if "10.9.8.7" in shown or "127.0.0.1:7450" not in shown:
            sys.exit("FAILED: the default of --gateway is not the program's own")
        print(f"{len(pages)} pages, no warning")
        one = run([program, "man", "tenant"], env=environment)
        if one.stdout != pathlib.Path(folder, "pages", "leasehold-tenant.1").read_text():
            sys.exit("FAILED: leasehold man tenant prints another page")
        bad = run([program, "man", "nothing"])
        if bad.returncode != 2 or "'nothing'" not in bad.stderr:
            sys.exit(f"FAILED: leasehold man nothing: exit {bad.returncode}: {bad.stderr}")


if __name__ == "__main__":
    main()
