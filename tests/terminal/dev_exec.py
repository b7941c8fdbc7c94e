"""./dev exec: a command there learns where the running stack is, unless it would take that for the ports to listen on."""

import argparse
import os
import pathlib
import subprocess
import tempfile

INSIDE = pathlib.Path(__file__).resolve().parents[2] / "docker/dev/inside"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binaries", required=True)
    binaries = parser.parse_args().binaries
    with tempfile.TemporaryDirectory() as state:
        (pathlib.Path(state) / "stack.env").write_text(
            "LEASEHOLD_SQL=127.0.0.1:1234\nLEASEHOLD_GATEWAY=127.0.0.1:5678\nLEASEHOLD_CA='/a b/ca.crt'\n")
        bare = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}

        def run(*command, **own):
            environment = {**bare, "LEASEHOLD_STATE_DIR": state, **own}
            return subprocess.run([INSIDE, "exec", *command], env=environment, text=True, capture_output=True, check=False)

        def variables(command, **own):
            lines = run(command, **own).stdout.splitlines()
            return {line.split("=", 1)[0]: line.split("=", 1)[1] for line in lines if line.startswith("LEASEHOLD_")}

        told = variables("env")
        assert told["LEASEHOLD_SQL"] == "127.0.0.1:1234", told
        assert told["LEASEHOLD_CA"] == "/a b/ca.crt", told
        own = variables("env", LEASEHOLD_GATEWAY="elsewhere:1")
        assert (own["LEASEHOLD_GATEWAY"], own["LEASEHOLD_SQL"]) == ("elsewhere:1", "127.0.0.1:1234"), own

        # Who would listen there is not told: a program by such a name, and one where tests are.
        for place in ("leasehold-probe", "build/dev/tests/probe"):
            probe = pathlib.Path(state) / place
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.symlink_to("/usr/bin/env")
            assert "LEASEHOLD_SQL" not in variables(str(probe)), place

        # leasehold itself goes there.
        refused = run("leasehold", "status", PATH=f"{binaries}:{os.environ['PATH']}", LEASEHOLD_CA="")
        assert "127.0.0.1:5678" in refused.stderr, refused.stderr
        absent = run("no-such-program")
        assert absent.returncode == 127 and "there is no command no-such-program here" in absent.stderr, absent


main()
