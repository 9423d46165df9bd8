// The digest: the same for the same state whatever its history in memory, different for any change.

#include "server/state/digest.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

// ---- The hash

TEST(Hasher, IsTheSameEverywhere) {
  // A change of these numbers is a change of the digest: raise kDigestVersion.
  const Digest digest =
      Hasher(DigestTag::kHold).Word(uint64_t{42}).Bytes("resource1").Word(int64_t{-1}).Finish();
  EXPECT_EQ(digest.high, 2931257199030089454u);
  EXPECT_EQ(digest.low, 14201595383132504357u);
}

TEST(Hasher, TellsSplitsOfBytesApart) {
  const auto of = [](absl::string_view a, absl::string_view b) {
    const Digest digest = Hasher(DigestTag::kHold).Bytes(a).Bytes(b).Finish();
    return std::make_pair(digest.high, digest.low);
  };
  std::set<std::pair<uint64_t, uint64_t>> digests;
  const std::string text("abcdefghijklmnopqrstuvwxyz\0\0\0\0\0\0", 32);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    digests.insert(of(absl::string_view(text).substr(0, cut), absl::string_view(text).substr(cut)));
  }
  EXPECT_EQ(digests.size(), text.size() + 1);
}

TEST(Hasher, ChangesHalfOfItsBitsForEveryBitOfInput) {
  const auto of = [](uint64_t word) { return Hasher(DigestTag::kReply).Word(word).Finish(); };
  const Digest base = of(0x123456789abcdef);
  for (int bit = 0; bit < 64; ++bit) {
    const Digest flipped = of(0x123456789abcdef ^ (uint64_t{1} << bit));
    const int changed =
        std::popcount(base.high ^ flipped.high) + std::popcount(base.low ^ flipped.low);
    EXPECT_GT(changed, 36) << bit;
    EXPECT_LT(changed, 92) << bit;
  }
}

TEST(DigestSum, HasNoOrderAndTakesBackWhatWasAdded) {
  Random random(3);
  std::vector<Digest> parts;
  for (int i = 0; i < 100; ++i) parts.push_back(Digest{random.Next(), random.Next()});
  DigestSum forward;
  DigestSum backward;
  for (const Digest& part : parts) forward.Add(part);
  std::reverse(parts.begin(), parts.end());
  for (const Digest& part : parts) backward.Add(part);
  EXPECT_EQ(forward.value(), backward.value());
  for (const Digest& part : parts) forward.Subtract(part);
  EXPECT_EQ(forward.value(), Digest{});
}

// ---- The digest of a database

// Node 1 founds a cluster, then its members change.
void FoundAndChange(Driver& d, const std::vector<ChangeMembers>& changes) {
  d.Do(Bootstrap{ClusterId(9), 1, {}, {Member{NodeId(1), "a", "b", Incarnation(0)}}});
  for (const ChangeMembers& change : changes) ASSERT_EQ(d.Do(change).refusal, Refusal::kNone);
}

TEST(Digest, DoesNotDependOnWhereRecordsLie) {
  // The same state, but the locks were freed in another order, so that later ones lie elsewhere.
  const auto run = [](bool reversed) {
    auto d = std::make_unique<Driver>();
    Client a = d->Open();
    std::vector<Command> releases;
    for (int i = 0; i < 40; ++i) {
      const Grant grant = d->Lock(a, absl::StrCat(i));
      releases.push_back(Release{a.NextHead(), absl::StrCat(i), grant.token});
    }
    if (reversed) std::reverse(releases.begin(), releases.end());
    d->DoAll(releases);
    a.acknowledged_through = a.last;
    for (int i = 0; i < 40; ++i) d->Lock(a, absl::StrCat("again-", i));
    return d;
  };
  const auto one = run(false);
  const auto two = run(true);
  std::vector<LockView> first;
  std::vector<LockView> second;
  one->db().ListLocks("", 0, 1, &first);
  two->db().ListLocks("", 0, 1, &second);
  ASSERT_NE(first.at(0).name, second.at(0).name) << "the layouts do not differ";
  EXPECT_EQ(one->db().digest(), two->db().digest());
}

