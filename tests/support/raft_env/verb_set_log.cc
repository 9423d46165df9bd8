#include "tests/support/raft_env/verbs.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lockd::raft_env {
namespace {

void TakeBase(datadriven::Arguments& args, Disk& disk) {
  const std::optional<std::string> base = args.Text("base");
  if (!base) return;
  const std::optional<Position> position = ParsePosition(*base);
  if (!position) {
    args.Fail(absl::StrCat("`base=", *base, "` is not (TERM,INDEX)"));
    return;
  }
  disk.base.index = position->index;
  disk.base.term = position->term;
  disk.snapshot = disk.base;
}

// The terms of the entries; returns the last one.
raft::Term TakeEntries(datadriven::Arguments& args, Disk& disk) {
  raft::Term last = disk.base.term;
  for (const std::string& word : args.RestPositional()) {
    const raft::Term term(datadriven::ParseNumber(word).value_or(0));
    if (term.is_zero() || term < last) {
      args.Fail(absl::StrCat("`", word, "` is not a term, or is below the one before it"));
    }
    disk.entries.push_back(ScriptedEntry(term, disk.last_index() + 1));
    last = term;
  }
  return last;
}

// "1: 1 1 4 4 [term=5] [vote=2] [commit=3] [base=(3,7)]"
absl::Status SetOne(RaftEnv& env, absl::string_view line) {
  absl::StatusOr<datadriven::Command> words = datadriven::ParseCommandLine(line);
  if (!words.ok()) return words.status();
  absl::string_view name = words->verb;
  datadriven::Arguments args(*words);
  absl::ConsumeSuffix(&name, ":");
  const NodeId id(datadriven::ParseNumber(name).value_or(0));
  if (name == words->verb || !env.Exists(id)) {
    args.Fail(absl::StrCat("`", words->verb, "` is not an existing member and a colon"));
  }
  Disk disk;
  TakeBase(args, disk);
  const raft::Term last_term = TakeEntries(args, disk);
  disk.hard_state.term = raft::Term(args.Number("term", last_term.value()));
  disk.hard_state.voted_for = NodeId(args.Number("vote", 0));
  disk.hard_state.commit = raft::Index(args.Number("commit", disk.base.index.value()));
  if (disk.hard_state.term < last_term || disk.hard_state.commit > disk.last_index()) {
    args.Fail("term below that of the last entry, or commit above it");
  }
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.Preload(id, std::move(disk));
  return absl::OkStatus();
}

absl::Status SetLog(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<std::string> lines = args.TakeInput();
  if (lines.empty()) args.Fail("no input lines `ID: TERM... [term=T] [vote=N] [commit=I]`");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const std::string& line : lines) {
    if (absl::Status status = SetOne(env, line); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kSetLog = {
    "set-log", "(input lines: ID: TERM... [term=T] [vote=N] [commit=I] [base=(TERM,INDEX)])",
    "Gives members the logs that a figure shows and starts them anew on these. Each input line "
    "lists the terms of one member's entries, `3: 1 1 4 4`, and its hard state: term (default: "
    "that "
    "of the last entry), vote (nobody), commit (0). Entry I of term T holds the command xI.T. "
    "With "
    "base= the log begins after that entry, as if a snapshot had replaced what was before; there "
    "is such a snapshot then.",
    SetLog};

}  // namespace lockd::raft_env
