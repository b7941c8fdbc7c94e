#!/usr/bin/env python3
"""Runs one driver's program against a stack of its own: run.py --binaries build/dev/bin --work DIR DRIVER [CASE…]

The program is told where to connect by the environment, prints a line a case and exits with 0 if all held. While it
runs the gateway's server connections are counted; more than the cap is a failure, whatever the program says. Exits with
77 (ctest's skip) if the driver is one of npm's and no registry can be reached.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

from npm import npm_install
from stack import HERE, CapSampler, Stack

CAP = 10  # of leasehold.yaml
PATIENCE = 300  # seconds for a whole program
TENANTS = ["acme", "globex", "initech"]


def command(driver, work):
    match driver:
        case "psycopg" | "asyncpg":
            return [sys.executable, "-B", str(HERE / f"with_{driver}.py")]
        case "pg" | "postgres":
            npm_install(HERE, work)
            # A module is looked for beside the program that asks for it.
            return ["node", shutil.copy(HERE / f"with_{driver}.mjs", work)]
        case "jdbc":
            return ["java", "-Xmx512m", "-cp", "/usr/share/java/postgresql.jar", str(HERE / "WithJdbc.java")]
    sys.exit(f"there is no driver '{driver}'; there are: psycopg, asyncpg, pg, postgres, jdbc")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, help="where leasehold is")
    parser.add_argument("--work", required=True, type=pathlib.Path, help="where npm installs")
    parser.add_argument("driver")
    parser.add_argument("cases", nargs="*", help="only those whose names hold one of these words")
    flags = parser.parse_args()
    argv = command(flags.driver, flags.work)
    with Stack(flags.binaries) as stack:
        stack.create_tenants(*TENANTS)
        environment = {
            **os.environ,
            "CENTRAL_DSN": stack.lease("--connection", "central", "alpha", "--switch-to", "*", "--ttl", "1h")[1],
            "TENANT_DSN": stack.lease(TENANTS[0], "alpha", "--ttl", "1h")[1],
            "TENANTS": ",".join(TENANTS),
        }
        sampler = CapSampler(stack, CAP)
        program = subprocess.Popen([*argv, *flags.cases], env=environment, stdin=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while program.poll() is None:
            sampler.sample()
            if time.monotonic() > end:
                program.kill()
                program.wait()
                sys.stdout.flush()
                sys.exit(f"FAILED: not done after {PATIENCE} s, and stuck in the case behind the last line above")
            time.sleep(0.01)
        sampler.close()
        if sampler.excess:
            sys.exit(f"FAILED: the cap, in {len(sampler.excess)} of {sampler.samples} samples; {sampler.excess[0]}")
        print(f"at most {sampler.most} server connections in {sampler.samples} samples (cap {CAP})", flush=True)
        sys.exit(program.returncode)


if __name__ == "__main__":
    main()
