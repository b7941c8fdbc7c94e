"""The load generators of bench/load, which are built beside the daemons."""
import json
import os
import shutil
import subprocess

from harness.rounds import Failure


def program(name):
    leasehold = shutil.which("leasehold")
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(leasehold))), "bench", "bin", name) if leasehold else ""
    if not os.path.exists(path):
        raise SystemExit(f"{name} is not built; ./dev bench builds it")
    return path


def run(stack, name, *arguments, timeout):
    """The JSON object that it prints."""
    return json.loads(stack.run(program(name), *arguments, timeout=timeout))


class Idle:
    """leasehold-bench-sql idle, step by step."""

    def __init__(self, target_file, clients, patience):
        self._patience = patience
        self._process = subprocess.Popen(
            [program("leasehold-bench-sql"), "idle", "--target", target_file, "--clients", str(clients), "--patience",
             str(patience)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def connected(self):
        return self._answer()

    def answered(self):
        self._process.stdin.write("go on\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise Failure("the clients have ended early")
        return json.loads(line)
