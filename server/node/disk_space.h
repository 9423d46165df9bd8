// DiskSpace: whether the reserve of free disk space is still there.
//
// A log that cannot grow ends the process (exit status 15). So that clients can still let go of
// what they hold, a node whose disk has less than its reserve left takes no new work: as the leader
// it refuses new sessions and acquires at intake, never inside apply, with RESOURCE_EXHAUSTED and
// retry-after. Releases, cancels, closes, attaches and keep-alives go on: they are few and short,
// and the segments that they go into are prepared ahead. It ends by itself, once a quarter more
// than the reserve is free: near the mark it would otherwise come and go with every segment.
//
// A follower refuses nobody; it says so in its log and its status, before it comes to lead.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_DISK_SPACE_H_
#define LOCKD_SERVER_NODE_DISK_SPACE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "server/node/outbox.h"

namespace lockd::node {

class DiskSpace {
 public:
  // Space comes back by the hand of an operator: asking more often than this is of no use.
  static constexpr uint32_t kRetryAfterMs = 1'000;

  // 0: there is no reserve, nothing is ever low.
  explicit DiskSpace(uint64_t reserve_bytes) : reserve_bytes_(reserve_bytes) {}

  // As measured now. Each change between enough and too little is noted once.
  void OnFreeBytes(uint64_t free_bytes, Outbox* outbox);

  [[nodiscard]] bool is_low() const { return is_low_; }
  [[nodiscard]] std::optional<uint64_t> free_bytes() const { return free_bytes_; }
  // What a client is told.
  [[nodiscard]] std::string Refusal() const;

 private:
  const uint64_t reserve_bytes_;
  std::optional<uint64_t> free_bytes_;  // nothing before the first measurement
  bool is_low_ = false;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_DISK_SPACE_H_