TEST(Digest, IsBackWhereItWasWhenEverythingIsGone) {
  Driver d;
  Driver untouched;
  Client a = d.Open(1'000);
  Client b = d.Open(1'000);
  const Grant grant = d.Lock(a, "one", 500);
  d.Queue(b, "one", 300);
  d.Queue(b, "one");
  d.Release(a, "one", grant.token);
  d.Attach(b);
  d.TickAt(100'000);
  d.TickAt(200'000);
  untouched.TickAt(200'000);
  // Only the counter tells them apart.
  EXPECT_NE(d.db().digest(), untouched.db().digest());
  EXPECT_EQ(d.db().NextDeadline(), kNeverCluster);
  untouched.Open(1'000);
  untouched.Open(1'000);
  for (int i = 0; i < 4; ++i) {
    Client c = untouched.Open(1'000);
    untouched.Close(c);
  }
  untouched.TickAt(300'000);
  d.TickAt(300'000);
  // Two sessions, two positions, two tokens on one side; six sessions on the other.
  EXPECT_EQ(d.db().digest(), untouched.db().digest());
}

// One change each; every one must show.
TEST(Digest, ChangesWithEveryPartOfTheState) {
  using Step = std::function<void(Driver&, Client&, Client&)>;
  const std::vector<std::pair<const char*, Step>> steps = {
      {"time", [](Driver& d, Client&, Client&) { d.TickAt(2); }},
      {"keep-alive", [](Driver& d, Client& a, Client&) { d.KeepAlive(a); }},
      {"attach", [](Driver& d, Client& a, Client&) { d.Attach(a); }},
      {"disconnect", [](Driver& d, Client& a, Client&) { d.Drop(a); }},
      {"close", [](Driver& d, Client& a, Client&) { d.Close(a); }},
      {"open", [](Driver& d, Client&, Client&) { d.Open(); }},
      {"grant", [](Driver& d, Client& a, Client&) { d.Lock(a, "x"); }},
      {"busy", [](Driver& d, Client&, Client& b) { d.Acquire(b, "one"); }},
      {"queue", [](Driver& d, Client&, Client& b) { d.Queue(b, "one"); }},
      {"queue with wait", [](Driver& d, Client&, Client& b) { d.Queue(b, "one", 5); }},
      {"queue with hold",
       [](Driver& d, Client&, Client& b) { d.Queue(b, "one", kWaitForever, 5); }},
      {"stale release",
       [](Driver& d, Client& a, Client&) { d.Release(a, "one", FencingToken(1)); }},
      {"cancel", [](Driver& d, Client&, Client& b) { d.Cancel(b, Sequence(1)); }},
      {"cancel of another", [](Driver& d, Client&, Client& b) { d.Cancel(b, Sequence(9)); }},
      {"settings",
       [](Driver& d, Client&, Client&) {
         Settings settings;
         settings.locks_max = 77;
         d.ChangeSettings(settings);
       }},
      {"bootstrap",
       [](Driver& d, Client&, Client&) {
         d.Do(Bootstrap{ClusterId(9), 1, {}, {Member{NodeId(1), "a", "b", Incarnation(0)}}});
       }},
      {"a learner",
       [](Driver& d, Client&, Client&) { FoundAndChange(d, {ChangeTo({1}, {}, {2}, {2})}); }},
      {"a voter more",
       [](Driver& d, Client&, Client&) {
         FoundAndChange(d, {ChangeTo({1, 2}, {}, {}, {2})});
       }},
      {"an incoming voter",
       [](Driver& d, Client&, Client&) {
         FoundAndChange(d, {ChangeTo({1, 2}, {1}, {}, {2})});
       }},
      {"an outgoing voter",
       [](Driver& d, Client&, Client&) {
         FoundAndChange(d, {ChangeTo({1, 2}, {}, {}, {2}), ChangeTo({1}, {1, 2}, {})});
       }},
      {"a learner with a higher id",
       [](Driver& d, Client&, Client&) { FoundAndChange(d, {ChangeTo({1}, {}, {3}, {3})}); }},
      {"an id that is gone",
       [](Driver& d, Client&, Client&) {
         FoundAndChange(d, {ChangeTo({1}, {}, {2}, {2}), ChangeTo({1}, {}, {})});
       }},
      {"a higher id that is gone",
       [](Driver& d, Client&, Client&) {
         FoundAndChange(d, {ChangeTo({1}, {}, {3}, {3}), ChangeTo({1}, {}, {})});
       }},
  };
  std::set<std::pair<uint64_t, uint64_t>> digests;
  for (const auto& [what, step] : steps) {
    Driver d;
    Client a = d.Open(10'000, 3'000);
    Client b = d.Open();
    d.Lock(a, "one");
    d.Queue(b, "one");
    // Away from time 0, so that a keep-alive moves a deadline; the wall clock moves alike for all.
    d.TickAt(1);
    const Digest before = d.db().digest();
    step(d, a, b);
    const Digest after = d.db().digest();
    EXPECT_NE(after, before) << what;
    EXPECT_TRUE(digests.emplace(after.high, after.low).second) << what << " is like another";
  }
}

}  // namespace
}  // namespace lockd::state
