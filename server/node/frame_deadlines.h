// FrameDeadlines: which connections have sent a piece of a frame, and until when the rest may come.
//
// Without it a sender that stops in mid-frame holds a place for ever; and a link whose length field
// was damaged on the way swallows everything that follows, unheard, until it has that many bytes.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_FRAME_DEADLINES_H_
#define LOCKD_SERVER_NODE_FRAME_DEADLINES_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "protocol/base/time.h"

namespace lockd::node {

template <typename Id>
class FrameDeadlines {
 public:
  explicit FrameDeadlines(int64_t timeout_ms) : timeout_ns_(timeout_ms * kNanosPerMilli) {}

  // A piece of a frame is all that is left of what this connection has sent.
  void OnPartial(Id id) { deadlines_.try_emplace(id); }
  // A whole frame came, or the connection is gone.
  void OnWhole(Id id) {
    if (!deadlines_.empty()) deadlines_.erase(id);
  }
  // Those whose time is up, ascending; they are forgotten. The time of a new piece begins here.
  [[nodiscard]] std::vector<Id> TakeLate(LocalTime now) {
    std::vector<Id> late;
    for (auto& [id, at] : deadlines_) {
      if (!at) at = now + timeout_ns_;
      if (now >= *at) late.push_back(id);
    }
    for (const Id id : late) deadlines_.erase(id);
    return late;
  }
  [[nodiscard]] LocalTime Next() const {
    LocalTime next = kNeverLocal;
    for (const auto& [id, at] : deadlines_) next = std::min(next, at.value_or(kNeverLocal));
    return next;
  }

 private:
  const int64_t timeout_ns_;
  absl::btree_map<Id, std::optional<LocalTime>> deadlines_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_FRAME_DEADLINES_H_
