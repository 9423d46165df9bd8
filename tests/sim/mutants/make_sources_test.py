#!/usr/bin/env python3
"""Tests of make_sources.py: what it writes, and what it refuses."""

import unittest

import make_sources
from make_sources import Block, Fault

GOOD = """R-01 A title. somewhere#1
seeds: 3..40

file: a/b.cc
<<<<
old
====
MUTATED ? new : old
>>>>
"""


class Parse(unittest.TestCase):
    def test_reads_title_seeds_and_blocks(self):
        mutant = make_sources.parse("r01", GOOD)
        self.assertEqual(mutant.title, "R-01 A title. somewhere#1")
        self.assertEqual(mutant.seeds, (3, 40))
        self.assertEqual(
            mutant.blocks, {"a/b.cc": [Block("r01.mutant:5", "old", "MUTATED ? new : old")]}
        )

    def test_refuses_a_replacement_without_a_switch(self):
        with self.assertRaisesRegex(Fault, "r01.mutant:5: .*does not say MUTATED"):
            make_sources.parse("r01", GOOD.replace("MUTATED ? new : old", "new"))

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(Fault, "r01.mutant:2: .*'seed: 3'"):
            make_sources.parse("r01", GOOD.replace("seeds: 3..40", "seed: 3"))

    def test_refuses_seeds_that_are_none(self):
        with self.assertRaisesRegex(Fault, "seeds"):
            make_sources.parse("r01", GOOD.replace("3..40", "4..3"))

    def test_refuses_an_unfinished_block(self):
        with self.assertRaisesRegex(Fault, "r01.mutant:5: a block without"):
            make_sources.parse("r01", GOOD.replace(">>>>\n", ""))


class Apply(unittest.TestCase):
    def mutated(self, text, *blocks):
        return make_sources.apply(text, "a/b.cc", list(blocks)).split("\n", 2)[2]

    def test_two_mutations_share_a_line(self):
        first = ("1", Block("one.mutant:4", "x", "(MUTATED || x)"))
        second = ("2", Block("two.mutant:4", "y", "(MUTATED || y)"))
        expected = "if ((::lockd::mutants::IsOn(1) || x) && (::lockd::mutants::IsOn(2) || y)) z;\n"
        self.assertEqual(self.mutated("if (x && y) z;\n", second, first), expected)

    def test_messages_name_the_lines_of_the_original(self):
        whole = make_sources.apply("old\n", "a/b.cc", [("1", Block("w", "old", "MUTATED"))])
        self.assertIn('\n#line 1 "a/b.cc"\n', whole)

    def test_refuses_a_snippet_that_is_gone(self):
        with self.assertRaisesRegex(Fault, "one.mutant:4: its snippet stands 0 times in a/b.cc"):
            self.mutated("new\n", ("1", Block("one.mutant:4", "old", "MUTATED")))

    def test_refuses_a_snippet_that_stands_twice(self):
        with self.assertRaisesRegex(Fault, "2 times"):
            self.mutated("old old\n", ("1", Block("one.mutant:4", "old", "MUTATED")))

    def test_refuses_mutations_that_overlap(self):
        first = ("1", Block("one.mutant:4", "ab", "MUTATED"))
        second = ("2", Block("two.mutant:4", "bc", "MUTATED"))
        with self.assertRaisesRegex(Fault, "two.mutant:4: overlaps one.mutant:4"):
            self.mutated("abc\n", first, second)


if __name__ == "__main__":
    unittest.main()
