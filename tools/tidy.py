#!/usr/bin/env python3
"""Repository rules that no compiler checks: which folder may include what, and a few habits.

    tools/tidy.py                 all rules over the whole tree; exit 1 with file:line: rule: what
    tools/tidy.py --rule NAME     one rule (tests/hygiene runs each as a test of its own)
    tools/tidy.py --list          names of the rules, one a line
    tools/tidy.py --self-test     shows every rule a good and a bad snippet: a rule that cannot fail
                                  checks nothing

The table FOLDERS below is the architecture. Packaged headers are on every include path, so that only
this table keeps Asio out of the Raft core. Where a rule makes code worse, change the rule here, with
the reason beside it.
"""

import argparse
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_FOLDERS = {".git", "build", "lockd-data", "__pycache__", ".cache", ".vscode", ".idea"}
TEXT_SUFFIXES = {".h", ".cc", ".proto", ".txt", ".md", ".py", ".sh", ".cmake", ".json", ".in", ""}
LINES_MAX = 600
# They spell out what they forbid.
THE_RULES_THEMSELVES = ("tools/tidy.py", "tests/hygiene/tidy_snippets.py")

# ---------------------------------------------------------------------------------------------------
# The include table.

# Library of an include that is not ours, by prefix; anything else in <> is std or POSIX, see below.
LIBRARIES = {
    "absl/": "absl",
    "google/protobuf/": "protobuf",
    "boost/": "asio",
    "spdlog/": "spdlog",
    "fmt/": "spdlog",
    "CLI/": "cli11",
    "nlohmann/": "json",
    "isa-l": "isal",
    "gtest/": "gtest",
    "gmock/": "gtest",
    "benchmark/": "benchmark",
}


@dataclass(frozen=True)
class Folder:
    """What files of a folder (or one file) may include, besides std and their own folder."""

    ours: tuple[str, ...]  # prefixes of repository paths
    libraries: tuple[str, ...]  # values of LIBRARIES, and "posix"
    pure: bool = False  # no clock, randomness, thread, I/O, environment, unordered container
    own_folder: bool = True


PRODUCT = ("protocol/", "consensus/", "server/", "client/")
EVERYTHING = tuple(sorted(set(LIBRARIES.values()))) + ("posix",)

# The longest matching prefix decides.
FOLDERS = {
    "protocol/base/": Folder((), ("absl",)),
    # The one place that knows which library computes CRC32C.
    "protocol/base/crc32c.cc": Folder((), ("absl", "isal")),
    "protocol/": Folder(("protocol/",), ("absl", "protobuf")),
    "consensus/raft/": Folder(("protocol/base/",), ("absl",), pure=True),
    "consensus/storage/": Folder(
        ("protocol/base/", "consensus/raft/types.h"), ("absl", "posix")
    ),
    "server/state/": Folder(("protocol/",), ("absl", "protobuf"), pure=True),
    "server/node/": Folder(
        (
            "protocol/",
            "consensus/raft/",
            "consensus/storage/log_job.h",
            "consensus/storage/snapshot_job.h",
            "server/state/",
        ),
        ("absl", "protobuf"),
        pure=True,
    ),
    "server/net/": Folder(
        ("protocol/", "consensus/", "server/node/", "server/state/types.h"),
        ("absl", "asio", "protobuf", "spdlog", "posix"),
    ),
    "server/": Folder(
        ("protocol/", "consensus/", "server/"),
        ("absl", "asio", "protobuf", "spdlog", "cli11", "json", "posix"),
    ),
    "client/": Folder(("protocol/",), ("absl", "asio", "protobuf", "posix")),
    "client/session_fsm": Folder(("protocol/",), ("absl", "protobuf"), pure=True),
    # A resource includes this one alone: no library but the number types.
    "client/fence_gate.h": Folder(("protocol/base/",), (), own_folder=False),
    # Examples see what a user sees: the public headers and Asio.
    "client/examples/": Folder(("client/",), ("absl", "asio")),
    "tools/": Folder(PRODUCT + ("tools/",), EVERYTHING),
    "tools/sim/": Folder(PRODUCT + ("tests/sim/", "tests/support/"), EVERYTHING),
    "tools/raft_script/": Folder(PRODUCT + ("tests/support/",), EVERYTHING),
    "tests/": Folder(PRODUCT + ("tools/", "tests/"), EVERYTHING),
}

IMPURE_STD = set(
    "thread chrono random iostream fstream filesystem mutex shared_mutex condition_variable future"
    " stop_token semaphore latch barrier ctime csignal unordered_map unordered_set".split()
)
IMPURE_ABSL = (
    "absl/time/clock.h",
    "absl/synchronization/",
    "absl/random/",
    "absl/debugging/",
)


