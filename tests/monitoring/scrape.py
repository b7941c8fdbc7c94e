#!/usr/bin/env python3
"""Holds docs/metrics.md, the alert rules and the dashboard to what a real stack serves: scrape.py --binaries build/dev/bin

Exits with 77 (ctest's skip) where there is no promtool."""

import re
import subprocess
import tempfile
import unittest

import yaml

from names import (PROJECT, dashboard_queries, documented, families_in, family_of, groups, rules, series_in)
from world import connect, make_a_failing_tenant, scrape, started, targets, wait_for, watched_stack

BINARIES = None


def promtool(*arguments, text=""):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def rules_file(folder, content):
    path = f"{folder}/rules.yaml"
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump({"groups": content}, file)
    return path


def use_everything(stack):
    """Until every series that needs a reason has one."""
    stack.leasehold("tenant", "create", "acme", "--wait")
    make_a_failing_tenant(stack, "taken")
    with connect(stack, "acme", "alpha") as session:
        session.execute("SELECT 1")
        provisioner = targets(stack)["provisioner", "alpha"]
        wait_for("a failure", lambda: "leasehold_provisioner_failures_total{" in scrape(provisioner))
        wait_for("a count", lambda: "leasehold_provisioner_tenants{" in scrape(provisioner))
        wait_for("a look at all", lambda: "leasehold_events_pending{" in scrape(stack.env["LEASEHOLD_HTTP"]))
        return {job: scrape(address) for job, address in targets(stack).items()}


class Scrape(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with watched_stack(BINARIES) as (stack, _):
            cls.texts = use_everything(stack)
        # Certificates are told of where there are any.
        with watched_stack(BINARIES, ["--tls"]) as (stack, _):
            cls.encrypted = {job: scrape(address) for job, address in targets(stack).items()}
        cls.families = {}
        for text in [*cls.texts.values(), *cls.encrypted.values()]:
            cls.families.update(families_in(text))

    def test_the_reference_lists_what_there_is(self):
        listed = documented()
        self.assertEqual((set(self.families) - set(listed), set(listed) - set(self.families)), (set(), set()))
        self.assertEqual(listed, self.families)

    def test_promtool_takes_each_scrape(self):
        for job, text in [*self.texts.items(), *self.encrypted.items()]:
            status, said = promtool("check", "metrics", text=text)
            self.assertEqual((status, said), (0, ""), job)

    def test_alerts_name_series_that_exist(self):
        for rule in rules():
            named = series_in(rule["expr"])
            self.assertTrue(named, rule["alert"])
            for series in named:
                self.assertIn(family_of(series, self.families), self.families, rule["alert"])

    def test_the_dashboard_names_series_that_exist(self):
        queries = dashboard_queries()
        self.assertGreater(len(queries), 40)
        for panel, query in queries:
            named = series_in(query) | ({"leasehold_ready"} if "ALERTS" in query else set())
            self.assertTrue(named, panel)
            for series in named:
                self.assertIn(family_of(series, self.families), self.families, panel)

    def test_tenants_are_as_many_as_are_allowed(self):
        named = re.findall(r'^leasehold_sql_tenant_clients\{.*tenant="(.*?)"', self.texts["gateway", ""], re.M)
        self.assertIn("acme", named)
        self.assertNotIn("taken", named)


class Rules(unittest.TestCase):
    def test_promtool_takes_the_rules(self):
        with tempfile.TemporaryDirectory() as folder:
            status, said = promtool("check", "rules", "--lint=all", "--lint-fatal", rules_file(folder, groups()))
        self.assertEqual(status, 0, said)
        self.assertIn(f"{len(rules())} rules found", said)

    def test_promtool_takes_the_dashboards_queries(self):
        recorded = [{"record": f"panel:{i}", "expr": query} for i, (_, query) in enumerate(dashboard_queries())]
        with tempfile.TemporaryDirectory() as folder:
            status, said = promtool("check", "rules", rules_file(folder, [{"name": "dashboard", "rules": recorded}]))
        self.assertEqual(status, 0, said)

    def test_each_alert_has_its_runbook(self):
        headings = re.findall(r"^#+ (\w+)$", (PROJECT / "docs/operations.md").read_text(), re.M)
        names = [rule["alert"] for rule in rules()]
        self.assertEqual(len(names), len(set(names)))
        for rule in rules():
            self.assertEqual(rule["annotations"]["runbook_url"], f"docs/operations.md#{rule['alert'].lower()}")
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
        self.assertEqual([heading for heading in headings if heading.startswith("Leasehold")], names)


if __name__ == "__main__":
    BINARIES, arguments = started(__doc__, "promtool")
    unittest.main(argv=arguments, verbosity=2)
