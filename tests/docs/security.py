"""docs/security.md names a test for each threat: it exists, is built, and has the test cases that the row names."""

import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs/security.md"

# A file of tests, and the cases in it that the text names right after it.
NAMED = re.compile(r"`([\w/]+_(?:\w*test|fuzz)\.cc)`((?:(?:,| and)? [A-Z][a-z]\w*[A-Z]\w*)*)")
# A suite that a text names alone may be one word.
SUITE = re.compile(r"`([\w/]+_(?:\w*test|fuzz)\.cc)` ([A-Z]\w+)")
CASE = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")


def sources():
    """All files that are built, by path."""
    return [path.relative_to(PROJECT) for top in ("common", "services", "tests") for path in (PROJECT / top).rglob("*.cc")]


def found(name, files):
    return [path for path in files if path.as_posix() == name or path.as_posix().endswith("/" + name)]


def is_built(path):
    lists = (PROJECT / path).with_name("CMakeLists.txt").read_text()
    topic = re.fullmatch(r"(\w+)_stacktest\.cc", path.name)
    return path.name in lists or (topic is not None and re.search(rf"\b{topic[1]}\b", lists) is not None)


def cases_in(path):
    return {name for case in CASE.findall((PROJECT / path).read_text()) for name in case}


def threats(text):
    """(line, cell of tests) of each row of a table of threats."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells == ["threat", "control", "test"]:
            inside = True
        elif inside and not set(line) <= set("|- "):
            yield number, cells[-1]


def wrong_in(text, files):
    """What is wrong, a sentence each."""
    for name, cases in [*NAMED.findall(text), *SUITE.findall(text)]:
        paths = found(name, files)
        if len(paths) != 1:
            yield f"{name}: {len(paths)} files have that name; allowed: one"
            continue
        if not is_built(paths[0]):
            yield f"{name}: no CMakeLists.txt names it"
        for case in re.findall(r"[A-Z]\w+", cases):
            if case not in cases_in(paths[0]):
                yield f"{name}: it has no test {case}"
    for number, cell in threats(text):
        if not NAMED.search(cell):
            yield f"line {number}: the threat names no test"


def main():
    files = sources()
    text = DOCUMENT.read_text()
    assert sum(1 for _ in threats(text)) > 30, "the tables of threats were not found"
    # The check itself: each kind of mistake is one.
    for mistake in ("`common/gone_test.cc`", "`tests/hostile_stacktest.cc` NobodyWroteThis", "`credentials_test.cc`",
                    "| threat | control | test |\n|---|---|---|\n| a | b | to come |"):
        assert list(wrong_in(mistake, files)), f"not noticed: {mistake}"
    mistakes = list(wrong_in(text, files))
    for mistake in mistakes:
        print(f"docs/security.md: {mistake}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
