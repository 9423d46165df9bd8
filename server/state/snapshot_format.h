// The content of a snapshot: the replicated state at one index, as a stream of records.
//
//   8 bytes magic | u16 version | records
//   record: u8 kind | u16 payload length | payload (fields.h)
//
// Order, which a loader insists on:
//
//   cluster | member ... | per session: session, reply ..., outcome ... |
//   per lock: lock, waiter ... | end
//
// A reply or an outcome belongs to the session record before it, a waiter to the lock record before
// it. Sessions and locks come in the order of their slabs, which depends on history: two replicas
// write different bytes for the same state, and only the digest in the end record is alike. What
// can be computed is not there: indexes, counts, armed deadlines, which acquires a session has
// (every hold and every waiter names its session).
//
// kSnapshotVersion changes with any of this; a loader refuses what it does not know. A writer
// writes the oldest version that can say what there is, so that a state has one content, and an
// older build can read it for as long as nothing was logged that it could not apply either.
// server/README.md has the fields one by one.
//
//   version 1   all members are voters, and no higher node id was ever given
//   version 2   members have roles; the highest node id that was given
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_SNAPSHOT_FORMAT_H_
#define LOCKD_SERVER_STATE_SNAPSHOT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "server/state/fields.h"
#include "server/state/lock_table.h"
#include "server/state/members.h"
#include "server/state/reply_window.h"
#include "server/state/session_table.h"
#include "server/state/types.h"

namespace lockd::state {

inline constexpr absl::string_view kSnapshotMagic = "lockdsnp";
inline constexpr uint16_t kSnapshotVersion = 2;  // and all before
inline constexpr size_t kSnapshotHeadBytes = 8 + 2;
inline constexpr size_t kRecordHeadBytes = 1 + 2;
// No record has more: the longest is a lock with a name of 1,024 bytes.
inline constexpr size_t kRecordPayloadBytesMax = 2'048;

// Numbers in snapshots; never re-used.
enum class RecordKind : uint8_t {
  kCluster = 1,
  kMember = 2,
  kSession = 3,
  kReply = 4,
  kOutcome = 5,
  kLock = 6,
  kWaiter = 7,
  kEnd = 8,
};

struct ClusterRecord {
  ClusterTime time;
  WallTime wall_time;
  uint64_t last_number = 0;
  ClusterId cluster_id;
  uint32_t feature_level = 0;
  Settings settings;
  NodeId last_node_id;  // version 2; before, that of the last member
};

struct EndRecord {
  uint64_t sessions = 0;  // ended ones too
  uint64_t outcomes = 0;
  uint64_t locks = 0;
  uint64_t waiters = 0;
  Digest digest;
  friend bool operator==(const EndRecord&, const EndRecord&) = default;
};

// ---- Fields; `T` is const when writing

template <typename IO, typename T>
void ClusterFields(IO& io, T& c, uint16_t version) {
  io.Number(c.time);
  io.Number(c.wall_time);
  io.Number(c.last_number);
  io.Number(c.cluster_id);
  io.Level(c.feature_level);
  SettingsFields(io, c.settings);
  if (version >= 2) io.Number(c.last_node_id);
}

template <typename IO, typename T>
void MemberRecordFields(IO& io, T& m, uint16_t version) {
  MemberFields(io, m);
  if (version >= 2) io.Enum(m.role);  // before, all are voters
}

template <typename IO, typename T>
void SessionFields(IO& io, T& s) {
  io.Number(s.id);
  io.Array(s.nonce);
  io.Bytes(s.owner_id);
  io.Number(s.ttl_ms);
  io.Number(s.grace_ms);
  io.Number(s.epoch);
  io.Number(s.deadline);
  io.Number(s.grace_deadline);
  io.Number(s.acknowledged_through);
  io.Flag(s.ended);
  io.Enum(s.end_reason);
  io.Number(s.kept_until);
  io.Flag(s.settled);
}

template <typename IO, typename T>
void AcquireResultFields(IO& io, T& r) {
  io.Enum(r.kind);
  io.Enum(r.limit);
  io.Number(r.grant.token);
  io.Enum(r.grant.mode);
  io.Number(r.grant.fence_floor);
  io.Number(r.grant.granted_at);
  io.Number(r.grant.hold_deadline);
  io.Number(r.waiters_before);
}

template <typename IO, typename T>
void ReplyValueFields(IO& io, T& r) {
  using R = std::remove_const_t<T>;
  if constexpr (std::is_same_v<R, AcquireResult>) {
    AcquireResultFields(io, r);
  } else if constexpr (std::is_same_v<R, ReleaseResult>) {
    io.Enum(r.outcome);
  } else if constexpr (std::is_same_v<R, CancelResult>) {
    io.Enum(r.outcome);
    AcquireResultFields(io, r.acquire);
  } else {
    static_assert(std::is_same_v<R, ReconcileResult>);
    io.Number(r.cancelled);
    io.Number(r.released);
  }
}

// Which kind of reply; the index of the alternative in ReplyValue, from 1.
enum class ReplyKind : uint8_t { kAcquire = 1, kRelease = 2, kCancel = 3, kReconcile = 4 };
static_assert(std::variant_size_v<ReplyValue> == 4);

// `name` is an absl::string_view.
template <typename IO, typename Name, typename T>
void LockFields(IO& io, Name& name, T& hold) {
  io.Bytes(name);
  io.Number(hold.session);
  io.Number(hold.acquire);
  io.Number(hold.token);
  io.Number(hold.granted_at);
  io.Number(hold.granted_wall);
  io.Number(hold.max_hold_ms);
  io.Enum(hold.mode);
}

template <typename IO, typename T>
void WaiterFields(IO& io, T& w) {
  io.Number(w.session);
  io.Number(w.acquire);
  io.Number(w.position);
  io.Number(w.deadline);
  io.Number(w.max_hold_ms);
  io.Enum(w.mode);
}

template <typename IO, typename T>
void EndFields(IO& io, T& e) {
  io.Number(e.sessions);
  io.Number(e.outcomes);
  io.Number(e.locks);
  io.Number(e.waiters);
  io.Number(e.digest.high);
  io.Number(e.digest.low);
}

// The version that a state with these members is written in.
[[nodiscard]] inline uint16_t SnapshotVersionOf(const std::vector<Member>& members,
                                                NodeId last_node_id) {
  return AreAsFounded(members, last_node_id) ? 1 : 2;
}

// ---- Records

// `fields(writer)` appends the payload.
template <typename Fields>
void AppendRecord(RecordKind kind, Fields fields, std::string* to) {
  const size_t head = to->size();
  AppendLittle(*to, static_cast<uint8_t>(kind));
  AppendLittle(*to, uint16_t{0});
  FieldWriter writer(*to);
  fields(writer);
  const size_t length = to->size() - head - kRecordHeadBytes;
  LOCKD_CHECK(length <= kRecordPayloadBytesMax, "a record of ", length, " bytes");
  StoreLittle(to->data() + head + 1, static_cast<uint16_t>(length));
}

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_SNAPSHOT_FORMAT_H_
