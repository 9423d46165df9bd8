// LockTable: held locks and the queues of those that wait for them.
//
// A lock has a record only while somebody holds it; when it is freed and nobody waits, nothing is
// left of its name. The table keeps records, queues, the name index and the digest consistent; it
// does not decide. LockDatabase decides, and owns sessions and deadlines.
//
//   name index ──► LockRecord {name, hold, ends of the queue}
//                     │ first_waiter                 ▲ last_waiter
//                     ▼                              │
//                  WaiterRecord ◄──prev/next──► WaiterRecord      ascending positions
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_LOCK_TABLE_H_
#define LOCKD_SERVER_STATE_LOCK_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/state/digest.h"
#include "server/state/index_map.h"
#include "server/state/slab.h"
#include "server/state/types.h"

namespace lockd::state {

// A lock's name: short ones inside the record, long ones beside it.
class LockName {
 public:
  LockName() = default;
  LockName(const LockName&) = delete;
  LockName& operator=(const LockName&) = delete;
  ~LockName();

  // Once.
  void Set(absl::string_view name);
  [[nodiscard]] absl::string_view view() const;

 private:
  static constexpr size_t kInlineBytes = 42;
  [[nodiscard]] char* long_name() const;

  uint16_t length_ = 0;
  char bytes_[kInlineBytes];  // or, for a longer name, a pointer to it
};

struct Hold {
  SessionId session;
  Sequence acquire;
  FencingToken token;  // zero: not held (only within one command, between free and grant)
  ClusterTime granted_at;
  WallTime granted_wall;
  int64_t max_hold_ms = 0;  // 0: none
  uint32_t session_slot = kNoRecord;
  LockMode mode = LockMode::kExclusive;

  // When the maximum is reached, as the server counts it.
  [[nodiscard]] ClusterTime deadline() const {
    return max_hold_ms == 0 ? kNeverCluster : granted_at + ServerDurationMs(max_hold_ms);
  }
};

struct LockRecord {
  Hold hold;
  uint32_t deadline_handle = kNoRecord;  // of the hold's maximum
  uint32_t first_waiter = kNoRecord;
  uint32_t last_waiter = kNoRecord;
  uint32_t waiter_count = 0;
  LockName name;
};

// What a held lock weighs: this, up to 21 bytes of the name index and up to 24 of its session's
// acquires, for a name of up to 42 bytes. The design allows 250.
static_assert(sizeof(LockRecord) <= 120);

struct WaiterRecord {
  SessionId session;
  Sequence acquire;
  uint64_t position = 0;
  ClusterTime deadline = kNeverCluster;
  int64_t max_hold_ms = 0;
  uint32_t session_slot = kNoRecord;
  uint32_t lock = kNoRecord;
  uint32_t previous = kNoRecord;
  uint32_t next = kNoRecord;
  uint32_t deadline_handle = kNoRecord;
  LockMode mode = LockMode::kExclusive;
};

class SnapshotWriter;

class LockTable {
 public:
  // `digest` outlives the table.
  LockTable(DigestSum* digest, const HashKey& hash_key) : digest_(digest), names_(this, hash_key) {}

  // kNoRecord when nobody holds it.
  [[nodiscard]] uint32_t Find(absl::string_view name) const { return names_.Find(name, kNoRecord); }
  [[nodiscard]] const LockRecord& operator[](uint32_t lock) const { return locks_[lock]; }
  [[nodiscard]] const WaiterRecord& waiter(uint32_t waiter) const { return waiters_[waiter]; }
  [[nodiscard]] const Slab<LockRecord>& slab() const { return locks_; }

  // A record for a name that has none; it must be held before the command is over.
  uint32_t Create(absl::string_view name);
  void SetHold(uint32_t lock, const Hold& hold);
  void ClearHold(uint32_t lock);
  // Of a lock that is neither held nor waited for.
  void Erase(uint32_t lock);

  // `waiter` has all but lock, previous and next; its position is above all others'.
  uint32_t Enqueue(uint32_t lock, const WaiterRecord& waiter);
  void RemoveWaiter(uint32_t waiter);

  void set_deadline_handle(uint32_t lock, uint32_t handle) {
    locks_[lock].deadline_handle = handle;
  }
  void set_waiter_deadline_handle(uint32_t waiter, uint32_t handle) {
    waiters_[waiter].deadline_handle = handle;
  }

  // From here on the writer is told what changes, before it does; until it is nullptr again.
  void set_snapshot(SnapshotWriter* snapshot) { snapshot_ = snapshot; }

  [[nodiscard]] uint64_t held_count() const { return held_count_; }
  [[nodiscard]] uint64_t waiter_count() const { return waiters_.live_count(); }

  // -- for invariants.h --
  [[nodiscard]] const Slab<WaiterRecord>& waiter_slab() const { return waiters_; }
  // Names in the index.
  [[nodiscard]] uint64_t name_count() const { return names_.size(); }
  // What all locks and waiters contribute to the digest.
  void AddTo(DigestSum* digest) const;

 private:
  friend class NameIndex<LockTable>;
  friend struct LockDatabaseCorruptor;  // tests/server/state/corruptor.h
  [[nodiscard]] absl::string_view NameOf(uint32_t lock) const { return locks_[lock].name.view(); }

  DigestSum* digest_;
  Slab<LockRecord> locks_;
  Slab<WaiterRecord> waiters_;
  NameIndex<LockTable> names_;
  uint64_t held_count_ = 0;
  SnapshotWriter* snapshot_ = nullptr;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_LOCK_TABLE_H_
