#include "tests/support/raft_env/verbs.h"

#include <cstdint>
#include <optional>

namespace lockd::raft_env {
namespace {

absl::Status Compact(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  const std::optional<uint64_t> to = args.OptionalNumber("to");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  const Member& member = env.member(id);
  if (!member.disk.snapshot) return absl::InvalidArgumentError("there is no snapshot");
  const raft::Index index = to ? raft::Index(*to) : member.disk.snapshot->index;
  if (index > member.disk.snapshot->index || index < member.raft->log().base_index()) {
    return absl::InvalidArgumentError("the snapshot does not reach, or the log begins later");
  }
  env.Compact(id, index);
  return absl::OkStatus();
}

}  // namespace

const Verb kCompact = {
    "compact", "ID [to=I]",
    "The log of this member forgets its entries up to I, by default all that its snapshot covers. "
    "Its disk is told with the next write.",
    Compact};

}  // namespace lockd::raft_env
