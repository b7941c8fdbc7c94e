"""A tenant created through the API until it is ready, one at a time, against one raw CREATE DATABASE on the same instance."""
import time

from harness import figures, rounds
from harness.report import Row
from harness.stack import Stack

ROWS = ("create",)


def run(report, settings, _):
    with Stack("../examples/hrms/leasehold.yaml", 100) as stack:
        numbers = iter(range(1000))

        def timed(what):
            start = time.monotonic()
            what(next(numbers))
            return (time.monotonic() - start) * 1000

        sides = rounds.alternate(settings.rounds * 3, {
            "raw": lambda: timed(lambda n: stack.psql(f"CREATE DATABASE raw_{n} TEMPLATE template0")),
            "tenant": lambda: timed(lambda n: stack.run("leasehold", "tenant", "create", f"bench-{n}", "--wait")),
        })
        measure = "tenant create --wait (three migrated databases, six roles) against one raw CREATE DATABASE"
        failed = [side for side in sides.values() if isinstance(side, rounds.Failure)]
        if failed:
            report.add(Row(measure, ours=f"failed: {failed[0]}"))
            return
        raw, tenant = figures.median(sides["raw"]), figures.median(sides["tenant"])
        report.add(Row(measure, direct=figures.milliseconds(raw), ours=figures.milliseconds(tenant), ratio=tenant / raw))
