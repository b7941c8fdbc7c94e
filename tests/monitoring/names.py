"""What docs/metrics.md, the alert rules and the dashboard name, and what a daemon's /metrics has."""

import json
import pathlib
import re

import yaml

PROJECT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = PROJECT / "k8s/components/monitoring"

# A histogram is these three.
PARTS = ("_bucket", "_count", "_sum")
SERIES = re.compile(r"\b(?:leasehold|process)_[a-z0-9_]+\b(?!\()")


def groups():
    """Of the alert rules: what a rules file has under the same key."""
    return yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]["groups"]


def rules():
    return [rule for group in groups() for rule in group["rules"]]


def dashboard_queries():
    """(panel, PromQL) with the dashboard's variables filled in."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [(panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$service", ".*"))
            for panel in panels for target in panel.get("targets", [])]


def series_in(query):
    return set(SERIES.findall(query))


def family_of(series, families):
    """A histogram's name for one of its series."""
    for part in PARTS:
        if series.endswith(part) and families.get(series.removesuffix(part)) == "histogram":
            return series.removesuffix(part)
    return series


def families_in(exposition):
    """{name: kind} of those that have a sample."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.M))
    sampled = set(re.findall(r"^([a-z]\w*)(?:\{| )", exposition, re.M))
    return {name: kind for name, kind in kinds.items()
            if name in sampled or (kind == "histogram" and name + "_count" in sampled)}


def documented():
    """{name: kind} of docs/metrics.md. Each row of its tables begins with a name; those by tenant are listed in a sentence."""
    text = (PROJECT / "docs/metrics.md").read_text()
    kinds = dict(re.findall(r"^\| `(\w+)[^`]*` \| (gauge|counter|histogram) \|", text, re.M))
    prefix, listed = re.search(r"with the prefix `(\w+)` in place of\s+`leasehold_sql_`: (.*?)\.\n\n", text, re.S).groups()
    for name in re.findall(r"`(\w+)`", listed):
        kinds[prefix + name] = kinds["leasehold_sql_" + name]
    return kinds
