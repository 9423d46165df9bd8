// All armed deadlines, earliest first, in (cluster time, id) order.
//
// Ids come from the one replicated counter, so no two deadlines are equal and the order is the same
// on every replica. A 4-ary heap whose entries know their place, so that a deadline can be moved (a
// session is renewed all the time) or disarmed at once: the queue never holds a stale entry and
// `earliest()` is exact.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_DEADLINE_QUEUE_H_
#define LOCKD_SERVER_STATE_DEADLINE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "protocol/base/time.h"
#include "server/state/slab.h"

namespace lockd::state {

enum class DeadlineKind : uint8_t { kSession, kWait, kHold };

class DeadlineQueue {
 public:
  struct Entry {
    ClusterTime time;
    uint64_t id = 0;
    DeadlineKind kind = DeadlineKind::kSession;
    uint32_t record = kNoRecord;  // slab id of the session, waiter or lock
  };
  // Names an armed deadline until it is disarmed; kNoRecord: none.
  using Handle = uint32_t;

  Handle Arm(const Entry& entry);
  void Move(Handle handle, ClusterTime time);
  // Does nothing for kNoRecord.
  void Disarm(Handle handle);

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] size_t size() const { return heap_.size(); }
  // Not when empty.
  [[nodiscard]] Entry earliest() const;
  [[nodiscard]] Entry Get(Handle handle) const;

  // -- for invariants.h --
  [[nodiscard]] bool IsArmed(Handle handle) const {
    return handle < nodes_.end_id() && nodes_.IsLive(handle);
  }
  // Heap order and places agree. O(n).
  [[nodiscard]] bool IsOrdered() const;

 private:
  friend struct LockDatabaseCorruptor;  // tests/server/state/corruptor.h

  struct HeapItem {
    ClusterTime time;
    uint64_t id = 0;
    Handle handle = kNoRecord;
    friend bool operator<(const HeapItem& a, const HeapItem& b) {
      return a.time != b.time ? a.time < b.time : a.id < b.id;
    }
  };
  struct Node {
    uint32_t place = 0;  // in heap_
    uint32_t record = kNoRecord;
    DeadlineKind kind = DeadlineKind::kSession;
  };

  static constexpr size_t kFanOut = 4;

  void Put(size_t place, const HeapItem& item);
  void SiftUp(size_t place, const HeapItem& item);
  void SiftDown(size_t place, const HeapItem& item);

  // A deque: growing a heap of millions must not copy it.
  std::deque<HeapItem> heap_;
  Slab<Node> nodes_;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_DEADLINE_QUEUE_H_
