#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status Propose(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  const std::optional<uint64_t> time = args.OptionalNumber("time");
  const uint64_t size = args.Number("size", 0);
  const std::vector<std::string> payloads = args.RestPositional();
  if (payloads.empty()) args.Fail("missing argument PAYLOAD");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  raft::Raft& raft = *env.member(id).raft;
  for (std::string payload : payloads) {
    if (payload.size() < size) payload.resize(size, '.');
    raft::Index index;
    const ClusterTime stamp = time ? ClusterTime(static_cast<int64_t>(*time)) : raft.last_time();
    switch (raft.Propose(stamp, std::move(payload), &index)) {
      case raft::ProposeOutcome::kAccepted:
        env.Print(id, " appends ", index, " in term ", raft.term());
        break;
      case raft::ProposeOutcome::kNotLeader:
        env.Print(id, " does not lead, ",
                  raft.leader_id().is_zero() ? std::string("nobody that it knows does")
                                             : absl::StrCat(raft.leader_id(), " does"));
        break;
      case raft::ProposeOutcome::kTransferring:
        env.Print(id, " refuses: it hands over to ", raft.transfer_target());
        break;
      case raft::ProposeOutcome::kTooManyUncommitted:
        env.Print(id, " refuses: ", raft.uncommitted_bytes(), " bytes are uncommitted");
        break;
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPropose = {
    "propose", "ID PAYLOAD... [size=BYTES] [time=MS]",
    "Proposes one command per payload at this member and prints where it stands, or why not. "
    "Shorter payloads are filled up to `size` with dots. The cluster time is that of the last "
    "entry unless given.",
    Propose};

}  // namespace lockd::raft_env
