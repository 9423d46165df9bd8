// Members come, go and change their roles.
//
//   founded    1 2 3            voters
//   a learner  1 2 3   | 4
//   joint      1 2 4  <- 1 2 3  4 is incoming, 3 outgoing; elections and commits need both halves
//   after it   1 2 4            nothing is known of 3 any more, and its id is used up

#include "server/state/members.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Member MemberOf(uint64_t id, MemberRole role = MemberRole::kVoter) {
  return Member{NodeId(id), absl::StrCat("p:", id), absl::StrCat("c:", id), Incarnation(100 + id),
                role};
}

// The members by role, as in "1 2 4 learner 5"; voters have no word.
std::string Roles(const std::vector<Member>& members) {
  std::string text;
  for (const Member& member : members) {
    if (!text.empty()) text += " ";
    if (member.role != MemberRole::kVoter) absl::StrAppend(&text, RoleName(member.role), " ");
    absl::StrAppend(&text, member.node_id.value());
  }
  return text;
}

class Members : public ::testing::Test {
 protected:
  Members() {
    d.Do(Bootstrap{ClusterId(9), kFeatureLevelMax, {}, {MemberOf(1), MemberOf(2), MemberOf(3)}});
  }

  // What is asked before says what apply will do.
  Refusal Change(const ChangeMembers& change) {
    const bool is_fine = d.db().CheckChange(change).ok();
    const Refusal refusal = d.Do(change).refusal;
    EXPECT_EQ(refusal, is_fine ? Refusal::kNone : Refusal::kInvalid);
    return refusal;
  }
  std::string Now() { return Roles(d.db().members()); }

  Driver d;
};

TEST_F(Members, OfAFoundedClusterAreVoters) {
  EXPECT_EQ(Now(), "1 2 3");
  EXPECT_EQ(d.db().last_node_id(), NodeId(3));
}

TEST_F(Members, ALearnerIsAddedPromotedByAJointChangeAndAVoterLeaves) {
  ChangeMembers add = ChangeTo({1, 2, 3}, {}, {4});
  add.added = {MemberOf(4)};
  EXPECT_EQ(Change(add), Refusal::kNone);
  EXPECT_EQ(Now(), "1 2 3 learner 4");
  EXPECT_EQ(d.db().members()[3], MemberOf(4, MemberRole::kLearner));
  EXPECT_EQ(d.db().last_node_id(), NodeId(4));

  EXPECT_EQ(Change(ChangeTo({1, 2, 4}, {1, 2, 3}, {})), Refusal::kNone);
  EXPECT_EQ(Now(), "1 2 outgoing 3 incoming 4");

  EXPECT_EQ(Change(ChangeTo({1, 2, 4}, {}, {})), Refusal::kNone);
  EXPECT_EQ(Now(), "1 2 4");
  EXPECT_EQ(d.db().members()[2], MemberOf(4)) << "the record is the one that was added";
}

TEST_F(Members, WhoIsInNoListIsForgottenAndItsIdIsUsedUp) {
  EXPECT_EQ(Change(ChangeTo({1, 2}, {}, {})), Refusal::kNone);
  EXPECT_EQ(Now(), "1 2");
  EXPECT_EQ(d.db().last_node_id(), NodeId(3));
  // What was registered of it is gone.
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(3)}).refusal, Refusal::kInvalid);
  // It comes back as somebody else only.
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {})), Refusal::kInvalid);
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {}, {3})), Refusal::kInvalid);
  EXPECT_EQ(Now(), "1 2");
  EXPECT_EQ(Change(ChangeTo({1, 2, 4}, {}, {}, {4})), Refusal::kNone);
  EXPECT_EQ(Now(), "1 2 4");
}

TEST_F(Members, AnIdThatWasSkippedIsUsedUpToo) {
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {7}, {7})), Refusal::kNone);
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {6, 7}, {6})), Refusal::kInvalid);
  EXPECT_EQ(d.db().last_node_id(), NodeId(7));
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {})), Refusal::kNone);
  EXPECT_EQ(d.db().last_node_id(), NodeId(7));
}

TEST_F(Members, ARoleDoesNotKeepAMemberFromBeingRegistered) {
  EXPECT_EQ(Change(ChangeTo({1, 2, 3}, {}, {4}, {4})), Refusal::kNone);
  EXPECT_EQ(d.Do(RegisterMember{MemberOf(4)}).refusal, Refusal::kNone);
  EXPECT_EQ(d.db().members()[3], MemberOf(4, MemberRole::kLearner)) << "it stays a learner";
  Member other = MemberOf(4);
  other.incarnation = Incarnation(999);
  EXPECT_EQ(d.Do(RegisterMember{other}).refusal, Refusal::kInvalid);
  // What was registered outlives the change of its role.
  EXPECT_EQ(Change(ChangeTo({1, 2, 3, 4}, {1, 2, 3}, {})), Refusal::kNone);
  EXPECT_EQ(d.db().members()[3], MemberOf(4, MemberRole::kIncoming));
}

