// What `lockctl member` shows: who is a member, what came of a change, and what to do next.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/lockctl/render.h"
#include "tools/lockctl/start_line.h"

namespace lockd::lockctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

MemberRecord Seen(uint64_t node_id, const std::string& host, MemberRole role = MemberRole::kVoter) {
  return {.node_id = NodeId(node_id),
          .peer_address = host + ":7421",
          .client_address = host + ":7420",
          .role = role,
          .was_seen = true};
}
MemberRecord Added(uint64_t node_id, const std::string& peer_address) {
  return {.node_id = NodeId(node_id),
          .peer_address = peer_address,
          .client_address = "",
          .role = MemberRole::kLearner,
          .was_seen = false};
}

MemberAnswer Answer(MemberAction action, ChangeMembersStatus status) {
  MemberAnswer answer;
  answer.change = {.action = action, .node_id = NodeId(4), .peer_address = "d:7451"};
  answer.record.status = status;
  answer.record.node_id = NodeId(4);
  answer.record.members = {Added(1, "a:7421"), Seen(2, "b"), Added(4, "d:7451")};
  answer.record.cluster_name = "prod";
  return answer;
}

TEST(LockctlMember, AnAddShowsTheIdAndTheLineThatStartsIt) {
  const MemberAnswer answer = Answer(MemberAction::kAdd, ChangeMembersStatus::kDone);
  const std::string text = ToText(answer);
  EXPECT_THAT(text, ::testing::StartsWith("node 4 is a learner of the cluster\n"));
  EXPECT_THAT(text, HasSubstr("\n  lockd --join b:7421 --node-id 4 --cluster-name prod "
                              "--peer-listen d:7451 --client-listen d:7450 "
                              "--data-dir ./lockd-data-4\n"));
  const Json json = ToJson(answer);
  EXPECT_EQ(json["result"], "done");
  EXPECT_EQ(json["node_id"], "4");
  EXPECT_EQ(json["cluster_name"], "prod");
  EXPECT_EQ(json["members"].size(), 3u);
  EXPECT_THAT(json["start"].get<std::vector<std::string>>(),
              ElementsAre("lockd", "--join", "b:7421", "--node-id", "4", "--cluster-name", "prod",
                          "--peer-listen", "d:7451", "--client-listen", "d:7450", "--data-dir",
                          "./lockd-data-4"));
}

TEST(LockctlMember, WhatHasRunAlreadyNeedsNoStart) {
  MemberAnswer answer = Answer(MemberAction::kAdd, ChangeMembersStatus::kDone);
  answer.record.members.back() = Seen(4, "d", MemberRole::kVoter);
  EXPECT_EQ(ToText(answer), "node 4 is a voter of the cluster\n");
  EXPECT_TRUE(ToJson(answer)["start"].is_null());
}

TEST(LockctlMember, ARemovalAndAPromotionSayWhatIsSoNow) {
  MemberAnswer removed = Answer(MemberAction::kRemove, ChangeMembersStatus::kDone);
  removed.record.members.pop_back();
  EXPECT_THAT(ToText(removed), HasSubstr("node 4 is no member any more"));
  EXPECT_THAT(ToText(removed), HasSubstr("17"));
  MemberAnswer promoted = Answer(MemberAction::kPromote, ChangeMembersStatus::kDone);
  promoted.record.members.back() = Seen(4, "d", MemberRole::kIncoming);
  EXPECT_EQ(ToText(promoted), "node 4 is an incoming voter of the cluster\n");
}

