"""./dev: what cannot be meant is refused, in one clear line, before anything is set up, built or removed."""

import argparse
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, **variables):
    return subprocess.run(command, env={**os.environ, **variables}, text=True, capture_output=True, check=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binaries")
    parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder)
        dev = shutil.copy(PROJECT / "dev", project)
        kept = project / "build"
        kept.mkdir()
        for arguments, complaint in {
                ("clean", "cache"): "./dev clean takes no arguments: 'cache'",
                ("down", "hrms"): "./dev down takes no arguments: 'hrms'",
                ("demo", "hrms", "handled"): "./dev demo takes one argument at most: 'handled'",
                ("build", "dev", "release"): "./dev build takes one argument at most: 'release'",
                ("fuzz", "1m"): "./dev fuzz: SECONDS is '1m'; allowed: 1 to 999999",
                ("fuzz", "0"): "./dev fuzz: SECONDS is '0'; allowed: 1 to 999999",
                ("tset",): "unknown command: tset",
        }.items():
            refused = run(dev, *arguments)
            assert refused.returncode == 2 and complaint in refused.stderr and refused.stdout == "", (arguments, refused)
        for asked in (("clean", "--help"), ("up", "-h"), ("help",), ()):
            told = run(dev, *asked)
            assert told.returncode == 0 and told.stdout.startswith("usage: ./dev COMMAND"), (asked, told)
        assert kept.is_dir()
        assert not (project / ".run").exists()

        assert run(dev, "clean").returncode == 0
        assert not kept.exists()

    inside = PROJECT / "docker/dev/inside"
    refused = run(inside, "build", "nosuch")
    assert refused.returncode == 1 and "there is no preset 'nosuch'" in refused.stderr, refused
    assert "there are: dev release asan-ubsan tsan fuzz\n" in refused.stderr, refused
    assert not (PROJECT / "build/nosuch").exists()
    refused = run(inside, "demo", "nosuch")
    assert refused.returncode == 1 and "there are: handled hrms\n" in refused.stderr, refused
    refused = run(inside, "bench", "nosuch")
    assert refused.returncode == 2 and "there is no benchmark 'nosuch'" in refused.stderr, refused
    assert "configuring" not in refused.stderr, refused

    # One demo at a time, for they share a folder.
    with tempfile.TemporaryDirectory() as state:
        folder = os.open(state, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        refused = run(inside, "demo", LEASEHOLD_STATE_DIR=state)
        assert refused.returncode == 1 and "a demo is already running here" in refused.stderr, refused
        os.close(folder)


main()
