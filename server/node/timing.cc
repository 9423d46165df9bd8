#include "server/node/timing.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace lockd::node {
namespace {

void CheckBounds(const char* name, int64_t ms, int64_t ms_min, int64_t ms_max) {
  LOCKD_CHECK(ms >= ms_min && ms <= ms_max, name, " is ", ms, " ms; allowed: ", ms_min, "..",
              ms_max);
}

}  // namespace

Timing::Timing(const NodeOptions& options)
    : tick_ns_(std::max(options.heartbeat_ms * kNanosPerMilli / 5, kNanosPerMilli)),
      heartbeat_ticks_(static_cast<uint64_t>(
          std::max<int64_t>(options.heartbeat_ms * kNanosPerMilli / tick_ns_, 1))) {
  CheckBounds("heartbeat", options.heartbeat_ms, 1, kHeartbeatMsMax);
  CheckBounds("shortest election timeout", options.election_ms_min, 1, kElectionMsMax);
  CheckBounds("longest election timeout", options.election_ms_max, options.election_ms_min,
              kElectionMsMax);
  CheckBounds("time entry interval", options.time_entry_ms, 1, kTimeEntryMsMax);
  CheckBounds("suppress", options.suppress_ms, 2, kSuppressMsMax);
  CheckBounds("turn advance", options.turn_advance_ms_max, 2, kTurnAdvanceMsMax);
}

raft::Options Timing::RaftOptions(const NodeOptions& options) const {
  const auto ticks = [this](int64_t ms) {
    return static_cast<uint64_t>((ms * kNanosPerMilli + tick_ns_ - 1) / tick_ns_);
  };
  raft::Options raft;
  raft.id = options.node_id;
  raft.seed = options.seed;
  raft.heartbeat_ticks = heartbeat_ticks_;
  raft.election_ticks_min = std::max(ticks(options.election_ms_min), heartbeat_ticks_ + 1);
  raft.election_ticks_max = std::max(ticks(options.election_ms_max), raft.election_ticks_min + 1);
  raft.write_stall_ticks_max = 4 * raft.election_ticks_max;
  // The node stops proposing at twice the limit (GroupCommit); one entry may be on top of that: its
  // keep-alives and its commands make up about a batch each, or it holds one large command.
  constexpr size_t kCommandBytesMax = 512 * 1024;
  raft.uncommitted_bytes_max =
      2 * options.uncommitted_bytes_max + 4 * options.batch_bytes_max + kCommandBytesMax;
  raft.apply_bytes_max = kApplyBytesPerTurn;
  raft.append_bytes_max = kAppendBytesMax;
  raft.send_bytes_max = kAppendBytesMax;
  return raft;
}

Timing::Ticks Timing::TicksBetween(LocalTime from, LocalTime to) const {
  const int64_t passed = (to - from) / tick_ns_;
  return {.count = std::min(static_cast<uint64_t>(passed), 2 * heartbeat_ticks_),
          .until = from + passed * tick_ns_};
}

LocalTime Timing::TickAfter(LocalTime from, uint64_t count) const {
  const uint64_t ticks = std::clamp<uint64_t>(count, 1, heartbeat_ticks_);
  return from + static_cast<int64_t>(ticks) * tick_ns_;
}

}  // namespace lockd::node
