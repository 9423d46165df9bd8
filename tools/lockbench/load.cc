#include "tools/lockbench/load.h"

#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::lockbench {
namespace {

// Sessions that are opened at the same time: more would only wait in the server.
constexpr size_t kOpeningMax = 64;
constexpr std::chrono::milliseconds kRest{20};
// Long, so that keep-alives take nothing from what is measured.
constexpr std::chrono::seconds kTtl{30};

SessionOptions MakeSessionOptions() {
  SessionOptions options;
  options.owner_id = "lockbench";
  options.ttl = kTtl;
  return options;
}

}  // namespace

Load::Load(boost::asio::io_context& context, Client& client, const Arguments& arguments,
           std::string prefix, uint64_t seed)
    : client_(client),
      is_contended_(arguments.workload == Workload::kContended),
      keys_(arguments.keys),
      prefix_(std::move(prefix)),
      random_(seed),
      rest_timer_(context),
      connections_(arguments.connections),
      slots_(arguments.in_flight) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].connection = static_cast<uint32_t>(i % connections_.size());
  }
}

void Load::Open(absl::AnyInvocable<void(absl::Status)> done) {
  opened_ = std::move(done);
  OpenNext();
}

void Load::OpenNext() {
  while (opening_ < kOpeningMax && next_to_open_ < connections_.size()) {
    Connection& connection = connections_[next_to_open_++];
    ++opening_;
    client_.OpenSession(MakeSessionOptions(), [this, &connection](absl::StatusOr<Session> session) {
      --opening_;
      if (!opened_) return;  // failed before
      if (!session.ok()) {
        std::exchange(opened_, nullptr)(session.status());
        return;
      }
      connection.session = *std::move(session);
      OpenNext();
      if (opening_ == 0) std::exchange(opened_, nullptr)(absl::OkStatus());
    });
  }
}

void Load::Start() {
  is_running_ = true;
  const Clock::time_point now = Clock::now();
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) BeginCycle(slot, now);
}

void Load::Measure() {
  for (Latencies* part : {&usual_, &snapshot_}) {
    part->acquire.Clear();
    part->release.Clear();
  }
  errors_ = 0;
  is_measuring_ = true;
}

void Load::Stop(absl::AnyInvocable<void()> done) {
  is_running_ = false;
  is_measuring_ = false;
  rest_timer_.cancel();
  stopped_ = std::move(done);
  closing_ = connections_.size();
  for (const Connection& connection : connections_) {
    connection.session.Close([this](const absl::Status&) {
      if (--closing_ == 0) std::exchange(stopped_, nullptr)();
    });
  }
}

// ---- The loop

// Each logical client of the uncontended workload has the keys whose number leaves its own number
// as the rest of a division by the number of clients.
std::string Load::DrawName(uint32_t slot) {
  uint64_t key = 0;
  if (is_contended_) {
    key = random_.Below(keys_);
  } else {
    const uint64_t own = (keys_ - slot + slots_.size() - 1) / slots_.size();
    key = slot + random_.Below(own) * slots_.size();
  }
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), key);
  std::string name = prefix_;
  name.append(digits, end);
  return name;
}

void Load::BeginCycle(uint32_t slot, Clock::time_point now) {
  slots_[slot].step_began = now;
  slots_[slot].is_measured = is_measuring_;
  connections_[slots_[slot].connection].session.Acquire(DrawName(slot), AcquireOptions{},
                                                        OnAcquired{this, slot});
}

void Load::Acquired(uint32_t slot, AcquireResult result) {
  if (!is_running_) return;
  if (!result.granted()) {
    Rest(slot);
    return;
  }
  Slot& state = slots_[slot];
  const Clock::time_point now = Clock::now();
  if (is_measuring_ && state.is_measured) part().acquire.Record((now - state.step_began).count());
  state.step_began = now;
  result.lock.Release(OnReleased{this, slot});
}

void Load::Released(uint32_t slot, ReleaseStatus status) {
  if (!is_running_) return;
  if (status != ReleaseStatus::kReleased) {
    Rest(slot);
    return;
  }
  const Clock::time_point now = Clock::now();
  ++cycles_;
  Slot& state = slots_[slot];
  if (is_measuring_ && state.is_measured) part().release.Record((now - state.step_began).count());
  BeginCycle(slot, now);
}

// ---- Failures

void Load::Rest(uint32_t slot) {
  if (is_measuring_) ++errors_;
  connections_[slots_[slot].connection].resting.push_back(slot);
  WakeUpLater();
}

void Load::WakeUpLater() {
  if (is_rest_timer_set_) return;
  is_rest_timer_set_ = true;
  rest_timer_.expires_after(kRest);
  rest_timer_.async_wait([this](const boost::system::error_code& error) {
    is_rest_timer_set_ = false;
    if (error || !is_running_) return;
    for (Connection& connection : connections_) {
      if (!connection.resting.empty()) WakeUp(connection);
    }
  });
}

void Load::WakeUp(Connection& connection) {
  if (connection.is_opening) return;
  const SessionState state = connection.session.state();
  if (state == SessionState::kHealthy || state == SessionState::kJeopardy) {
    const Clock::time_point now = Clock::now();
    for (const uint32_t slot : std::exchange(connection.resting, {})) BeginCycle(slot, now);
    return;
  }
  connection.is_opening = true;
  client_.OpenSession(MakeSessionOptions(), [this, &connection](absl::StatusOr<Session> session) {
    connection.is_opening = false;
    if (!is_running_) return;
    if (session.ok()) connection.session = *std::move(session);
    WakeUpLater();
  });
}

}  // namespace lockd::lockbench
