// Random command streams over a small world: few locks, many sessions, short lives, clients that
// repeat, re-order, forget and lie. After each entry all invariants hold, no two owners, tokens
// only grow; and how a leader cut its commands into entries does not matter.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

// Draws commands, knowing what a badly behaved set of clients would know.
class Workload {
 public:
  explicit Workload(uint64_t seed) : random_(seed) {}

  Command Next() {
    if (sessions_.empty() || random_.Chance(1, 30)) return Open();
    // Some old command once more, word for word.
    if (!sent_.empty() && random_.Chance(1, 10)) return sent_[random_.Below(sent_.size())];
    Client& client = sessions_[random_.Below(sessions_.size())];
    const Command command = Draw(client);
    sent_.push_back(command);
    if (sent_.size() > 200) sent_.erase(sent_.begin());
    return command;
  }

  // Takes note of what the clients would learn.
  void Learn(const Command& command, const CommandResult& result) {
    if (const auto* opened = std::get_if<SessionResult>(&result.value)) {
      const auto* open = std::get_if<OpenSession>(&command);
      if (open != nullptr && !opened->found) {
        sessions_.push_back(Client{opened->session, opened->epoch, open->nonce, {}, {}, {}});
        if (sessions_.size() > 12) sessions_.erase(sessions_.begin());
      }
      for (Client& client : sessions_) {
        // Now and then a client does not hear of its new epoch.
        if (client.id == opened->session && random_.Chance(19, 20)) client.epoch = opened->epoch;
      }
    }
    const auto* acquire = std::get_if<Acquire>(&command);
    const auto* acquired = std::get_if<AcquireResult>(&result.value);
    if (acquire == nullptr || acquired == nullptr) return;
    names_[{acquire->mutation.session, acquire->mutation.sequence}] = acquire->name;
    Learn(AcquireDone{acquire->mutation.session, acquire->mutation.sequence, *acquired});
  }
  void Learn(const Event& event) {
    const auto* done = std::get_if<AcquireDone>(&event);
    if (done == nullptr || done->result.kind != AcquireOutcomeKind::kGranted) return;
    grants_.push_back(
        {done->session, names_[{done->session, done->acquire}], done->result.grant.token});
    if (grants_.size() > 20) grants_.erase(grants_.begin());
  }

 private:
  struct Granted {
    SessionId session;
    std::string name;
    FencingToken token;
  };

