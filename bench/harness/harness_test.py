"""What needs no server: figures, verdicts, the table, RESULTS.md, the plot."""
import unittest
from xml.etree import ElementTree

from harness import figures, plot, results
from harness.report import Bound, Report, Row
from harness.rounds import Failure, alternate
from harness.settings import Settings


class Figures(unittest.TestCase):
    def test_a_quantile_is_of_the_nearest_rank(self):
        values = list(range(1000, 0, -1))
        self.assertEqual(figures.quantile(values, 0.99), 990)
        self.assertEqual(figures.quantile(values, 0.9901), 991)
        self.assertEqual(figures.quantile(values, 1), 1000)
        self.assertEqual(figures.quantile([7], 0.01), 7)


class Rounds(unittest.TestCase):
    def test_sides_take_turns(self):
        seen = []
        results_of = alternate(3, {"a": lambda: seen.append("a") or 1, "b": lambda: seen.append("b") or 2})
        self.assertEqual(seen, ["a", "b"] * 3)
        self.assertEqual(results_of, {"a": [1, 1, 1], "b": [2, 2, 2]})

    def test_a_side_that_fails_does_not_end_the_others_and_is_not_tried_for_ever(self):
        tries = []

        def fails():
            tries.append(1)
            raise Failure("why")

        results_of = alternate(5, {"a": lambda: 1, "b": fails})
        self.assertEqual(results_of["a"], [1] * 5)
        self.assertEqual(str(results_of["b"]), "why")
        self.assertEqual(len(tries), 2)

    def test_one_failure_of_many_rounds_does_not_decide(self):
        outcomes = iter([1, Failure("once"), 3, 4, 5])

        def sometimes():
            outcome = next(outcomes)
            if isinstance(outcome, Failure):
                raise outcome
            return outcome

        self.assertEqual(alternate(5, {"a": sometimes})["a"], [1, 3, 4, 5])


class Verdicts(unittest.TestCase):
    def test_bounds(self):
        self.assertEqual(Bound(least=1.25).cell(1.25), "≥ 1.25: met")
        self.assertEqual(Bound(least=1.25).cell(1.24), "≥ 1.25: missed")
        self.assertEqual(Bound(most=1.0).cell(1.01), "≤ 1: missed")
        self.assertEqual(Bound(text="0, 0", holds=True).cell(None), "0, 0: met")

    def test_without_a_ratio_nothing_is_met(self):
        self.assertEqual(Bound(least=0.0).cell(None), "≥ 0: missed")
        self.assertEqual(Bound(most=9.0).cell(None), "≤ 9: missed")

    def test_the_table_counts_the_musts(self):
        report = Report("x")
        report.rows = [Row("a", "1", ratio=2.0, must=Bound(least=1.0)), Row("b", "failed: a | b", must=Bound(least=1.0))]
        text = report.markdown()
        self.assertIn("1 of 2 musts are met.", text)
        self.assertEqual({line.count("|") for line in text.splitlines() if line.startswith("|")}, {8})


class ResultsFile(unittest.TestCase):
    def test_the_newest_is_first_and_a_second_run_of_a_day_replaces_the_first(self):
        text = results.merge("", "1: sql", "old\n")
        text = results.merge(text, "1: provisioning", "other\n")
        text = results.merge(text, "2: sql", "newer\n")
        text = results.merge(text, "1: sql", "again\n")
        self.assertNotIn("old", text)
        self.assertTrue(text.startswith("# Results\n"))
        self.assertEqual([line for line in text.splitlines() if line.startswith("## ")],
                         ["## 1: sql", "## 2: sql", "## 1: provisioning"])
        self.assertEqual(results.merge(text, "1: sql", "again\n"), text)


class Plot(unittest.TestCase):
    def test_it_is_well_formed_and_hides_no_failure(self):
        rows = [
            Row("a", "", ratio=1.5, must=Bound(least=1.0), bar="<a> & b"),
            Row("b", "", ratio=0.5, must=Bound(least=1.0), bar="b"),
            Row("c", "failed", ratio=None, must=Bound(least=1.0), bar="c"),
            Row("d", "", ratio=0.9),
        ]
        root = ElementTree.fromstring(plot.svg(rows, "title"))
        texts = [text.text for text in root.findall("{http://www.w3.org/2000/svg}text")]
        self.assertIn("<a> & b", texts)
        self.assertEqual(texts.count("failed"), 1)
        bars = root.findall("{http://www.w3.org/2000/svg}rect")
        self.assertEqual([bar.get("class") for bar in bars], ["ahead", "behind"])
        self.assertAlmostEqual(float(bars[0].get("width")), 3 * float(bars[1].get("width")), delta=0.2)


class SettingsOf(unittest.TestCase):
    def test_a_shortened_run_is_not_for_the_results(self):
        self.assertTrue(Settings.of({}).representative())
        self.assertTrue(Settings.of({"BENCH_ROUNDS": "9"}).representative())
        self.assertFalse(Settings.of({"BENCH_ROUNDS": "4"}).representative())
        self.assertFalse(Settings.of({"BENCH_CLIENTS": "16"}).representative())

    def test_a_bad_value_is_told(self):
        for name, value in (("BENCH_ROUNDS", "0"), ("BENCH_SECONDS", "x"), ("BENCH_MODES", "fast"), ("BENCH_CLIENTS", "a")):
            with self.assertRaisesRegex(ValueError, name):
                Settings.of({name: value})


if __name__ == "__main__":
    unittest.main()
