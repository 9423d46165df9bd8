#!/usr/bin/env python3
"""Copies of product sources with all mutations in them, each behind a switch that is off.

    make_sources.py --files         the product sources that some mutation touches, one a line
    make_sources.py OUTPUT_FOLDER   writes their mutated copies, and table.cc with the list of mutations

A mutation is a file NAME.mutant beside this script:

    R-01 Same-term step-down erases the vote. CCF#8094
    seeds: 1..40
    file: consensus/raft/core.cc
    <<<<
    what stands in the product, exactly once; part of a line or many lines
    ====
    what replaces it; the word MUTATED stands for "this mutation is on"
    >>>>

Further blocks go to the same file, or to that of another `file:` line. Every snippet is looked for in the
product's own text, so that mutations do not depend on each other; two that overlap are refused. A snippet
that is not there any more fails the build: the mutation then has to follow the product.
"""

import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent


class Fault(Exception):
    """A mutation that cannot be applied; the message says where."""


@dataclass(frozen=True)
class Block:
    where: str  # for messages: NAME.mutant:LINE
    old: str
    new: str


@dataclass
class Mutant:
    name: str
    title: str = ""
    seeds: tuple[int, int] = (0, 0)
    blocks: dict[str, list[Block]] = field(default_factory=dict)  # by product file

    @property
    def id(self) -> str:
        """Of the name alone, so that a new mutation leaves the copies alone that it does not touch."""
        return f"0x{hashlib.sha256(self.name.encode()).hexdigest()[:16]}"


def parse(name: str, text: str) -> Mutant:
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise Fault(f"{name}.mutant:1: no title")
    mutant = Mutant(name, lines[0].strip())
    product_file = None
    at = 1
    while at < len(lines):
        line = lines[at]
        where = f"{name}.mutant:{at + 1}"
        at += 1
        if not line.strip():
            continue
        if match := re.fullmatch(r"seeds: (\d+)\.\.(\d+)", line):
            mutant.seeds = (int(match[1]), int(match[2]))
        elif match := re.fullmatch(r"file: (\S+\.cc)", line):
            product_file = match[1]
        elif line == "<<<<":
            if product_file is None:
                raise Fault(f"{where}: a block before any `file:` line")
            try:
                middle = lines.index("====", at)
                end = lines.index(">>>>", middle)
            except ValueError:
                raise Fault(f"{where}: a block without ==== and >>>>") from None
            block = Block(where, "\n".join(lines[at:middle]), "\n".join(lines[middle + 1 : end]))
            if not re.search(r"\bMUTATED\b", block.new):
                raise Fault(f"{where}: the replacement does not say MUTATED: it could not be switched off")
            mutant.blocks.setdefault(product_file, []).append(block)
            at = end + 1
        else:
            raise Fault(f"{where}: not `seeds: A..B`, `file: PATH.cc` or <<<<: {line!r}")
    if not mutant.blocks or not 1 <= mutant.seeds[0] <= mutant.seeds[1]:
        raise Fault(f"{name}.mutant: needs a block and a line `seeds: A..B`")
    return mutant


def apply(text: str, path: str, blocks: list[tuple[str, Block]]) -> str:
    """`blocks` with the ids of their mutations, all against the same original text."""
    places = []
    for mutant_id, block in blocks:
        count = text.count(block.old)
        if count != 1 or not block.old.strip():
            raise Fault(f"{block.where}: its snippet stands {count} times in {path}, not once:\n{block.old}")
        start = text.index(block.old)
        places.append((start, start + len(block.old), mutant_id, block))
    places.sort(key=lambda place: place[:2])
    pieces = []
    done = 0
    before = None
    for start, end, mutant_id, block in places:
        if start < done:
            raise Fault(f"{block.where}: overlaps {before} in {path}")
        pieces.append(text[done:start])
        pieces.append(re.sub(r"\bMUTATED\b", f"::lockd::mutants::IsOn({mutant_id})", block.new))
        done = end
        before = block.where
    pieces.append(text[done:])
    header = '#include "tests/sim/mutants/active.h"\n'
    return f'{header}#line 1 "{path}"\n{"".join(pieces)}'


def table(mutants: list[Mutant]) -> str:
    rows = []
    for mutant in mutants:
        title = mutant.title.replace("\\", "\\\\").replace('"', '\\"')
        rows.append(f'      {{{mutant.id}, "{mutant.name}", "{title}", {mutant.seeds[0]}, {mutant.seeds[1]}}},\n')
    return (
        '#include "tests/sim/mutants/table.h"\n\n'
        "namespace lockd::mutants {\n\n"
        "const std::vector<Mutant>& AllMutants() {\n"
        "  static const std::vector<Mutant> all = {\n"
        f"{''.join(rows)}"
        "  };\n"
        "  return all;\n"
        "}\n\n"
        "}  // namespace lockd::mutants\n"
    )


def write(path: Path, text: str) -> None:
    """Only when it differs, so that what did not change is not compiled again."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        mutants = [parse(path.stem, path.read_text()) for path in sorted(HERE.glob("*.mutant"))]
        by_file: dict[str, list[tuple[str, Block]]] = {}
        for mutant in mutants:
            for path, blocks in mutant.blocks.items():
                by_file.setdefault(path, []).extend((mutant.id, block) for block in blocks)
        if arguments[0] == "--files":
            print("\n".join(sorted(by_file)))
            return 0
        output = Path(arguments[0])
        for path, numbered in by_file.items():
            write(output / path, apply((ROOT / path).read_text(), path, numbered))
        write(output / "table.cc", table(mutants))
    except Fault as fault:
        print(f"make_sources.py: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
