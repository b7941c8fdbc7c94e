"""One run of pgbench, with the exact p99 out of its log of every transaction."""
import dataclasses
import glob
import os
import re
import subprocess
import threading

from harness import figures
from harness.rounds import Failure
from harness.stack import WHERE

CONNECT_PATIENCE = 25


@dataclasses.dataclass(frozen=True)
class Outcome:
    tps: float
    p99_ms: float
    transactions: int
    cpu_us: float = 0.0  # of the proxy, per transaction


def threads(clients):
    return min(clients, os.cpu_count() or 1)


def command(dsn, clients, seconds, options):
    return ["pgbench", "-n", "-c", str(clients), "-j", str(threads(clients)), "-T", f"{max(1, round(seconds))}", *options, dsn]


def run(stack, dsn, clients, seconds, options, proxy=None):
    """`proxy`: the process whose CPU time is charged to the transactions."""
    prefix = stack.path("pgbench-log")
    for left_over in glob.glob(prefix + ".*"):
        os.unlink(left_over)
    before = figures.cpu_seconds(proxy) if proxy else 0
    out = stack.run(*command(dsn, clients, seconds, [*options, "-l", f"--log-prefix={prefix}"]), timeout=seconds + 25)
    cpu = figures.cpu_seconds(proxy) - before if proxy else 0
    latencies = []
    for path in glob.glob(prefix + ".*"):
        with open(path, "rb") as file:
            latencies += [int(line.split(b" ", 3)[2]) for line in file]
        os.unlink(path)
    tps = re.search(r"^tps = ([0-9.]+)", out, re.M)
    transactions = re.search(r"actually processed: (\d+)", out)
    failed = re.search(r"failed transactions: (\d+)", out)
    if not tps or not transactions or not latencies:
        raise Failure("pgbench gave no figures")
    if failed and int(failed.group(1)) > 0:
        raise Failure(f"{failed.group(1)} transactions failed")
    number = int(transactions.group(1))
    return Outcome(float(tps.group(1)), figures.quantile(latencies, 0.99) / 1000, number, cpu / number * 1e6)


class Flood:
    """pgbench in the background, from when all its clients are connected to the end of the block. Failure if they do not all
    connect, or end earlier."""

    def __init__(self, stack, dsn, clients, seconds, options):
        # Threads connect their clients one after the other and begin together; -P tells when that has been.
        self._command = command(dsn, clients, seconds, [*options, "-P", "1"])
        self._stack = stack
        self._process = None
        self._said = []
        self._reader = None

    def __enter__(self):
        self._process = subprocess.Popen(self._command, env=self._stack.env, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True)
        begun, decided = threading.Event(), threading.Event()

        def read():
            for line in self._process.stderr:
                if line.startswith("progress:"):
                    begun.set()
                    decided.set()
                else:
                    self._said.append(line.strip())
            decided.set()

        self._reader = threading.Thread(target=read)
        self._reader.start()
        decided.wait(CONNECT_PATIENCE)
        if not begun.is_set():
            self._stop()
            raise Failure(self._last_words("the flood does not begin"))
        return self

    def __exit__(self, kind, *_):
        ended = self._process.poll() is not None
        self._stop()
        if ended and kind is None:
            raise Failure(self._last_words("the flood ended early"))

    def _stop(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stderr.close()

    def _last_words(self, what):
        said = [line for line in self._said if line]
        return f"{what}: {WHERE.sub('', said[0])[:150]}" if said else what
