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

enum class MemberRole : uint8_t {
  kVoter,
  kLearner,  // is given the log, and has no vote
  // While a change of the voters is under way:
  kIncoming,  // a voter of the new ones only
  kOutgoing,  // a voter of the old ones only
};

struct MemberRecord {
  NodeId node_id;
  std::string peer_address;
  std::string client_address;  // empty: it has not come up yet
  MemberRole role = MemberRole::kVoter;
  bool was_seen = false;  // it has come up since it was made a member
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
  uint64_t snapshot_index = 0;   // the entry that its newest snapshot is the state after; 0: none
  uint64_t snapshots_taken = 0;  // since the process began
  uint64_t snapshots_received = 0;
  uint64_t digest_alarms = 0;  // as a leader it found states that differ, and no majority
  std::vector<MemberRecord> members;
};

// What became of the wish to move the leadership.
enum class TransferStatus : uint8_t {
  kTransferred,   // the wanted node leads now, or did already
  kNoSuchMember,  // the cluster has no such node
  kNotVoter,      // a learner cannot lead
  kNobody,        // no other node has been heard of late
  kBusy,          // leadership is being handed to another node
  kTimedOut,  // the node did not take over in an election timeout: too far behind, or not reachable
  kAnotherLeads,  // an election was held, and another node won it
};

struct TransferRecord {
  TransferStatus status = TransferStatus::kTransferred;
  NodeId leader_id;  // who leads now
};

enum class MemberAction : uint8_t {
  kAdd,      // as a learner; it becomes a voter by itself once it is up and has the log
  kRemove,   // for good: a node id is never given twice
  kPromote,  // a learner becomes a voter now
};

struct MemberChange {
  MemberAction action = MemberAction::kAdd;
  NodeId node_id{};            // kAdd: zero lets the cluster choose
  std::string peer_address{};  // kAdd: host:port under which the other nodes reach it
};

// What became of the wish to change the members.
enum class ChangeMembersStatus : uint8_t {
  kDone,  // or it was so already
  kNoSuchMember,
  kLastVoter,    // the cluster would be left without a voter
  kNotJoined,    // the node to promote has not come up yet
  kIdUsed,       // by a member, now or once
  kAddressUsed,  // another member has this peer address
  kTooMany,      // the cluster has as many members as it may
};

struct ChangeMembersRecord {
  ChangeMembersStatus status = ChangeMembersStatus::kDone;
  NodeId node_id;                     // of the member that it was about
  std::vector<MemberRecord> members;  // as they are now, ascending by id
  std::string cluster_name;
};

// A snapshot that a node has taken. The first five are its name: where they are equal, so is every
// byte of it.
struct SnapshotRecord {
  uint64_t index = 0;  // of the entry that it is the state after
  uint64_t term = 0;
  int64_t cluster_time_ms = 0;
  uint64_t bytes = 0;     // of its content
  uint32_t checksum = 0;  // CRC32C of its content
  uint64_t locks = 0;
  uint64_t sessions = 0;
  std::string digest;  // of the state in it, as in NodeStatus
  NodeId node_id;      // who has it
  ClusterId cluster_id;
  std::string cluster_name;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_RECORDS_H_
