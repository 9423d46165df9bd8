#include "tools/lockbench/held_locks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::lockbench {
namespace {

// Long, so that a node that is busy with so many locks does not lose them.
constexpr std::chrono::minutes kTtl{5};
// They go soon when lockbench is interrupted or dies.
constexpr std::chrono::seconds kGrace{10};

}  // namespace

HeldLocks::HeldLocks(Client& client, uint64_t count, std::string prefix)
    : client_(client), count_(count), prefix_(std::move(prefix)) {
  locks_.reserve(count);
}

void HeldLocks::Acquire(absl::AnyInvocable<void(absl::Status)> done) {
  acquired_ = std::move(done);
  if (count_ == 0) {
    Finish(absl::OkStatus());
    return;
  }
  OpenNext();
}

void HeldLocks::Finish(const absl::Status& status) {
  if (acquired_) std::exchange(acquired_, nullptr)(status);
}

void HeldLocks::OpenNext() {
  SessionOptions options;
  options.owner_id = "lockbench-held";
  options.ttl = kTtl;
  options.grace = kGrace;
  client_.OpenSession(options, [this](absl::StatusOr<Session> session) {
    if (!session.ok()) {
      Finish(session.status());
      return;
    }
    sessions_.push_back(*std::move(session));
    AcquireMore();
  });
}

// One session after another; each asks for many at once.
void HeldLocks::AcquireMore() {
  const uint64_t end = std::min(count_, sessions_.size() * kLocksPerSession);
  while (asked_ < end && asked_ - locks_.size() < kInFlightMax) {
    sessions_.back().Acquire(absl::StrCat(prefix_, "held/", asked_++), AcquireOptions{},
                             [this](AcquireResult result) { OnAcquired(std::move(result)); });
  }
}

void HeldLocks::OnAcquired(AcquireResult result) {
  if (!acquired_) return;  // failed before
  if (!result.granted()) {
    Finish(result.ToStatus());
    return;
  }
  locks_.push_back(std::move(result.lock));
  if (locks_.size() == count_) {
    Finish(absl::OkStatus());
  } else if (locks_.size() == sessions_.size() * kLocksPerSession) {
    OpenNext();
  } else {
    AcquireMore();
  }
}

void HeldLocks::Close(absl::AnyInvocable<void()> done) {
  closed_ = std::move(done);
  closing_ = sessions_.size();
  if (closing_ == 0) {
    std::exchange(closed_, nullptr)();
    return;
  }
  for (const Session& session : sessions_) {
    session.Close([this](const absl::Status&) {
      if (--closing_ == 0) std::exchange(closed_, nullptr)();
    });
  }
}

}  // namespace lockd::lockbench
