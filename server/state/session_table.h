// SessionTable: sessions with their leases, remembered replies and kept outcomes.
//
// It keeps records, indexes and the digest consistent; it does not decide. LockDatabase decides,
// and owns the deadlines and the locks that a session's acquires refer to.
//
// The life of a record: live -> (End) ended -> (Forget) gone. "Dead" is not a state of the record:
// a live session whose effective deadline has come is dead whether anybody noticed or not.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_SESSION_TABLE_H_
#define LOCKD_SERVER_STATE_SESSION_TABLE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/state/digest.h"
#include "server/state/index_map.h"
#include "server/state/reply_window.h"
#include "server/state/slab.h"
#include "server/state/types.h"

namespace lockd::state {

// What a live acquire of a session is at the moment: a waiter or the hold of a lock.
class AcquireRef {
 public:
  static AcquireRef Waiting(uint32_t waiter) { return AcquireRef(waiter | kWaitingBit); }
  static AcquireRef Holding(uint32_t lock) { return AcquireRef(lock); }
  [[nodiscard]] bool is_waiting() const { return (bits_ & kWaitingBit) != 0; }
  [[nodiscard]] uint32_t record() const { return bits_ & ~kWaitingBit; }
  friend bool operator==(AcquireRef, AcquireRef) = default;

 private:
  static constexpr uint32_t kWaitingBit = uint32_t{1} << 31;
  explicit AcquireRef(uint32_t bits) : bits_(bits) {}
  uint32_t bits_;
};

using Nonce = std::array<char, kNonceBytes>;

// The final outcome of a queued acquire.
struct KeptOutcome {
  AcquireResult result;
  uint32_t era = 0;  // SessionTable::era() when it was added
};

struct Session {
  SessionId id;
  Nonce nonce{};
  std::string owner_id;
  int64_t ttl_ms = 0;
  int64_t grace_ms = 0;
  ConnectionEpoch epoch;
  ClusterTime deadline;                        // by TTL
  ClusterTime grace_deadline = kNeverCluster;  // armed by a Disconnect
  Sequence acknowledged_through;               // X: every reply is known to the client up to here

  bool ended = false;
  SessionEndReason end_reason = SessionEndReason::kClosed;
  ClusterTime kept_until;  // once ended
  bool settled = false;    // nothing is left of it but what it remembers, until `kept_until`

  // Waiting and holding acquires by acquire id; ordered, because ends and reconciliation go through
  // them in order.
  absl::btree_map<Sequence, AcquireRef> acquires;
  uint64_t holds = 0;  // how many of them hold
  ReplyWindow replies;
  // Final outcomes of queued acquires that were not acknowledged singly.
  absl::btree_map<Sequence, KeptOutcome> outcomes;

  uint32_t deadline_handle = kNoRecord;  // DeadlineQueue's; always armed

  [[nodiscard]] ClusterTime effective_deadline() const {
    return std::min(deadline, grace_deadline);
  }
  // What the session's entry in the DeadlineQueue is armed for.
  [[nodiscard]] ClusterTime armed_deadline() const {
    return settled ? kept_until : effective_deadline();
  }
  [[nodiscard]] bool IsLiveAt(ClusterTime now) const {
    return !ended && effective_deadline() > now;
  }
  [[nodiscard]] uint64_t waiters() const { return acquires.size() - holds; }
  // Whether an ended session has anything left that somebody may want to find out.
  [[nodiscard]] bool remembers() const { return !replies.empty() || !outcomes.empty(); }
};

class SnapshotWriter;

class SessionTable {
 public:
  // `digest` outlives the table.
  explicit SessionTable(DigestSum* digest) : digest_(digest) {}

  // kNoRecord when unknown (never opened, or forgotten).
  [[nodiscard]] uint32_t Find(SessionId id) const;
  // The newest session that was opened with this nonce and has not ended.
  [[nodiscard]] uint32_t FindByNonce(absl::string_view nonce) const;
  [[nodiscard]] const Session& operator[](uint32_t slot) const { return sessions_[slot]; }
  [[nodiscard]] const Slab<Session>& slab() const { return sessions_; }