TEST_F(Members, EachChangeHasItsRoles) {
  struct Row {
    ChangeMembers change;
    const char* roles;
  };
  const Row rows[] = {
      // One half.
      {ChangeTo({1, 2, 3}, {}, {}), "1 2 3"},
      {ChangeTo({2}, {}, {}), "2"},
      {ChangeTo({2, 3}, {}, {1}), "learner 1 2 3"},
      {ChangeTo({1, 2, 3}, {}, {4, 5}, {4, 5}), "1 2 3 learner 4 learner 5"},
      {ChangeTo({4}, {}, {}, {4}), "4"},
      {ChangeTo({1, 2, 3, 4}, {}, {5}, {4, 5}), "1 2 3 4 learner 5"},
      // Two halves.
      {ChangeTo({1, 2, 3, 4}, {1, 2, 3}, {}, {4}), "1 2 3 incoming 4"},
      {ChangeTo({1, 2}, {1, 2, 3}, {}), "1 2 outgoing 3"},
      {ChangeTo({1}, {2}, {3}), "incoming 1 outgoing 2 learner 3"},
      {ChangeTo({4, 5, 6}, {1, 2, 3}, {7}, {4, 5, 6, 7}),
       "outgoing 1 outgoing 2 outgoing 3 incoming 4 incoming 5 incoming 6 learner 7"},
  };
  const std::vector<Member> before = d.db().members();
  for (const Row& row : rows) {
    ASSERT_TRUE(d.db().CheckChange(row.change).ok()) << row.roles;
    const std::vector<Member> after = MembersAfter(row.change, before);
    EXPECT_EQ(Roles(after), row.roles);
    EXPECT_TRUE(HaveVoters(after)) << row.roles;
    // Roles say as much as lists.
    const ChangeMembers lists = ListsOf(after);
    EXPECT_EQ(lists.voters, row.change.voters) << row.roles;
    EXPECT_EQ(lists.outgoing, row.change.outgoing) << row.roles;
    EXPECT_EQ(lists.learners, row.change.learners) << row.roles;
    EXPECT_TRUE(lists.added.empty());
  }
}

TEST_F(Members, ARefusedChangeSaysWhyAndChangesNothing) {
  using Code = absl::StatusCode;
  struct Row {
    ChangeMembers change;
    Code code;
    const char* complaint;
  };
  const Row rows[] = {
      {ChangeTo({1, 2, 4}, {}, {}), Code::kFailedPrecondition, "node 4 is not a member"},
      {ChangeTo({1, 2, 4}, {1, 2, 5}, {}, {4}), Code::kFailedPrecondition,
       "node 5 is not a member"},
      {ChangeTo({1, 2, 3}, {}, {4, 6}, {4}), Code::kFailedPrecondition, "node 6 is not a member"},
      {ChangeTo({1, 2, 3}, {}, {}, {3}), Code::kFailedPrecondition,
       "node id 3 cannot be added: ids up to 3 have been given"},
      {ChangeTo({}, {}, {1, 2, 3}), Code::kInvalidArgument, "voters has size 0"},
      {ChangeTo({1, 2}, {}, {2}), Code::kInvalidArgument, "a voter and a learner"},
  };
  for (const Row& row : rows) {
    const std::vector<Member> before = d.db().members();
    const Digest digest = d.db().digest();
    const absl::Status status = d.db().CheckChange(row.change);
    EXPECT_EQ(status.code(), row.code) << row.complaint;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.complaint));
    EXPECT_EQ(Change(row.change), Refusal::kInvalid) << row.complaint;
    EXPECT_EQ(d.db().members(), before) << row.complaint;
    EXPECT_EQ(d.db().last_node_id(), NodeId(3)) << row.complaint;
    EXPECT_EQ(d.db().digest(), digest) << row.complaint;
  }
}

TEST(MembersUnfounded, DoNotChange) {
  Driver d;
  const ChangeMembers change = ChangeTo({1}, {}, {}, {1});
  EXPECT_THAT(std::string(d.db().CheckChange(change).message()), HasSubstr("not been founded"));
  EXPECT_EQ(d.Do(change).refusal, Refusal::kInvalid);
  EXPECT_TRUE(d.db().members().empty());
  EXPECT_EQ(d.db().last_node_id(), NodeId(0));
}

TEST(HaveVoters, InEachHalf) {
  const auto have = [](const std::vector<MemberRole>& roles) {
    std::vector<Member> members;
    for (const MemberRole role : roles) members.push_back(MemberOf(members.size() + 1, role));
    return HaveVoters(members);
  };
  constexpr auto kVoter = MemberRole::kVoter;
  constexpr auto kLearner = MemberRole::kLearner;
  constexpr auto kIncoming = MemberRole::kIncoming;
  constexpr auto kOutgoing = MemberRole::kOutgoing;
  EXPECT_FALSE(have({}));
  EXPECT_TRUE(have({kVoter}));
  EXPECT_TRUE(have({kLearner, kVoter}));
  EXPECT_TRUE(have({kIncoming, kOutgoing}));
  EXPECT_TRUE(have({kIncoming, kVoter}));
  EXPECT_TRUE(have({kOutgoing, kVoter}));
  EXPECT_FALSE(have({kLearner}));
  EXPECT_FALSE(have({kIncoming, kLearner}));
  EXPECT_FALSE(have({kOutgoing, kLearner}));
}

TEST(RoleName, HasAWordForEach) {
  EXPECT_THAT(
      (std::vector<std::string>{RoleName(MemberRole::kVoter), RoleName(MemberRole::kLearner),
                                RoleName(MemberRole::kIncoming), RoleName(MemberRole::kOutgoing)}),
      ElementsAre("voter", "learner", "incoming", "outgoing"));
}

}  // namespace
}  // namespace lockd::state
