// Every invariant of the lock database trips: a healthy database is broken by hand, in one place,
// and exactly that rule is named.
#include "server/state/invariants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/state/corruptor.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

// A database with something of everything:
//
//   alpha   held by Ann for at most 60 s; Ben waits for at most 30 s, Cat without limit
//   beta    held by Cat, who waited for it: her outcome is kept
//   Dan     has ended and is remembered for what he asked
class State {
 public:
  State() {
    const std::vector<Member> members{{NodeId(1), "n1:7421", "n1:7420", Incarnation(11)},
                                      {NodeId(2), "n2:7421", "n2:7420", Incarnation(12)}};
    driver_.Do(Bootstrap{ClusterId(5), kFeatureLevelMax, Settings{}, members});
    driver_.At(1'000);
    ann_ = driver_.Open(100'000);
    ben_ = driver_.Open(100'000, 5'000);
    cat_ = driver_.Open(100'000);
    dan_ = driver_.Open(100'000);
    driver_.Lock(ann_, "alpha", 60'000);
    driver_.Queue(ben_, "alpha", 30'000);
    driver_.Queue(cat_, "alpha");
    const Grant grant = driver_.Lock(ben_, "beta");
    cats_beta_ = driver_.Queue(cat_, "beta");
    driver_.Release(ben_, "beta", grant.token);
    driver_.Acquire(dan_, "alpha");
    driver_.Close(dan_);
    driver_.TickAt(2'000);
  }

  LockDatabase& db() { return driver_.db(); }
  Driver& driver() { return driver_; }
  SessionId ann() const { return ann_.id; }
  SessionId ben() const { return ben_.id; }
  SessionId cat() const { return cat_.id; }
  SessionId dan() const { return dan_.id; }
  Sequence cats_beta() const { return cats_beta_; }

 private:
  Driver driver_;
  Client ann_;
  Client ben_;
  Client cat_;
  Client dan_;
  Sequence cats_beta_;
};

struct Case {
  const char* name;
  std::function<void(LockDatabaseCorruptor&, const State&)> corrupt;
};

const std::vector<Case>& Cases() {
  using C = LockDatabaseCorruptor;
  using S = const State;
  static const auto* const kCases = new std::vector<Case>{
      // -- structure --
      {"BetweenCommands", [](C& c, S&) { c.freed().push_back(0); }},
      {"DeadlinesInOrder", [](C& c, S&) { c.SwapFirstDeadlines(); }},
      {"SessionIndexAgrees", [](C& c, S& s) { c.by_id().Erase(s.ann()); }},
      {"SessionIndexAgrees", [](C& c, S&) { c.by_id().Insert(SessionId(99), 0); }},
      {"NonceIndexAgrees", [](C& c, S& s) { c.by_nonce().Erase(c.session(s.ann()).nonce); }},
      {"NonceIndexAgrees",
       [](C& c, S& s) {
         c.by_nonce().Insert(c.session(s.dan()).nonce, c.db.sessions().Find(s.dan()));
       }},
      {"NonceIndexAgrees", [](C& c, S&) { c.by_nonce().Insert(Nonce{}, 0); }},
      {"NameIndexAgrees", [](C& c, S&) { c.EraseName("alpha"); }},
      {"QueueLinked", [](C& c, S&) { c.waiter("alpha", 1).previous = kNoRecord; }},
      {"QueueLinked", [](C& c, S&) { c.waiter("alpha", 1).lock = c.lock_id("beta"); }},
      {"QueueLinked", [](C& c, S&) { c.lock("alpha").last_waiter = c.waiter_id("alpha", 0); }},
      {"QueueLinked", [](C& c, S&) { ++c.lock("alpha").waiter_count; }},
      {"WaiterInOneQueue", [](C& c, S&) { (void)c.AllocateWaiter(); }},
      {"QueueInOrder",
       [](C& c, S&) { std::swap(c.waiter("alpha", 0).position, c.waiter("alpha", 1).position); }},
      // -- locks and sessions --
      {"FreeLockHasNoQueue", [](C& c, S&) { c.lock("alpha").hold.token = FencingToken(0); }},
      {"OneExclusiveOwner", [](C& c, S&) { c.lock("beta").hold.mode = LockMode{2}; }},
      {"OwnerKnowsHold", [](C& c, S& s) { c.lock("beta").hold.session = s.ann(); }},
      {"OwnerKnowsHold", [](C& c, S&) { c.lock("beta").hold.session_slot = kNoRecord; }},
      {"OwnerKnowsHold", [](C& c, S& s) { c.session(s.cat()).acquires.erase(s.cats_beta()); }},
      {"OwnerKnowsHold",
       [](C& c, S& s) {
         c.session(s.ann()).acquires.emplace(Sequence(50), AcquireRef::Holding(c.lock_id("beta")));
       }},
      {"WaiterKnowsAcquire", [](C& c, S& s) { c.waiter("alpha", 0).session = s.cat(); }},
      {"WaiterKnowsAcquire",
       [](C& c, S& s) {
         c.session(s.ann()).acquires.emplace(Sequence(50),
                                             AcquireRef::Waiting(c.waiter_id("alpha", 0)));
       }},
      {"OwnerSessionAlive",
       [](C& c, S& s) {
         // Ended, but nobody will come to clean up.
         c.session(s.ann()).ended = true;
         c.by_nonce().Erase(c.session(s.ann()).nonce);
       }},
      {"WaiterSessionAlive",
       [](C& c, S& s) {
         c.session(s.ben()).ended = true;
         c.by_nonce().Erase(c.session(s.ben()).nonce);
       }},
      {"AcquireHasOneState",
       [](C& c, S& s) {
         c.session(s.ben()).outcomes.emplace(c.waiter("alpha", 0).acquire,
                                             KeptOutcome{OutcomeOf(AcquireOutcomeKind::kTimedOut)});
       }},
      {"SettledIsBare", [](C& c, S& s) { c.session(s.ann()).settled = true; }},
      {"SettledIsBare",
       [](C& c, S& s) {
         c.session(s.dan()).replies.DropThrough(Sequence(99), [](const Reply&) {});
       }},
      {"GrantNotInTheFuture",
       [](C& c, S&) { c.lock("beta").hold.granted_at = ClusterTime(2'001); }},
      {"LeaseBounded", [](C& c, S& s) { c.Renew(s.ann(), ClusterTime(2'000'000)); }},
      {"LeaseBounded", [](C& c, S& s) { c.session(s.dan()).kept_until = ClusterTime(200'000); }},
      // -- numbers --
      {"TokensUnique", [](C& c, S&) { c.lock("beta").hold.token = c.lock("alpha").hold.token; }},
      {"TokensBelowCounter", [](C& c, S&) { --c.counter(); }},
      {"RepliesAboveX", [](C& c, S& s) { c.session(s.ann()).acknowledged_through = Sequence(1); }},
      {"RepliesBounded",
       [](C& c, S& s) {
         c.session(s.ann()).replies.Insert(Sequence(kSequenceWindow + 1), ReleaseResult{});
       }},
      {"OutcomesFinal",
       [](C& c, S& s) {
         c.session(s.cat()).outcomes.begin()->second.result.kind = AcquireOutcomeKind::kQueued;
       }},
      {"CountersExact", [](C& c, S& s) { ++c.session(s.ann()).holds; }},
      {"CountersExact", [](C& c, S&) { ++c.held_count(); }},
      {"CountersExact", [](C& c, S&) { ++c.kept_count(); }},
      {"CountersExact", [](C& c, S&) { ++c.outcome_count(); }},
      {"DeadlinesArmed", [](C& c, S& s) { c.session(s.ann()).deadline_handle = kNoRecord; }},
      {"DeadlinesArmed",
       [](C& c, S&) { c.deadlines().Move(c.lock("alpha").deadline_handle, ClusterTime(70'000)); }},
      {"DeadlinesArmed", [](C& c, S&) { c.waiter("alpha", 0).deadline = ClusterTime(30'000); }},
      {"DeadlinesArmed",
       [](C& c, S&) {
         c.deadlines().Arm({ClusterTime(9'000), 77, DeadlineKind::kWait, 0});
       }},
      {"NoDeadlineInThePast", [](C& c, S& s) { c.Renew(s.ann(), ClusterTime(2'000)); }},
      {"NoDeadlineInThePast", [](C& c, S&) { c.time() = ClusterTime(40'000); }},
      {"MembersInOrder", [](C& c, S&) { std::swap(c.members()[0], c.members()[1]); }},
      {"MembersBounded",
       [](C& c, S&) {
         while (c.members().size() <= kMembersMax) {
           c.members().push_back(c.members().back());
           c.last_node_id() = ++c.members().back().node_id;
         }
       }},
      {"MembersHaveVoters",
       [](C& c, S&) {
         for (Member& member : c.members()) member.role = MemberRole::kLearner;
       }},
      {"MembersHaveVoters",
       [](C& c, S&) {
         for (Member& member : c.members()) member.role = MemberRole::kIncoming;
       }},
      {"MembersHaveVoters",
       [](C& c, S&) {
         for (Member& member : c.members()) member.role = MemberRole::kOutgoing;
       }},
      {"NodeIdsBelowLast", [](C& c, S&) { c.last_node_id() = NodeId(1); }},
      {"DigestExact", [](C& c, S& s) { c.session(s.ann()).owner_id += "?"; }},
      {"DigestExact", [](C& c, S&) { c.lock("beta").hold.granted_wall = WallTime(7); }},
  };
  return *kCases;
}

class StateInvariants : public testing::TestWithParam<Case> {};

TEST_P(StateInvariants, Trips) {
  State state;
  ASSERT_EQ(FirstBrokenInvariant(state.db()), "");
  LockDatabaseCorruptor corruptor(state.db());
  GetParam().corrupt(corruptor, state);
  EXPECT_THAT(FirstBrokenInvariant(state.db()),
              testing::StartsWith(absl::StrCat(GetParam().name, ": ")));
}

INSTANTIATE_TEST_SUITE_P(All, StateInvariants, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& test) {
                           return absl::StrCat(test.param.name, "_", test.index);
                         });

TEST(StateInvariantNames, EachOneHasATestThatTripsIt) {
  for (const absl::string_view name : InvariantNames()) {
    EXPECT_TRUE(std::any_of(Cases().begin(), Cases().end(), [name](const Case& c) {
      return c.name == name;
    })) << std::string(name);
  }
}

TEST(StateInvariantNames, WhatABudgetLeavesBehindIsNotBroken) {
  Driver driver;
  Settings settings;
  settings.cleanup_holds_max = 1;
  driver.ChangeSettings(settings);
  Client client = driver.Open(1'000);
  for (const char* name : {"a", "b", "c"}) driver.Lock(client, name);
  driver.TickAt(10'000);
  EXPECT_TRUE(driver.db().HasBacklog());
  EXPECT_EQ(FirstBrokenInvariant(driver.db()), "");
}

TEST(StateInvariantNames, ABrokenOneEndsTheProcess) {
  State state;
  LockDatabaseCorruptor(state.db()).counter() = 0;
  EXPECT_DEATH(state.db().CheckInvariants(), "TokensBelowCounter: ");
}

}  // namespace
}  // namespace lockd::state