  uint32_t Open(SessionId id, const OpenSession& command, ClusterTime deadline);
  void Renew(uint32_t slot, ClusterTime deadline);
  // Another connection takes over: renews, raises the epoch, cancels a pending disconnect.
  void Attach(uint32_t slot, ClusterTime deadline);
  void ArmGrace(uint32_t slot, ClusterTime grace_deadline);
  // `deadline` is where its end stands in the order of clean-up.
  void End(uint32_t slot, SessionEndReason reason, ClusterTime deadline, ClusterTime kept_until);
  // Of an ended session that has acquires: it keeps them until `deadline`, by a refounding.
  void PutOffEnd(uint32_t slot, ClusterTime deadline);
  // Of an ended session without acquires that remembers something.
  void Settle(uint32_t slot);
  // Of an ended session without acquires.
  void Forget(uint32_t slot);
  // A session as a snapshot has it, without replies, outcomes and acquires; its id is unknown.
  uint32_t Restore(Session session) { return Insert(std::move(session)); }
  void RestoreOutcome(uint32_t slot, Sequence acquire, const AcquireResult& outcome) {
    InsertOutcome(slot, acquire, outcome);
  }

  // Raises X and drops the replies at or below it.
  void AcknowledgeThrough(uint32_t slot, Sequence through);
  void AcknowledgeOutcomes(uint32_t slot, const std::vector<Sequence>& acquires);
  void AddReply(uint32_t slot, Sequence sequence, const ReplyValue& reply);
  // The final outcome of a queued acquire: kept until acknowledged singly, and given to repeats.
  void AddOutcome(uint32_t slot, Sequence acquire, const AcquireResult& outcome);

  void AddAcquire(uint32_t slot, Sequence acquire, AcquireRef ref);
  void RemoveAcquire(uint32_t slot, Sequence acquire);

  void set_deadline_handle(uint32_t slot, uint32_t handle) {
    sessions_[slot].deadline_handle = handle;
  }

  [[nodiscard]] uint64_t live_count() const { return sessions_.live_count() - kept_count_; }
  [[nodiscard]] uint64_t kept_count() const { return kept_count_; }  // ended, not forgotten
  [[nodiscard]] uint64_t outcome_count() const { return outcome_count_; }

  // From here on the writer is told what changes, before it does; until it is nullptr again.
  void set_snapshot(SnapshotWriter* snapshot) {
    snapshot_ = snapshot;
    if (snapshot != nullptr) ++era_;
  }
  // How many snapshots have begun: what is of the present era is too new for the one under way.
  [[nodiscard]] uint32_t era() const { return era_; }

  // -- for invariants.h --
  // Entries of the two indexes.
  [[nodiscard]] uint64_t id_count() const { return by_id_.size(); }
  [[nodiscard]] uint64_t nonce_count() const { return by_nonce_.size(); }
  // What all sessions contribute to the digest.
  void AddTo(DigestSum* digest) const;

 private:
  friend struct LockDatabaseCorruptor;  // tests/server/state/corruptor.h

  uint32_t Insert(Session session);
  void InsertOutcome(uint32_t slot, Sequence acquire, const AcquireResult& outcome);
  template <typename Change>
  void ChangeLease(uint32_t slot, Change change);
  // Tell the snapshot under way, if there is one.
  void BeforeSessionChanges(uint32_t slot);
  void BeforeReplyGoes(uint32_t slot, const Reply& reply);
  void BeforeOutcomeGoes(uint32_t slot, Sequence acquire, const KeptOutcome& outcome);

  DigestSum* digest_;
  Slab<Session> sessions_;
  IndexMap<SessionId, uint32_t> by_id_;
  IndexMap<Nonce, uint32_t> by_nonce_;
  uint64_t kept_count_ = 0;
  uint64_t outcome_count_ = 0;
  SnapshotWriter* snapshot_ = nullptr;
  uint32_t era_ = 0;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_SESSION_TABLE_H_
