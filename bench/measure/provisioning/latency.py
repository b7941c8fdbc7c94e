"""One tenant at a time while there are spares, against one raw CREATE DATABASE of the same template."""
import itertools

from harness import figures
from harness.report import Bound, Row
from harness.rounds import Failure, alternate
from measure.provisioning.field import SERVICES

MUST_P50, MUST_P99, AIM_P50 = 0.25, 1.0, 0.10


def measure(report, settings, field):
    services = itertools.cycle(SERVICES)
    sides = alternate(settings.provisioning_rounds, {"raw": lambda: field.raw(next(services)), "ours": field.announced})
    for side in sides.values():
        if isinstance(side, Failure):
            raise side
    raw = sides["raw"]
    ready, active = ([sample[i] for sample in sides["ours"]] for i in range(2))
    base = figures.median(raw)
    how = f"{len(ready)} tenants, one at a time"
    for what, times in (("event published → all three services ready", ready),
                        ("event published → the gateway calls the tenant ACTIVE, leases are given", active)):
        musts = times is ready
        for name, share, must, aim in (("p50", 0.5, MUST_P50, AIM_P50), ("p99", 0.99, MUST_P99, None)):
            value = figures.quantile(times, share)
            report.add(Row(f"{what}, {name} ({how})", figures.milliseconds(value), direct=figures.milliseconds(base),
                           ratio=value / base, must=Bound(most=must) if musts else None,
                           aim=Bound(most=aim) if musts and aim else None))
    report.note("Direct: the median of raw CREATE DATABASE … TEMPLATE with the same schema, on the same instances in alternating "
                f"rounds (its p99: {figures.milliseconds(figures.quantile(raw, 0.99))}).")
