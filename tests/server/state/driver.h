// Driver: a LockDatabase with clients that count their sequences, one command for each log entry,
// and invariants checked after every one.
//
//   Driver d;
//   Client a = d.Open();
//   const Grant grant = d.Lock(a, "resource1");
//   d.At(5'000);                                   // the cluster time of the entries from here on
//   d.Acquire(b, "resource1", kWaitForever);       // an AcquireResult
//   d.Release(a, "resource1", grant.token);
//   d.events()                                     // of the last entry
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SERVER_STATE_DRIVER_H_
#define LOCKD_TESTS_SERVER_STATE_DRIVER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "protocol/base/check.h"
#include "server/state/command.h"
#include "server/state/lock_database.h"
#include "server/state/types.h"

namespace lockd::state {

struct Client {
  SessionId id;
  ConnectionEpoch epoch;
  std::string nonce;
  Sequence last;                       // used
  Sequence acknowledged_through;       // sent with the next mutation
  std::vector<Sequence> acknowledged;  // singly, with the next mutation

  Mutation Head(Sequence sequence) const {
    return Mutation{id, epoch, sequence, acknowledged_through, acknowledged};
  }
  Mutation NextHead() { return Head(++last); }
};

inline AcquireResult OutcomeOf(AcquireOutcomeKind kind, LimitKind limit = LimitKind::kNone) {
  AcquireResult result;
  result.kind = kind;
  result.limit = limit;
  return result;
}

inline std::vector<NodeId> NodeIds(const std::vector<uint64_t>& numbers) {
  std::vector<NodeId> ids;
  for (const uint64_t number : numbers) ids.emplace_back(number);
  return ids;
}

// Lists by number; who is added has nothing but an id.
inline ChangeMembers ChangeTo(const std::vector<uint64_t>& voters,
                              const std::vector<uint64_t>& outgoing,
                              const std::vector<uint64_t>& learners,
                              const std::vector<uint64_t>& added = {}) {
  ChangeMembers change{NodeIds(voters), NodeIds(outgoing), NodeIds(learners), {}};
  for (const NodeId id : NodeIds(added)) change.added.emplace_back().node_id = id;
  return change;
}

class Driver {
 public:
  void At(int64_t time_ms) { now_ = ClusterTime(time_ms); }
  [[nodiscard]] ClusterTime now() const { return now_; }
  // The deadline of a client's duration that starts now.
  [[nodiscard]] int64_t DeadlineOf(int64_t client_ms) const {
    return now_.value() + ServerDurationMs(client_ms);
  }

  CommandResult Do(const Command& command) { return DoAll({command}).at(0); }
  std::vector<CommandResult> DoAll(const std::vector<Command>& commands) {
    BatchBuilder builder;
    for (const Command& command : commands) builder.Add(command);
    ApplyResult result = db_.Apply(now_, builder.Take(WallTime(1'000'000 + now_.value())));
    db_.CheckInvariants();
    events_ = std::move(result.events);
    return std::move(result.results);
  }
  // A time entry.
  const std::vector<Event>& Tick() {
    DoAll({});
    return events_;
  }
  const std::vector<Event>& TickAt(int64_t time_ms) {
    At(time_ms);
    return Tick();
  }

  // -- sessions --
  static std::string NonceOf(uint64_t number) {
    std::string nonce = absl::StrCat("nonce-", number);
    nonce.resize(kNonceBytes, '.');
    return nonce;
  }
  Client Open(int64_t ttl_ms = 10'000, int64_t grace_ms = 0) {
    const std::string nonce = NonceOf(++nonces_);
    const CommandResult result =
        Do(OpenSession{nonce, ttl_ms, grace_ms, absl::StrCat("owner-", nonces_)});
    EXPECT_EQ(result.refusal, Refusal::kNone);
    const auto& opened = std::get<SessionResult>(result.value);
    return Client{opened.session, opened.epoch, nonce, {}, {}, {}};
  }
  CommandResult Attach(Client& client) {
    CommandResult result = Do(AttachSession{client.id, client.nonce});
    if (result.refusal == Refusal::kNone)
      client.epoch = std::get<SessionResult>(result.value).epoch;
    return result;
  }
  Refusal KeepAlive(const Client& client, std::vector<Sequence> acknowledged = {}) {
    const CommandResult result =
        Do(KeepAlives{{KeepAlives::One{client.id, client.epoch, std::move(acknowledged)}}});
    EXPECT_EQ(result.refusal, Refusal::kNone);
    return std::get<KeepAliveResults>(result.value).sessions.at(0);
  }
  Refusal Close(const Client& client) { return Do(CloseSession{client.id, client.epoch}).refusal; }
  Refusal Drop(const Client& client) { return Do(Disconnect{client.id, client.epoch}).refusal; }

  // -- locks; the sequence is the client's next one --
  static state::Acquire AcquireCommand(Mutation head, std::string name, int64_t wait_ms = 0,
                                       int64_t max_hold_ms = 0) {
    return state::Acquire{std::move(head), std::move(name), LockMode::kExclusive, wait_ms,
                          max_hold_ms};
  }
  AcquireResult Acquire(Client& client, std::string name, int64_t wait_ms = 0,
                        int64_t max_hold_ms = 0) {
    return AcquireOf(Do(AcquireCommand(client.NextHead(), std::move(name), wait_ms, max_hold_ms)));
  }
  // A try that must be granted.
  Grant Lock(Client& client, std::string name, int64_t max_hold_ms = 0) {
    const AcquireResult result = Acquire(client, std::move(name), 0, max_hold_ms);
    EXPECT_EQ(result.kind, AcquireOutcomeKind::kGranted);
    return result.grant;
  }
  // An acquire that must wait; its id.
  Sequence Queue(Client& client, std::string name, int64_t wait_ms = kWaitForever,
                 int64_t max_hold_ms = 0) {
    const AcquireResult result = Acquire(client, std::move(name), wait_ms, max_hold_ms);
    EXPECT_EQ(result.kind, AcquireOutcomeKind::kQueued);
    return client.last;
  }
  ReleaseOutcome Release(Client& client, std::string name, FencingToken token) {
    const CommandResult result = Do(state::Release{client.NextHead(), std::move(name), token});
    EXPECT_EQ(result.refusal, Refusal::kNone);
    return std::get<ReleaseResult>(result.value).outcome;
  }
  CancelResult Cancel(Client& client, Sequence acquire) {
    const CommandResult result = Do(state::Cancel{client.NextHead(), acquire});
    EXPECT_EQ(result.refusal, Refusal::kNone);
    return std::get<CancelResult>(result.value);
  }
  static AcquireResult AcquireOf(const CommandResult& result) {
    EXPECT_EQ(result.refusal, Refusal::kNone);
    return std::get<AcquireResult>(result.value);
  }

  // -- what the last entry did --
  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  template <typename E>
  [[nodiscard]] std::vector<E> EventsOf() const {
    std::vector<E> found;
    for (const Event& event : events_) {
      if (const E* e = std::get_if<E>(&event)) found.push_back(*e);
    }
    return found;
  }

  [[nodiscard]] LockDatabase& db() { return db_; }

  void ChangeSettings(const Settings& settings) {
    EXPECT_EQ(Do(SetSettings{settings}).refusal, Refusal::kNone);
  }

 private:
  LockDatabase db_;
  ClusterTime now_;
  uint64_t nonces_ = 0;
  std::vector<Event> events_;
};

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SERVER_STATE_DRIVER_H_
