"""AcquireLease against the gRPC health Check of the same server: what a lease costs beyond a call that does nothing."""
from harness import figures, load
from harness.report import Bound, Row
from harness.rounds import alternate
from measure.sql.side_by_side import TENANT, ratio, shown

CALLERS = 64


def measure(report, settings, side):
    stack = side.stack
    side.dsns()  # the tenant is there

    def calls(call, *arguments):
        return lambda: load.run(stack, "leasehold-bench-leases", call, "--gateway", stack.env["LEASEHOLD_GATEWAY"],
                                "--callers", str(CALLERS), "--seconds", str(settings.seconds), *arguments,
                                timeout=settings.seconds + 30)

    sides = alternate(settings.rounds, {
        "health Check": calls("health"),
        "AcquireLease": calls("acquire", "--tenant", TENANT, "--service", "core"),
    })

    def rate(side_):
        return figures.median([outcome["req_per_s"] for outcome in side_])

    def text(value):
        return f"{figures.count(value)}/s"

    errors = sum(sum(outcome["errors"].values()) for outcome in sides["AcquireLease"]) if isinstance(
        sides["AcquireLease"], list) else 0
    if errors:
        report.note(f"AcquireLease: {errors:,} calls failed.")
    report.add(Row(f"AcquireLease against the health Check, {CALLERS} callers", shown(sides["AcquireLease"], rate, text),
                   direct=f"health Check {shown(sides['health Check'], rate, text)}",
                   ratio=ratio(sides, rate, "AcquireLease", "health Check"), must=Bound(least=0.6), aim=Bound(least=0.8)))
