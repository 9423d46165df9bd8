#include "tests/support/raft_env/verbs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

// Terms by index, as the figures of the Raft paper draw logs. What follows an entry tells how far
// the log is safe: `|` after the commit index, `~` after the last durable entry when more follow.
class Grid {
 public:
  explicit Grid(size_t width) : width_(width) {}

  void Cell(std::string text, char after) {
    absl::StrAppend(&row_, std::string(width_ - std::min(width_, text.size()), ' '), text,
                    std::string(1, after));
  }
  std::string TakeRow() {
    row_.erase(row_.find_last_not_of(' ') + 1);
    return std::exchange(row_, "");
  }

 private:
  size_t width_;
  std::string row_;
};

std::string Row(const Member& member, const std::vector<raft::Entry>& log, raft::Index base,
                raft::Index end, Grid grid) {
  const raft::Index commit =
      member.up() ? member.raft->commit_index() : member.disk.hard_state.commit;
  for (raft::Index index = base + 1; index <= end; ++index) {
    const bool is_last = log.empty() || index >= log.back().index;
    const char after = index == commit                                 ? '|'
                       : index == member.disk.last_index() && !is_last ? '~'
                                                                       : ' ';
    const bool is_there = !log.empty() && index >= log.front().index && index <= log.back().index;
    const bool is_compacted = index <= member.disk.base.index;
    grid.Cell(is_there       ? absl::StrCat(log[index - log.front().index].term)
              : is_compacted ? "."
                             : "",
              after);
  }
  return grid.TakeRow();
}

absl::Status PrintLog(RaftEnv& env, datadriven::Arguments& args) {
  const bool entries = args.Flag("entries");
  const std::vector<NodeId> ids = TakeMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  if (entries) {
    for (const NodeId id : ids) {
      env.Print(id, ":");
      for (const raft::Entry& entry : env.member(id).Log()) {
        env.Print("   ", raft::Describe(entry));
      }
    }
    return absl::OkStatus();
  }
  raft::Index base(~uint64_t{0});
  raft::Index end;
  raft::Term term;
  for (const NodeId id : ids) {
    const std::vector<raft::Entry> log = env.member(id).Log();
    base = std::min(base, env.member(id).disk.base.index);
    if (log.empty()) continue;
    end = std::max(end, log.back().index);
    term = std::max(term, log.back().term);
  }
  const Grid grid(std::max(absl::StrCat(end).size(), absl::StrCat(term).size()));
  Grid head = grid;
  for (raft::Index index = base + 1; index <= end; ++index) head.Cell(absl::StrCat(index), ' ');
  if (base < end) env.Print("   ", head.TakeRow());
  for (const NodeId id : ids) {
    env.Print(id, absl::StripTrailingAsciiWhitespace(absl::StrCat(
                      ": ", Row(env.member(id), env.member(id).Log(), base, end, grid))));
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPrintLog = {
    "print-log", "[IDS...] [entries]",
    "Draws the logs of these members (default: all): the terms of their entries below the "
    "indexes, "
    "`|` after the commit index, `~` after the last durable entry when more are waiting to be "
    "written, dots where the log is compacted. Entries that `ready` has not taken yet are missing. "
    "With `entries`: each entry in a "
    "line.",
    PrintLog};

}  // namespace lockd::raft_env
