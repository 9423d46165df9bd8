#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

std::string SnapshotOf(const Disk& disk) {
  if (!disk.snapshot) return "";
  return absl::StrCat(", snapshot (", disk.snapshot->term, ",", disk.snapshot->index, ")");
}

absl::Status PrintDisk(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<NodeId> ids = TakeMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    const Member& member = env.member(id);
    const raft::HardState& durable = member.disk.hard_state;
    env.Print(id, ": term ", durable.term, ", vote ", durable.voted_for, ", commit ",
              durable.commit, ", entries ", member.disk.base.index + 1, "..",
              member.disk.last_index(), SnapshotOf(member.disk));
    for (const raft::WriteRequest& write : member.writes) {
      env.Print("   waiting: ", DescribeWrite(write));
      for (const raft::Message& message : write.messages_once_durable) {
        env.Print("      then ", raft::Describe(message));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPrintDisk = {"print-disk", "[IDS...]",
                         "What these members (default: all) have on disk with the newest snapshot, "
                         "the writes that wait, and the messages that "
                         "wait for them.",
                         PrintDisk};

}  // namespace lockd::raft_env