# ---------------------------------------------------------------------------------------------------
# The tree as the rules see it.


@dataclass
class SourceFile:
    path: str  # from the repository root
    text: str
    lines: list[str] = field(init=False)

    def __post_init__(self):
        self.lines = self.text.split("\n")
        if self.lines and not self.lines[-1]:
            self.lines.pop()

    @property
    def is_cpp(self):
        return self.path.endswith((".h", ".cc"))

    def code(self):
        """The lines with comments and the contents of literals blanked; line numbers stay."""
        if not hasattr(self, "_code"):
            self._code = blank_comments_and_literals(self.text).split("\n")
        return self._code

    def includes(self):
        """(line number, name, is_quoted) of each #include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match.group(2), match.group(1) == '"'


def blank_comments_and_literals(text):
    token = re.compile(
        r'R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"'  # raw string
        r'|"(?:\\.|[^"\\\n])*"'  # string
        r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'"  # character, but not the ' of 1'000
        r"|//[^\n]*|/\*.*?\*/",
        re.DOTALL,
    )

    def blank(match):
        found = match.group(0)
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return '"' + re.sub(r"[^\n]", " ", found[1:-1]) + '"'

    return token.sub(blank, text)


class Tree:
    """All text files of the repository, or the snippets of a self-test."""

    def __init__(self, files):
        self.files = {f.path: f for f in files}

    @staticmethod
    def of_repository():
        files = []
        for folder, subfolders, names in os.walk(ROOT):
            subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
            for name in sorted(names):
                path = Path(folder, name)
                if name == ".git" or path.suffix not in TEXT_SUFFIXES or path.is_symlink():
                    continue
                try:
                    text = path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue  # a binary test file
                files.append(SourceFile(path.relative_to(ROOT).as_posix(), text))
        return Tree(files)

    def cpp(self):
        return (f for f in self.files.values() if f.is_cpp)


# ---------------------------------------------------------------------------------------------------
# The rules. Each is a function of the tree that yields (path, line, message).

RULES = {}


def rule(function):
    RULES[function.__name__] = function
    return function


def folder_of(path):
    matches = [prefix for prefix in FOLDERS if path.startswith(prefix)]
    return FOLDERS[max(matches, key=len)] if matches else None


def library_of(name, is_quoted):
    for prefix, library in LIBRARIES.items():
        if name.startswith(prefix):
            return library
    if is_quoted:
        return "ours"
    return "posix" if name.endswith(".h") else "std"


def include_error(path, folder, name, is_quoted):
    """Why `path` must not include `name`, or None."""
    library = library_of(name, is_quoted)
    if library == "ours":
        own = os.path.dirname(path) + "/"
        if folder.own_folder and name.startswith(own):
            return None
        if not any(name.startswith(prefix) for prefix in folder.ours):
            return f"{own} may not include {name}"
        return None
    if library == "std":
        if folder.pure and name in IMPURE_STD:
            return f"a pure part may not include <{name}>"
        return None
    if library not in folder.libraries:
        return f"{os.path.dirname(path)}/ may not include {name} ({library})"
    if folder.pure and name.startswith(IMPURE_ABSL):
        return f"a pure part may not include {name}"
    return None


@rule
def include_table(tree):
    """A folder includes only what the table FOLDERS allows."""
    for file in tree.cpp():
        folder = folder_of(file.path)
        if folder is None:
            yield file.path, 1, "this folder has no row in the table FOLDERS of tools/tidy.py"
            continue
        for number, name, is_quoted in file.includes():
            error = include_error(file.path, folder, name, is_quoted)
            if error:
                yield file.path, number, error


@rule
def include_paths(tree):
    """Our headers are included by their path from the root, in quotes; libraries as they document."""
    tops = ("protocol/", "consensus/", "server/", "client/", "tools/", "tests/")
    for file in tree.cpp():
        for number, name, is_quoted in file.includes():
            if not is_quoted and name.startswith(tops):
                yield file.path, number, f'write #include "{name}"'
            elif is_quoted and library_of(name, is_quoted) == "ours":
                generated = name.endswith(".pb.h")
                source = name[: -len(".pb.h")] + ".proto" if generated else name
                if source not in tree.files:
                    yield file.path, number, f"{name} is no path from the repository root"


@rule
def own_header_first(tree):
    """a.cc starts with a.h: so every header with a .cc is known to compile alone."""
    for file in tree.cpp():
        header = file.path[:-3] + ".h"
        if file.path.endswith(".cc") and header in tree.files:
            first = next(file.includes(), (1, "", True))
            if first[1] != header:
                yield file.path, first[0], f'the first include must be "{header}"'


@rule
def header_guard(tree):
    """Guards are LOCKD_<PATH>_H_."""
    for file in tree.cpp():
        if not file.path.endswith(".h"):
            continue
        guard = "LOCKD_" + re.sub(r"[^A-Za-z0-9]", "_", file.path).upper() + "_"
        directives = [line for line in file.code() if line.startswith("#")]
        if directives[:2] != [f"#ifndef {guard}", f"#define {guard}"]:
            yield file.path, 1, f"the header guard must be {guard}"


@rule
def threading_line(tree):
    """A header says who may call it: `Threading: pure value.`, `loop only.`, `any (locked).`, ..."""
    for file in tree.cpp():
        if not file.path.endswith(".h") or file.path.startswith("tests/"):
            continue
        declares = any(re.match(r"\s*(class|struct)\s+\w[^;]*\{", line) for line in file.code())
        if declares and "Threading:" not in file.text:
            yield file.path, 1, "no comment with a `Threading:` line"


@rule
def file_length(tree):
    """At most 600 lines; the head of a longer file says `Long because: ...`."""
    for file in tree.files.values():
        if not file.path.endswith((".h", ".cc", ".py", ".sh", ".proto", ".cmake")):
            continue
        if len(file.lines) > LINES_MAX and "Long because: " not in "\n".join(file.lines[:40]):
            yield (
                file.path,
                len(file.lines),
                f"{len(file.lines)} lines: split it, or say `Long because: ...` in its head",
            )


@rule
def todo(tree):
    """`TODO(issue): what is missing`, never a bare one."""
    for file in tree.files.values():
        if file.path in THE_RULES_THEMSELVES:
            continue
        for number, line in enumerate(file.lines, 1):
            for match in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b(.*)", line):
                if match.group(1) != "TODO" or not re.match(r"\((issue|#\d+)[^)]*\):? \w", match.group(2)):
                    yield file.path, number, "write `TODO(issue): what is missing`"


@rule
def no_sleep(tree):
    """Nothing waits by sleeping, but end-to-end tests, whose subject is real time."""
    pattern = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep|SleepFor|sleep)\s*\(")
    for file in tree.cpp():
        if file.path.startswith("tests/e2e/"):
            continue
        for number, line in enumerate(file.code(), 1):
            if pattern.search(line):
                yield file.path, number, "no sleep: wait for the event itself"


@rule
def pure_calls(tree):
    """Pure parts take time, randomness and settings as arguments, and hold no floating point."""
    words = r"\w+_clock::now|clock_gettime|gettimeofday|random_device|std::c(?:err|out)|thread_local|float|double"
    # Only called, and not as a member or in a declaration: `entry.time()` is fine.
    calls = r"(?<![\w.>]\s)(?<![\w.>])(?:std::)?(?:rand|srand|time|getenv|f?printf)(?=\()|(?<=return )time(?=\()"
    pattern = re.compile(rf"\b(?:{words})\b|{calls}")
    for file in tree.cpp():
        folder = folder_of(file.path)
        if not folder or not folder.pure:
            continue
        for number, line in enumerate(file.code(), 1):
            for match in pattern.finditer(line):
                yield file.path, number, f"`{match.group(0)}` in a pure part"


@rule
def hash_order(tree):
    """Pure parts never walk a hash map or set: its order changes at every process start."""
    declared = re.compile(r"\b(?:flat|node)_hash_(?:map|set)<[^;(]*>\s+(\w+)\s*(?:;|\{|=|ABSL_)")
    pure = [f for f in tree.cpp() if (folder_of(f.path) or Folder((), ())).pure]
    names_of = {f.path: set(declared.findall("\n".join(f.code()))) for f in pure}
    for file in pure:
        names = names_of[file.path] | names_of.get(file.path[:-3] + ".h", set())
        if not names:
            continue
        name = r"(?:\w+(?:\.|->))*(?:" + "|".join(sorted(names)) + ")"
        walk = re.compile(rf"\bfor\s*\([^;]*:\s*{name}\s*\)|\b{name}(?:\.|->)c?begin\(|\berase_if\({name}\b")
        for number, line in enumerate(file.code(), 1):
            if walk.search(line):
                yield file.path, number, "walks a hash container: keep an ordered one, or sort the keys"


@rule
def no_throw(tree):
    """Our functions do not throw: absl::Status for the world, LOCKD_CHECK for bugs."""
    for file in tree.cpp():
        # std::unique_lock demands of a Lockable that lock() reports failure by throwing.
        if file.path.startswith("tests/") or file.path == "client/lockable.cc":
            continue
        for number, line in enumerate(file.code(), 1):
            if re.search(r"\bthrow\b(?! CLI::)", line):  # how a CLI11 callback reports a bad value
                yield file.path, number, "no throw: return absl::Status, or LOCKD_CHECK"


@rule
def coroutine_lambda(tree):
    """No capturing lambda inside an expression with co_await: g++ 12 destroys it twice."""
    capture = re.compile(r"(?:^|[(,=?:&|{\s])\[(?!\])[^\[\]]*\]\s*(?:\([^()]*\)\s*)?(?:mutable|noexcept|->|\{)")
    for file in tree.cpp():
        code = "\n".join(file.code())
        for match in re.finditer(r"\bco_await\b[^;]*", code):
            if capture.search(match.group(0)):
                number = code.count("\n", 0, match.start()) + 1
                yield file.path, number, "name the lambda before the co_await"


@rule
def no_disabled_test(tree):
    """No test is switched off: one that does not run is documentation that lies."""
    for file in tree.cpp():
        for number, line in enumerate(file.code(), 1):
            if re.search(r"\bDISABLED_|\bGTEST_SKIP\b", line):
                yield file.path, number, "a test is switched off"


@rule
def no_machine_path(tree):
    """Nothing names a folder of somebody's machine."""
    pattern = re.compile(r"(?<![\w.$}/])/(home|root|Users|work)/\w")
    for file in tree.files.values():
        if file.path in THE_RULES_THEMSELVES:
            continue
        for number, line in enumerate(file.lines, 1):
            if pattern.search(line):
                yield file.path, number, "a path of one machine"