TEST(LockctlMember, EveryRefusalSaysWhyAndWhatToDo) {
  struct Row {
    ChangeMembersStatus status;
    std::string result;
    std::string why;
    std::string what_to_do;
  };
  const Row rows[] = {
      {ChangeMembersStatus::kNoSuchMember, "no_such_member", "has no node 4",
       "lockctl member list"},
      {ChangeMembersStatus::kLastVoter, "last_voter", "node 4 is the only voter", "add another"},
      {ChangeMembersStatus::kNotJoined, "not_joined", "node 4 has not come up", "start it"},
      {ChangeMembersStatus::kIdUsed, "id_used", "node id 4 was given before", "take a higher one"},
      {ChangeMembersStatus::kAddressUsed, "address_used", "d:7451 is the peer address of node 4",
       "remove it first"},
      {ChangeMembersStatus::kTooMany, "too_many", "has 3 members", "remove one first"},
  };
  for (const Row& row : rows) {
    const MemberAnswer answer = Answer(MemberAction::kAdd, row.status);
    EXPECT_EQ(ToJson(answer)["result"], row.result);
    EXPECT_TRUE(ToJson(answer)["start"].is_null());
    EXPECT_EQ(ToText(answer), "") << row.result;
    EXPECT_THAT(Explanation(answer), HasSubstr(row.why));
    EXPECT_THAT(Explanation(answer), HasSubstr(row.what_to_do));
  }
}

TEST(LockctlMember, TheListShowsRolesAddressesAndWhoLeads) {
  MemberList list;
  list.told_by.node_id = list.told_by.leader_id = NodeId(2);
  list.told_by.members = {Seen(1, "a", MemberRole::kOutgoing), Seen(2, "b"), Added(4, "d:7451")};
  EXPECT_EQ(
      ToJson(list).dump(),
      R"([{"node_id":"1","role":"outgoing","peer_address":"a:7421","client_address":"a:7420",)"
      R"("seen":true,"leads":false},)"
      R"({"node_id":"2","role":"voter","peer_address":"b:7421","client_address":"b:7420",)"
      R"("seen":true,"leads":true},)"
      R"({"node_id":"4","role":"learner","peer_address":"d:7451","client_address":null,)"
      R"("seen":false,"leads":false}])");
  const std::string text = ToText(list);
  EXPECT_THAT(text, HasSubstr("2     voter, leads  b:7421"));
  EXPECT_THAT(text, HasSubstr("4     learner       d:7451        ?               not yet\n"));
  EXPECT_THAT(text, Not(HasSubstr("no leader")));
  list.told_by.node_id = NodeId(1);
  EXPECT_THAT(ToText(list), HasSubstr("as node 1 knows them: no leader answers"));
  EXPECT_THAT(ToText(MemberList{}), HasSubstr("no cluster yet"));
}

TEST(LockctlMember, StatusShowsTheRoleOfEachMember) {
  NodeStatus status;
  status.members = {Seen(1, "a"), Added(4, "d:1")};
  const Json json = ToJson(cli::NodeReport{"a:7420", NodeId(1), status});
  EXPECT_EQ(json["members"][0]["role"], "voter");
  EXPECT_EQ(json["members"][1]["role"], "learner");
  EXPECT_EQ(json["members"][1]["seen"], false);
}

TEST(StartLine, AsksAVoterThatHasRunIfThereIsOne) {
  const MemberRecord joiner = Added(4, "d:2");
  const auto contact = [&](const std::vector<MemberRecord>& members) {
    return StartLine(joiner, members, "c").at(2);
  };
  EXPECT_EQ(contact({Added(1, "a:1"), Seen(2, "b", MemberRole::kLearner), Seen(3, "c"), joiner}),
            "c:7421");
  EXPECT_EQ(contact({joiner, Added(5, "e:1")}), "e:1");
}

TEST(StartLine, ProposesNoClientAddressWhereThereIsNoPort) {
  const std::vector<std::string> words = StartLine(Added(4, "d:1"), {Seen(1, "a")}, "c");
  EXPECT_THAT(words, Not(::testing::Contains("--client-listen")));
}

TEST(StartLine, IsReadByAShellAsItIs) {
  EXPECT_EQ(ForShell({"lockd", "--join", "[::1]:7421"}), "lockd --join '[::1]:7421'");
  EXPECT_EQ(ForShell({"it's", "$HOME", ""}), R"('it'\''s' '$HOME' '')");
}

}  // namespace
}  // namespace lockd::lockctl
