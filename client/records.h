// What reads return: locks, sessions and nodes as `lockctl` shows them.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_RECORDS_H_
#define LOCKD_CLIENT_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"

namespace lockd {

// Of a stale read: how old what it shows was when the node answered, as far as the node knew: the
// time since it last heard from its leader (a leader: from a majority) with all applied that it
// then knew of. No bound: what was committed elsewhere since then is not in it.
struct Age {
  bool is_stale = false;
  std::optional<int64_t> ms;  // nothing: the node has heard no leader since its start
};

struct LockRecord {
  std::string lock_id;  // any bytes; EscapeName() of protocol/base/text.h shows them
  bool held = false;
  // Of the hold; zero or empty for a free lock.
  std::string owner_id;
  int64_t timestamp = 0;        // wall-clock ms of the grant, for people
  int64_t expiration_time = 0;  // wall-clock ms at which it ends unless its session is renewed
  FencingToken token;
  SessionId session_id;
  uint64_t waiters = 0;
  uint64_t applied_index = 0;  // the state that this was read from
  Age age;
};

struct SessionRecord {
  SessionId session_id;
  std::string owner_id;
  int64_t ttl_ms = 0;
  int64_t grace_ms = 0;
  int64_t remaining_ms = 0;  // until it ends unless it is renewed
  uint64_t holds = 0;
  uint64_t waiters = 0;
  uint64_t epoch = 0;
  uint64_t applied_index = 0;  // the state that this was read from
  Age age;
};

struct MemberRecord {
  NodeId node_id;
  std::string peer_address;
  std::string client_address;
};

struct NodeStatus {
  NodeId node_id;
  std::string role;
  uint64_t term = 0;
  NodeId leader_id;  // zero: none known
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  int64_t cluster_time_ms = 0;
  std::string digest;
  uint64_t longest_turn_cpu_us = 0;
  uint64_t longest_turn_wall_us = 0;
  uint64_t rss_bytes = 0;
  uint64_t process_cpu_us = 0;
  uint64_t sessions = 0;
  uint64_t locks = 0;
  uint64_t waiters = 0;
  std::string version;
  std::string client_address;
  ClusterId cluster_id;
  std::string cluster_name;
  uint64_t first_index = 0;
  uint64_t last_index = 0;
  uint64_t disk_free_bytes = 0;  // 0: not measured yet
  bool disk_is_low = false;      // below its reserve: as a leader it takes no new work
  std::vector<MemberRecord> members;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_RECORDS_H_
