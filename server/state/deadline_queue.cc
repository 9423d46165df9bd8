#include "server/state/deadline_queue.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace lockd::state {

DeadlineQueue::Handle DeadlineQueue::Arm(const Entry& entry) {
  const Handle handle = nodes_.Allocate();
  nodes_[handle] = Node{0, entry.record, entry.kind};
  heap_.emplace_back();
  SiftUp(heap_.size() - 1, HeapItem{entry.time, entry.id, handle});
  return handle;
}

void DeadlineQueue::Move(Handle handle, ClusterTime time) {
  const size_t place = nodes_[handle].place;
  HeapItem item = heap_[place];
  const bool later = item.time < time;
  item.time = time;
  if (later) {
    SiftDown(place, item);
  } else {
    SiftUp(place, item);
  }
}

void DeadlineQueue::Disarm(Handle handle) {
  if (handle == kNoRecord) return;
  const size_t place = nodes_[handle].place;
  nodes_.Free(handle);
  const HeapItem gone = heap_[place];
  const HeapItem last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size()) return;
  // The last item fills the gap; it may belong above or below it.
  if (last < gone) {
    SiftUp(place, last);
  } else {
    SiftDown(place, last);
  }
}

DeadlineQueue::Entry DeadlineQueue::earliest() const {
  LOCKD_CHECK(!heap_.empty(), "no deadline is armed");
  return Get(heap_.front().handle);
}

DeadlineQueue::Entry DeadlineQueue::Get(Handle handle) const {
  const Node& node = nodes_[handle];
  const HeapItem& item = heap_[node.place];
  return Entry{item.time, item.id, node.kind, node.record};
}

bool DeadlineQueue::IsOrdered() const {
  if (nodes_.live_count() != heap_.size()) return false;
  for (size_t place = 0; place < heap_.size(); ++place) {
    const Handle handle = heap_[place].handle;
    if (!IsArmed(handle) || nodes_[handle].place != place) return false;
    if (place > 0 && !(heap_[(place - 1) / kFanOut] < heap_[place])) return false;
  }
  return true;
}

void DeadlineQueue::Put(size_t place, const HeapItem& item) {
  heap_[place] = item;
  nodes_[item.handle].place = static_cast<uint32_t>(place);
}

void DeadlineQueue::SiftUp(size_t place, const HeapItem& item) {
  while (place > 0) {
    const size_t parent = (place - 1) / kFanOut;
    if (heap_[parent] < item) break;
    Put(place, heap_[parent]);
    place = parent;
  }
  Put(place, item);
}

void DeadlineQueue::SiftDown(size_t place, const HeapItem& item) {
  for (;;) {
    const size_t first = place * kFanOut + 1;
    if (first >= heap_.size()) break;
    const size_t end = std::min(first + kFanOut, heap_.size());
    size_t least = first;
    for (size_t child = first + 1; child < end; ++child) {
      if (heap_[child] < heap_[least]) least = child;
    }
    if (item < heap_[least]) break;
    Put(place, heap_[least]);
    place = least;
  }
  Put(place, item);
}

}  // namespace lockd::state
