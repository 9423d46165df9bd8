#include "tests/e2e/load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/blocking_client.h"

namespace lockd::e2e {

Load::Load(const Cluster& cluster, size_t clients, size_t locks) : locks_(locks) {
  for (size_t i = 0; i < clients; ++i) {
    threads_.emplace_back([this, i, options = cluster.client_options()] { Run(i, options); });
  }
}

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool Load::Goes(uint64_t cycles) {
  const uint64_t until = cycles_ + cycles;
  return Eventually([&] { return cycles_ >= until; });
}

milliseconds Load::TakeLongestGap() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::chrono::duration_cast<milliseconds>(std::exchange(longest_gap_, {}));
}

void Load::Run(size_t number, const ClientOptions& options) {
  BlockingClient client(options);
  auto session = client.OpenSession({.operation_timeout = kPatience});
  ASSERT_TRUE(session.ok()) << session.status();
  for (size_t round = number; !stopping_; ++round) {
    const std::string name = absl::StrCat("lock-", round % locks_);
    AcquireResult result = session->Acquire(name, {.wait = kPatience});
    if (!result.granted()) {
      ++failures_;
      continue;
    }
    OnGrant(name, result.lock.token());
    BeforeRelease(name, result.lock.held());
    if (session->Release(std::move(result.lock)) != ReleaseStatus::kReleased) ++failures_;
    ++cycles_;
  }
}

void Load::OnGrant(const std::string& name, FencingToken token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EXPECT_FALSE(owned_[name]) << name << " has two owners";
  owned_[name] = true;
  // A doubled or stale grant is refused by the gate.
  EXPECT_TRUE(gates_[name].Admit(token)) << name << " was granted a token twice or late";
  const Clock::time_point now = Clock::now();
  longest_gap_ = std::max(longest_gap_, now - last_grant_at_);
  last_grant_at_ = now;
}

void Load::BeforeRelease(const std::string& name, bool is_held) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EXPECT_TRUE(is_held) << "lost " << name << " without a reason";
  owned_[name] = false;
}

}  // namespace lockd::e2e