  Command Open() {
    const auto nonce = random_.Chance(1, 4) ? random_.Between(1, nonces_ + 1) : ++nonces_;
    return OpenSession{Driver::NonceOf(nonce), static_cast<int64_t>(random_.Between(100, 3'000)),
                       random_.Chance(1, 2) ? 0 : static_cast<int64_t>(random_.Between(50, 500)),
                       ""};
  }

  std::string Name() { return absl::StrCat("lock-", random_.Below(6)); }

  Sequence Around(const Client& client) {
    const uint64_t last = client.last.value();
    return Sequence(random_.Between(last > 6 ? last - 6 : 1, last + 2));
  }

  Mutation Head(Client& client) {
    Mutation head = random_.Chance(1, 15) ? client.Head(Around(client)) : client.NextHead();
    if (random_.Chance(1, 3) && client.last.value() > 3) {
      client.acknowledged_through =
          std::max(client.acknowledged_through, Sequence(client.last.value() - 3));
    }
    if (random_.Chance(1, 4)) head.acknowledged_acquires = {Around(client), Around(client)};
    return head;
  }

  Command Draw(Client& client) {
    switch (random_.Below(20)) {
      case 0:
        return AttachSession{client.id, client.nonce};
      case 1:
        return random_.Chance(1, 4) ? Command(CloseSession{client.id, client.epoch})
                                    : Command(AttachSession{client.id, Driver::NonceOf(0)});
      case 2:
        return Disconnect{client.id, client.epoch};
      case 3:
      case 4: {
        KeepAlives keep_alives;
        for (const Client& one : sessions_) {
          if (random_.Chance(2, 3))
            keep_alives.sessions.push_back({one.id, one.epoch, {Around(one)}});
        }
        return keep_alives;
      }
      case 5:
      case 6:
        return Cancel{Head(client), Around(client)};
      case 7: {
        Reconcile reconcile{Head(client), Sequence(random_.Below(4)), Around(client), {}};
        reconcile.watermark = std::max(reconcile.watermark, reconcile.after);
        for (uint64_t s = 1; s <= client.last.value(); ++s) {
          if (random_.Chance(3, 4)) reconcile.live_acquires.push_back(Sequence(s));
        }
        return reconcile;
      }
      case 8:
      case 9:
      case 10:
      case 11:
      case 12: {
        // Mostly one's own grant, which may be over; now and then a piece of another's.
        Granted grant{client.id, Name(), FencingToken(1)};
        if (!grants_.empty()) grant = grants_[random_.Below(grants_.size())];
        if (random_.Chance(1, 8)) grant.name = Name();
        for (Client& owner : sessions_) {
          if (owner.id == grant.session && random_.Chance(7, 8)) {
            return Release{Head(owner), grant.name, grant.token};
          }
        }
        return Release{Head(client), grant.name, grant.token};
      }
      default: {
        const int64_t waits[] = {0, 0, kWaitForever, static_cast<int64_t>(random_.Below(800))};
        const int64_t hold = random_.Chance(1, 4) ? static_cast<int64_t>(random_.Below(800)) : 0;
        return Driver::AcquireCommand(Head(client), Name(), waits[random_.Below(4)], hold);
      }
    }
  }

  Random random_;
  std::vector<Client> sessions_;
  std::vector<Command> sent_;
  std::vector<Granted> grants_;
  std::map<std::pair<SessionId, Sequence>, std::string> names_;
  uint64_t nonces_ = 0;
};

Settings SmallSettings(uint64_t cleanup) {
  Settings settings;
  settings.session_ttl_ms_min = 1;
  settings.grace_ms_min = 1;
  settings.sessions_max = 40;
  settings.locks_max = 5;
  settings.waiters_max = 12;
  settings.locks_per_session_max = 3;
  settings.waiters_per_session_max = 4;
  settings.cleanup_holds_max = cleanup;
  return settings;
}

std::string Payload(const std::vector<Command>& commands) {
  BatchBuilder builder;
  for (const Command& command : commands) builder.Add(command);
  return builder.Take(WallTime(5));
}

class RandomStream : public ::testing::TestWithParam<uint64_t> {};

// Grants by token: a token belongs to one acquire for ever, and those that come with an entry are
// above all that came before it.
class TokenLog {
 public:
  void Note(SessionId session, Sequence acquire, const AcquireResult& result) {
    if (result.kind != AcquireOutcomeKind::kGranted) return;
    const auto grant = std::make_pair(session, acquire);
    const auto [known, is_new] = grants_.emplace(result.grant.token, grant);
    EXPECT_EQ(known->second, grant) << "token " << result.grant.token.value() << " given twice";
    if (is_new) {
      EXPECT_GT(result.grant.token, before_) << "an old token comes late";
    }
  }
  void EndEntry() {
    if (!grants_.empty()) before_ = grants_.rbegin()->first;
  }
  [[nodiscard]] size_t size() const { return grants_.size(); }

 private:
  std::map<FencingToken, std::pair<SessionId, Sequence>> grants_;
  FencingToken before_;
};

TEST_P(RandomStream, KeepsAllInvariantsAndGivesGrowingTokens) {
  Random random(GetParam());
  Workload workload(GetParam() + 1'000);
  LockDatabase db;
  db.Apply(ClusterTime(0), Payload({SetSettings{SmallSettings(random.Between(1, 4))}}));
  int64_t now = 0;
  TokenLog tokens;
  for (int entry = 0; entry < 2'000; ++entry) {
    if (random.Chance(1, 3)) now += static_cast<int64_t>(random.Below(150));
    if (random.Chance(1, 200)) now += kEndedSessionKeptMs / 3;
    std::vector<Command> commands;
    for (uint64_t n = random.Below(4); n > 0; --n) commands.push_back(workload.Next());
    const ApplyResult result = db.Apply(ClusterTime(now), Payload(commands));
    ASSERT_EQ(result.results.size(), commands.size());
    db.CheckInvariants();
    for (const Event& event : result.events) {
      workload.Learn(event);
      if (const auto* done = std::get_if<AcquireDone>(&event)) {
        tokens.Note(done->session, done->acquire, done->result);
      }
    }
    for (size_t i = 0; i < commands.size(); ++i) {
      workload.Learn(commands[i], result.results[i]);
      const auto* acquire = std::get_if<Acquire>(&commands[i]);
      const auto* acquired = std::get_if<AcquireResult>(&result.results[i].value);
      if (acquire != nullptr && acquired != nullptr) {
        tokens.Note(acquire->mutation.session, acquire->mutation.sequence, *acquired);
      }
    }
    tokens.EndEntry();
    ASSERT_LE(db.lock_count(), 5u);
    ASSERT_LE(db.waiter_count(), 12u);
    ASSERT_LE(db.session_count(), 40u);
    if (HasFailure()) FAIL() << "seed " << GetParam() << " entry " << entry;
  }
  EXPECT_GT(tokens.size(), 60u) << "the stream does not get anywhere";
}

TEST_P(RandomStream, DoesNotDependOnHowCommandsAreCutIntoEntries) {
  Random random(GetParam());
  Workload workload(GetParam() + 2'000);
  LockDatabase batched;
  LockDatabase single;
  for (LockDatabase* db : {&batched, &single}) {
    db->Apply(ClusterTime(0), Payload({SetSettings{SmallSettings(1'000)}}));
  }
  int64_t now = 0;
  for (int entry = 0; entry < 500; ++entry) {
    now += static_cast<int64_t>(random.Below(60));
    std::vector<Command> commands;
    for (uint64_t n = random.Below(6); n > 0; --n) commands.push_back(workload.Next());
    const ApplyResult whole = batched.Apply(ClusterTime(now), Payload(commands));
    std::vector<Event> events = single.Apply(ClusterTime(now), Payload({})).events;
    for (size_t i = 0; i < commands.size(); ++i) {
      const ApplyResult one = single.Apply(ClusterTime(now), Payload({commands[i]}));
      ASSERT_EQ(one.results.at(0).refusal, whole.results[i].refusal);
      ASSERT_EQ(one.results.at(0).value, whole.results[i].value);
      ASSERT_STREQ(one.results.at(0).limit, whole.results[i].limit);
      events.insert(events.end(), one.events.begin(), one.events.end());
      workload.Learn(commands[i], whole.results[i]);
    }
    for (const Event& event : events) workload.Learn(event);
    ASSERT_EQ(events, whole.events);
    ASSERT_EQ(single.digest(), batched.digest());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomStream, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace lockd::state
