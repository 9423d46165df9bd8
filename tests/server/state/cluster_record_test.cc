// What the state says about the cluster itself, and what apply refuses to go on with.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::SizeIs;

Member MemberOf(uint64_t id, uint64_t incarnation = 0) {
  return Member{NodeId(id), absl::StrCat("p:", id), absl::StrCat("c:", id),
                Incarnation(incarnation)};
}

TEST(Bootstrap, TakesEffectOnce) {
  Driver d;
  EXPECT_TRUE(d.db().cluster_id().is_zero());
  Settings settings;
  settings.locks_max = 5;
  EXPECT_EQ(d.Do(Bootstrap{ClusterId(9), 1, settings, {MemberOf(1), MemberOf(2)}}).refusal,
            Refusal::kNone);
  EXPECT_EQ(d.Do(Bootstrap{ClusterId(8), 1, {}, {MemberOf(3)}}).refusal, Refusal::kInvalid);
  EXPECT_EQ(d.db().cluster_id(), ClusterId(9));
  EXPECT_EQ(d.db().feature_level(), 1u);
  EXPECT_EQ(d.db().settings(), settings);
  EXPECT_THAT(d.db().members(), SizeIs(2));
}

// a node with the right id and a wiped directory.
TEST(RegisterMember, SetsAnIncarnationOnce) {
  Driver d;
  d.Do(Bootstrap{ClusterId(9), 1, {}, {MemberOf(1), MemberOf(2)}});
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(2, 77)}).refusal, Refusal::kNone);
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(2, 78)}).refusal, Refusal::kInvalid);
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(2, 0)}).refusal, Refusal::kInvalid);
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(2, 77)}).refusal, Refusal::kNone);
  EXPECT_EQ(d.db().members()[1].incarnation, Incarnation(77));
  EXPECT_TRUE(d.db().members()[0].incarnation.is_zero());
}

TEST(RegisterMember, ReplacesTheAddressesThatItNames) {
  Driver d;
  d.Do(Bootstrap{ClusterId(9), 1, {}, {MemberOf(1)}});
  d.Do(RegisterMember{Member{NodeId(1), "", "new:1", Incarnation(5)}});
  EXPECT_EQ(d.db().members()[0], (Member{NodeId(1), "p:1", "new:1", Incarnation(5)}));
}

TEST(RegisterMember, OfANodeThatIsNoMemberIsRefused) {
  Driver d;
  d.Do(Bootstrap{ClusterId(9), 1, {}, {MemberOf(1)}});
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(2, 5)}).refusal, Refusal::kInvalid);
  EXPECT_THAT(d.db().members(), SizeIs(1));
}

TEST(SetFeatureLevel, ToTheCurrentOneIsFine) {
  Driver d;
  EXPECT_EQ(d.Do(SetFeatureLevel{kFeatureLevelMax}).refusal, Refusal::kNone);
}

TEST(ApplyDeathTest, EndsTheProcessAboveTheFeatureLevelThatItKnows) {
  Driver d;
  EXPECT_DEATH(d.Do(SetFeatureLevel{kFeatureLevelMax + 1}), "run a newer version of lockd");
  EXPECT_DEATH(d.Do(Bootstrap{ClusterId(9), kFeatureLevelMax + 1, {}, {MemberOf(1)}}),
               "run a newer version of lockd");
}

TEST(ApplyDeathTest, EndsTheProcessOnACommandVersionThatItDoesNotKnow) {
  LockDatabase db;
  BatchBuilder builder;
  builder.Add(SetFeatureLevel{1});
  std::string payload = builder.Take(WallTime(0));
  payload[2 + 8 + 4] = 9;
  EXPECT_DEATH(db.Apply(ClusterTime(0), payload), "has version 9, this build knows 1");
}

TEST(ApplyDeathTest, EndsTheProcessOnBytesThatNobodyWrote) {
  LockDatabase db;
  EXPECT_DEATH(db.Apply(ClusterTime(0), "garbage"), "batch version");
}

TEST(ApplyDeathTest, EndsTheProcessWhenTimeGoesBack) {
  LockDatabase db;
  db.Apply(ClusterTime(10), "");
  EXPECT_DEATH(db.Apply(ClusterTime(9), ""), "cluster time goes back from 10 to 9");
}

TEST(Apply, OfANoOpOnlyMovesTime) {
  Driver d;
  Client a = d.Open(1'000);
  const ApplyResult result = d.db().Apply(ClusterTime(ServerDurationMs(1'000)), "");
  EXPECT_THAT(result.results, SizeIs(0));
  EXPECT_THAT(result.events, SizeIs(1));
  EXPECT_FALSE(d.db().SessionIsLive(a.id));
  EXPECT_EQ(d.db().time(), ClusterTime(ServerDurationMs(1'000)));
}

}  // namespace
}  // namespace lockd::state
