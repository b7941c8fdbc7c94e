"""A Prometheus of its own over a stack, with the alert rules in a hurry: what waits minutes there waits seconds here."""

import copy
import json
import os
import re
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request

import yaml

from names import groups
from world import targets, wait_for

# Limits that are about time or numbers.
LOWERED = {
    "LeaseholdServiceUnattended": ("> 300", "> 25"),
    "LeaseholdOutboxWaits": ("> 120", "> 2"),
    "LeaseholdEventsComeAgain": ("> 20", "> 2"),
}


def hurried():
    """The rules' groups with short windows, limits and patience, and nothing else changed."""
    hurry = copy.deepcopy(groups())
    for rule in (rule for group in hurry for rule in group["rules"]):
        if rule["alert"] in LOWERED:
            limit, lower = LOWERED[rule["alert"]]
            assert limit in rule["expr"], rule
            rule["expr"] = rule["expr"].replace(limit, lower)
        # What holds all the time soon does; what happened stays in sight.
        rule["expr"] = re.sub(r"(min_over_time\([^[]*)\[\w+\]", r"\1[4s]", rule["expr"])
        rule["expr"] = re.sub(r"\[\d+[mh]\]", "[60s]", rule["expr"])
        if "for" in rule:
            rule["for"] = "1s"
    return hurry


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Prometheus:
    def __init__(self, stack):
        self._folder = tempfile.TemporaryDirectory(prefix="leasehold-prometheus-")
        folder = self._folder.name
        self._targets = len(targets(stack))
        scrapes = [{"job_name": job if not service else f"{job}-{service}", "static_configs": [
            {"targets": [address], "labels": {"job": job, **({"service": service} if service else {})}}]}
                   for (job, service), address in targets(stack).items()]
        config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
                  "rule_files": ["rules.yaml"], "scrape_configs": scrapes}
        for name, content in (("prometheus.yaml", config), ("rules.yaml", {"groups": hurried()})):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                yaml.safe_dump(content, file)
        self._url = f"http://127.0.0.1:{free_port()}"
        self._log = os.path.join(folder, "log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address={self._url.removeprefix('http://')}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("Prometheus", self._has_all)
        except AssertionError:
            with open(self._log, encoding="utf-8") as log:
                print(log.read())
            self.stop()
            raise

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def _get(self, path, **parameters):
        with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, promql):
        """[(labels, value)] of an instant."""
        return [(one["metric"], float(one["value"][1])) for one in self._get("/api/v1/query", query=promql)["result"]]

    def firing(self, alert):
        """The labels of each that fires now."""
        return [one["labels"] for one in self._get("/api/v1/alerts")["alerts"]
                if one["labels"]["alertname"] == alert and one["state"] == "firing"]

    def _has_all(self):
        try:
            # What is counted has to have been seen at 0 before a fault.
            return len(self.query("leasehold_ready == 1")) == self._targets
        except OSError:
            return False
