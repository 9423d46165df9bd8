#!/usr/bin/env python3
"""The table of known bugs of other systems (tests/sim/README.md) tells the truth:
every number is there once, every test that it names exists, and what has no test has an argument.

    tests/hygiene/catalogue.py                the table; exit 1 with file:line: what
    tests/hygiene/catalogue.py --self-test    shows the check good and bad tables
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Numbers have gaps.
NUMBERS = {
    "R": "01 02 03 04 05 06 08 09 11 12 13 14 15 17 18 20 21 23 24 25 26 27 29 31 32 33 34 35 37 38 40 41 42 44 45 46"
         " 47 48 50 51 52 53 54 55 57 58 59",
    "S": "01 02 03 04 06 08 09 10 12 13 14 15",
    "L": "01 02 03 05 06 07 08 09 10 11 12 14 15 16 17 19 20 21 23 25 26 27 28 29 31 32 34 35 36 37 40 42 43 44 45",
    "N": "01 02 04 05 06 07 08 09 10 11 12 14 15 16 18 20 21 22",
}
KNOWN = [f"{family}-{number}" for family, numbers in NUMBERS.items() for number in numbers.split()]
# Families that must be complete.
DEMANDED_FAMILIES = "RSLN"

ROW = re.compile(r"^\|\s*([A-Z]-\d+)\s*\|")
GTEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
# The argument is what follows; below this length it is none.
ARGUMENT_LENGTH_MIN = 15


def tests_of_the_repository():
    names = set()
    for source in (ROOT / "tests").rglob("*.cc"):
        names.update(f"{suite}.{name}" for suite, name in GTEST.findall(source.read_text()))
    names.update(script.name for script in (ROOT / "tests/testdata").rglob("*.txt"))
    return names


def problems_of_row(cells, tests):
    if len(cells) != 4:
        return [f"{len(cells)} columns instead of number, what, source, test"]
    problems = [f"the column {name} is empty" for name, cell in zip(("what", "source", "test"), cells[1:]) if not cell]
    test = cells[3]
    named = QUOTED.findall(test)
    # ctest writes the binary's name before the test's.
    problems += [f"there is no test {name}" for name in named if name.rpartition("/")[2] not in tests]
    for excuse in re.finditer(r"(cannot apply:|waits? for)(.*)", test):
        argument = QUOTED.sub("", excuse.group(2)).strip()
        enough = ARGUMENT_LENGTH_MIN if excuse.group(1) == "cannot apply:" else len("TLS")
        if len(argument) < enough:
            problems.append(f'"{excuse.group(1)}" without an argument')
    if test and not named and not re.match(r"cannot apply: |waits for ", test):
        problems.append('neither a test nor "cannot apply: ..." nor "waits for ..."')
    return problems


def problems_of_tables(tables, tests, demanded):
    """`tables`: name -> text."""
    problems, seen = [], {}
    for name, text in tables.items():
        for number, line in enumerate(text.splitlines(), 1):
            row = ROW.match(line)
            if not row:
                continue
            where, entry = f"{name}:{number}", row.group(1)
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            problems += [f"{where}: {entry}: {problem}" for problem in problems_of_row(cells, tests)]
            if entry not in KNOWN:
                problems.append(f"{where}: {entry}: no such number")
            if entry in seen:
                problems.append(f"{where}: {entry}: also at {seen[entry]}")
            seen[entry] = where
    problems += [f"{entry}: missing" for entry in KNOWN if entry[0] in demanded and entry not in seen]
    return problems


def self_test():
    tests = {"Suite.Name", "story.txt"}
    complete = "\n".join(f"| {entry} | what | source#1 | `Suite.Name` |" for entry in KNOWN)
    good = {"the whole": complete, "prose about R-01": complete + "\nSee R-01 | `Nothing`."}
    for cell in ("`story.txt`, `Suite.Name`", "`binary/Suite.Name`; waits for TLS", "waits for snapshots",
                 "cannot apply: there is no such thing here"):
        good[cell] = complete.replace("`Suite.Name`", cell, 1)
    bad = {
        "a row is missing": complete.replace("| S-15 ", "| "),
        "a row is there twice": complete + "\n| R-01 | what | source#1 | `Suite.Name` |",
        "an unknown number": complete + "\n| R-07 | what | source#1 | `Suite.Name` |",
        "a column too few": complete.replace(" source#1 |", "", 1),
        "no source": complete.replace("source#1", "", 1),
    }
    for cell in ("", "`Suite.Other`", "`other.txt`", "Suite.Name", "cannot apply", "cannot apply: no", "waits for",
                 "`Suite.Name`; waits for"):
        bad[cell] = complete.replace("`Suite.Name`", cell, 1)
    failures = [f"refused a good table: {what}" for what, text in good.items()
                if problems_of_tables({"t": text}, tests, "RSLN")]
    failures += [f"accepted a bad table: {what}" for what, text in bad.items()
                 if not problems_of_tables({"t": text}, tests, "RSLN")]
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        problems = self_test()
    else:
        folder = ROOT / "tests/sim"
        files = [folder / "README.md"]
        tables = {str(file.relative_to(ROOT)): file.read_text() for file in files if file.exists()}
        problems = problems_of_tables(tables, tests_of_the_repository(), DEMANDED_FAMILIES)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
