#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

void TakeElectionTicks(datadriven::Arguments& args, raft::Options& options) {
  // One possible value, 11: all members time out alike, and the script decides who ticks.
  const std::string text = args.Text("election").value_or("10..11");
  const auto range = datadriven::ParseRange(text);
  if (!range || range->first == range->second) {
    args.Fail(absl::StrCat("`election=", text, "` is not MIN..MAX with MIN < MAX"));
    return;
  }
  options.election_ticks_min = range->first;
  options.election_ticks_max = range->second;
}

std::vector<NodeId> TakeVoters(datadriven::Arguments& args, const std::vector<NodeId>& added) {
  const std::optional<std::string> text = args.Text("voters");
  if (!text) return added;
  std::optional<std::vector<NodeId>> voters = ParseIds(*text);
  if (!voters) args.Fail(absl::StrCat("`voters=", *text, "` is not a list of ids"));
  return voters.value_or(std::vector<NodeId>{});
}

absl::Status AddNodes(RaftEnv& env, datadriven::Arguments& args) {
  raft::Options options;
  TakeElectionTicks(args, options);
  options.heartbeat_ticks = args.Number("heartbeat", 3);
  options.append_bytes_max = args.Number("append-bytes", options.append_bytes_max);
  options.inflight_appends_max = args.Number("inflight-appends", options.inflight_appends_max);
  options.inflight_bytes_max = args.Number("inflight-bytes", options.inflight_bytes_max);
  options.uncommitted_bytes_max = args.Number("uncommitted-bytes", options.uncommitted_bytes_max);
  options.tail_bytes_max = args.Number("tail-bytes", options.tail_bytes_max);
  options.apply_bytes_max = args.Number("apply-bytes", options.apply_bytes_max);
  options.read_bytes_max = args.Number("read-bytes", options.read_bytes_max);
  options.write_stall_ticks_max = args.Number("write-stall", options.write_stall_ticks_max);
  const uint64_t seed = args.Number("seed", 0);
  const std::string word = args.Positional("IDS");
  const std::optional<std::vector<NodeId>> ids = ParseIds(word);
  if (!ids) args.Fail(absl::StrCat("`", word, "` is not a list of ids"));
  if (!args.Flag("joining")) {
    options.configuration.voters = TakeVoters(args, ids.value_or(std::vector<NodeId>{}));
  }
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : *ids) {
    if (env.Exists(id)) return absl::InvalidArgumentError(absl::StrCat("node ", id, " exists"));
    options.id = id;
    options.seed = seed * 1000 + id.value();
    env.AddMember(options);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kAddNodes = {
    "add-nodes",
    "IDS [voters=IDS | joining] [election=MIN..MAX] [heartbeat=TICKS] [seed=N] [append-bytes=N] "
    "[inflight-appends=N] [inflight-bytes=N] [uncommitted-bytes=N] [tail-bytes=N] "
    "[apply-bytes=N] [read-bytes=N] [write-stall=TICKS]",
    "Makes members with empty disks and starts them. IDS is 1..3 or 1,2,5. The voters are the "
    "members added, unless said otherwise; members that are joining know of none. Election "
    "timeouts are drawn from (MIN, MAX]: with the "
    "default 10..11 every timeout is 11 ticks, so that the script alone decides who is first. The "
    "other arguments are the fields of raft::Options; heartbeat=3, else the core's defaults.",
    AddNodes};

}  // namespace lockd::raft_env