@rule
def listed_in_cmake(tree):
    """Every .cc and .proto is listed in the CMakeLists.txt of its folder or of one above: a file that
    nothing compiles is a lie. Headers follow their .cc, or are compiled alone (check_headers)."""
    for file in tree.files.values():
        if not file.path.endswith((".cc", ".proto")):
            continue
        folder = os.path.dirname(file.path)
        listed = False
        while not listed:
            cmake = tree.files.get(f"{folder}/CMakeLists.txt" if folder else "CMakeLists.txt")
            name = file.path[len(folder) + 1 :] if folder else file.path
            pattern = r"(^|[\s(\"/])" + re.escape(name) + r"($|[\s)\"])"
            listed = cmake is not None and re.search(pattern, cmake.text) is not None
            if not folder:
                break
            folder = os.path.dirname(folder)
        if not listed:
            yield file.path, 1, "listed in no CMakeLists.txt"


@rule
def script_habits(tree):
    """Shell scripts stop at the first error, say what they are, and are executable."""
    for file in tree.files.values():
        if not file.lines or not file.lines[0].startswith("#!"):
            continue
        on_disk = ROOT / file.path
        if on_disk.exists() and not os.access(on_disk, os.X_OK):
            yield file.path, 1, "has a #! line but is not executable"
        if "bash" in file.lines[0] and not re.search(r"^set -euo pipefail$", file.text, re.MULTILINE):
            yield file.path, 1, "no `set -euo pipefail`"


