// ReplyWindow: the replies of one session that a repeat must get again, by sequence.
//
// At most kSequenceWindow of them, in ascending order. They come mostly in order and leave in order
// (when acknowledged), so this is a sorted vector with a moving front.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_REPLY_WINDOW_H_
#define LOCKD_SERVER_STATE_REPLY_WINDOW_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/ids.h"
#include "server/state/types.h"

namespace lockd::state {

using ReplyValue = std::variant<AcquireResult, ReleaseResult, CancelResult, ReconcileResult>;

struct Reply {
  Sequence sequence;
  ReplyValue value;
  uint32_t era = 0;  // SessionTable::era() when it came to be what it is
};

class ReplyWindow {
 public:
  [[nodiscard]] const ReplyValue* Find(Sequence sequence) const {
    const auto at = Position(sequence);
    return at == replies_.end() || at->sequence != sequence ? nullptr : &at->value;
  }
  // The reply with this sequence or else the next one; nullptr: none.
  [[nodiscard]] const Reply* AtOrAfter(Sequence sequence) const {
    const auto at = Position(sequence);
    return at == replies_.end() ? nullptr : &*at;
  }

  // There is no reply under this sequence yet.
  void Insert(Sequence sequence, ReplyValue value, uint32_t era = 0) {
    replies_.insert(Position(sequence), Reply{sequence, std::move(value), era});
  }
  // There is one.
  void Replace(Sequence sequence, ReplyValue value, uint32_t era) {
    Reply& reply = replies_[static_cast<size_t>(Position(sequence) - replies_.begin())];
    reply.value = std::move(value);
    reply.era = era;
  }

  // Removes all replies at or below `through`, calling `gone(reply)` for each.
  template <typename Gone>
  void DropThrough(Sequence through, Gone gone) {
    while (first_ < replies_.size() && replies_[first_].sequence <= through) {
      gone(std::as_const(replies_[first_++]));
    }
    if (first_ == replies_.size()) {
      // A burst must not pin its memory for the life of the session.
      if (replies_.capacity() > kKeptCapacity) std::vector<Reply>().swap(replies_);
      replies_.clear();
      first_ = 0;
    } else if (first_ >= kKeptCapacity && first_ * 2 >= replies_.size()) {
      replies_.erase(replies_.begin(), replies_.begin() + static_cast<ptrdiff_t>(first_));
      first_ = 0;
    }
  }

  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] size_t size() const { return replies_.size() - first_; }
  [[nodiscard]] std::vector<Reply>::const_iterator begin() const {
    return replies_.begin() + static_cast<ptrdiff_t>(first_);
  }
  [[nodiscard]] std::vector<Reply>::const_iterator end() const { return replies_.end(); }

 private:
  static constexpr size_t kKeptCapacity = 32;

  // Where the first reply at or above `sequence` is; the end at once for a new highest one.
  [[nodiscard]] std::vector<Reply>::const_iterator Position(Sequence sequence) const {
    if (empty() || replies_.back().sequence < sequence) return replies_.end();
    return std::lower_bound(begin(), end(), sequence,
                            [](const Reply& r, Sequence s) { return r.sequence < s; });
  }

  std::vector<Reply> replies_;
  size_t first_ = 0;  // those before have been dropped
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_REPLY_WINDOW_H_
