"""What the gate costs: AcquireLease with a token, held to a policy of 50 rules, against a gateway that asks nobody."""
import os
import shutil
import tempfile

from harness import figures, load
from harness.report import Bound, Row
from harness.rounds import alternate
from harness.stack import Stack, derive
from measure.sql.side_by_side import TENANT, ratio, shown

CALLERS = 64
RULES = 50

RULE = """  - name: {name}
    principals: ["{principal}"]
    operations: ["lease.*"]
    services: [core]
    tenants: ["*"]
    access: [read-write]
    max_ttl: 24h
"""


def policy():
    """The caller's is the last but one, so that all before it are looked at; the last one lets the stack's own daemons in."""
    rules = [RULE.format(name=f"other-{n}", principal=f"spiffe://example.org/ns/prod/sa/other-{n}") for n in range(RULES - 2)]
    rules.append(RULE.format(name="bench", principal="token:bench"))
    rules.append("""  - name: the-stack-itself
    principals: [anonymous]
    operations: ["*"]
    services: ["*"]
    tenants: ["*"]
    access: [read-write]
    others_leases: true
""")
    return "rules:\n" + "".join(rules)


def asking(text):
    return text.replace("gateway:\n", "gateway:\n  policy_file: policy.yaml\n  tokens_file: tokens\n", 1)


def measure(report, settings, side):
    side.dsns()  # the tenant is there
    folder = tempfile.mkdtemp(prefix="leasehold-bench-policy.")
    try:
        config = derive("one-tenant.yaml", folder, asking, {"policy.yaml": policy()})
        token = side.stack.run("leasehold", "token", "create", "bench", "--file", os.path.join(folder, "tokens"))
        os.chmod(os.path.join(folder, "tokens"), 0o644)
        token_file = side.stack.write("token", token)
        with Stack(config, 300) as guarded:
            guarded.run("leasehold", "tenant", "create", TENANT, "--wait")

            def calls(stack, *arguments):
                return lambda: load.run(stack, "leasehold-bench-leases", "acquire", "--gateway",
                                        stack.env["LEASEHOLD_GATEWAY"], "--callers", str(CALLERS), "--seconds",
                                        str(settings.seconds), "--tenant", TENANT, "--service", "core", *arguments,
                                        timeout=settings.seconds + 30)

            sides = alternate(settings.rounds, {
                "without": calls(side.stack),
                "with": calls(guarded, "--token-file", token_file),
            })
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    def rate(side_):
        return figures.median([outcome["req_per_s"] for outcome in side_])

    def text(value):
        return f"{figures.count(value)}/s"

    if isinstance(sides["with"], list):
        errors = sum(sum(outcome["errors"].values()) for outcome in sides["with"])
        if errors:
            report.note(f"AcquireLease with a policy: {errors:,} calls failed.")
    report.add(Row(f"AcquireLease with an API token, held to a policy of {RULES} rules, against one without, {CALLERS} callers",
                   shown(sides["with"], rate, text), direct=f"without {shown(sides['without'], rate, text)}",
                   ratio=ratio(sides, rate, "with", "without"), must=Bound(least=0.9), aim=Bound(least=0.95)))