# ---------------------------------------------------------------------------------------------------


def self_test():
    """Every rule accepts its good snippets and refuses each of its bad ones."""
    sys.path.insert(0, str(ROOT / "tests" / "hygiene"))
    from tidy_snippets import SNIPPETS  # pylint: disable=import-outside-toplevel

    failures = [f"{name}: no snippets" for name in RULES if name not in SNIPPETS]
    for name, cases in SNIPPETS.items():
        for wanted, snippets in cases:
            files = [SourceFile(path, text) for path, text in snippets.items()]
            found = list(RULES[name](Tree(files)))
            if bool(found) != (wanted == "bad"):
                failures.append(f"{name}: {wanted} snippet {snippets} gave {found}")
    for failure in failures:
        print(failure)
    print(f"{len(SNIPPETS)} rules, {sum(len(c) for c in SNIPPETS.values())} snippets")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rule", choices=sorted(RULES), help="check only this rule")
    parser.add_argument("--list", action="store_true", help="print the names of the rules")
    parser.add_argument("--self-test", action="store_true", help="show that each rule can fail")
    options = parser.parse_args()
    if options.list:
        print("\n".join(RULES))
        return 0
    if options.self_test:
        return self_test()
    tree = Tree.of_repository()
    count = 0
    for name in [options.rule] if options.rule else RULES:
        for path, line, message in RULES[name](tree):
            print(f"{path}:{line}: {name}: {message}")
            count += 1
    if count:
        print(f"{count} violations; the rules and their reasons are in tools/tidy.py")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
