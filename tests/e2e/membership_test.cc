// The members of a cluster change while clients work: nodes are added, become voters, are removed,
// until none of the first ones is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/posix_file_system.h"
#include "consensus/storage/start.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/load.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kExitRemoved = 17;

testing::ProcessResult Lockctl(const Cluster& cluster, testing::Words words) {
  words.insert(words.end(), {"--json", "--timeout", "30s", "--endpoints", cluster.endpoints()});
  return testing::RunProcess("lockctl", words);
}

// Of a command that is expected to do what it was told.
Json Done(const Cluster& cluster, const testing::Words& words) {
  const testing::ProcessResult result = Lockctl(cluster, words);
  EXPECT_EQ(result.exit_status, 0) << result.error;
  return Json::parse(result.output, nullptr, false);
}

std::string Id(size_t node) {
  return absl::StrCat(node + 1);
}

// The role of each member by its id; empty: nobody could say.
std::map<std::string, std::string> Roles(const Cluster& cluster) {
  std::map<std::string, std::string> roles;
  const testing::ProcessResult result = Lockctl(cluster, {"member", "list"});
  if (result.exit_status != 0) return roles;
  for (const Json& member : Json::parse(result.output)) roles[member["node_id"]] = member["role"];
  return roles;
}

::testing::AssertionResult BecomesVoter(const Cluster& cluster, const std::string& id) {
  std::map<std::string, std::string> roles;
  const bool is_voter = Eventually([&] {
    roles = Roles(cluster);
    const auto role = roles.find(id);
    return role != roles.end() && role->second == "voter";
  });
  if (is_voter) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "node " << id << " is no voter; " << ::testing::PrintToString(roles);
}

// Adds this node, to be started with the line that lockctl gives. Returns its id.
std::string Add(Cluster& cluster, size_t node) {
  const Json added = Done(cluster, {"member", "add", "--peer", cluster.peer_address(node)});
  EXPECT_TRUE(added["start"].is_array()) << added;
  cluster.set_start_line(node, added["start"].get<testing::Words>());
  return added.value("node_id", "");
}

// Adds it, starts it, and waits until it has a vote. Returns its id.
std::string Join(Cluster& cluster, size_t node) {
  const std::string id = Add(cluster, node);
  cluster.Start(node);
  EXPECT_TRUE(BecomesVoter(cluster, id)) << cluster.ReadLog(node);
  return id;
}

void ExpectLeavesAsRemoved(Cluster& cluster, size_t node) {
  EXPECT_EQ(cluster.process(node).Await(), kExitRemoved) << cluster.ReadLog(node);
  EXPECT_THAT(cluster.ReadLog(node), HasSubstr("removed"));
}

// The one of these that leads; leadership is moved to one if it has gone elsewhere.
size_t LeaderAmong(Cluster& cluster, const std::vector<size_t>& nodes) {
  size_t leader = 0;
  EXPECT_TRUE(Eventually([&] {
    leader = cluster.WaitForLeader();
    if (std::find(nodes.begin(), nodes.end(), leader) != nodes.end()) return true;
    (void)Lockctl(cluster, {"transfer-leadership", "--to", Id(nodes.front())});
    return false;
  }));
  return leader;
}

TEST(Membership, EveryNodeIsReplacedUnderAClientThatKeepsItsLock) {
  Cluster cluster(3);
  for (int i = 0; i < 3; ++i) cluster.AddNode();
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted()) << held.ToStatus();
  Load load(cluster, 4, 2);

  std::vector<size_t> old_nodes = {0, 1, 2};
  for (size_t joiner = 3; joiner < 6; ++joiner) {
    SCOPED_TRACE(absl::StrCat("node ", joiner + 1, " joins"));
    ASSERT_TRUE(load.Goes(20));
    EXPECT_EQ(Join(cluster, joiner), Id(joiner));
    // A follower first, then the leaders.
    const size_t leader = LeaderAmong(cluster, old_nodes);
    const size_t leaves = old_nodes.size() > 2
                              ? *std::find_if(old_nodes.begin(), old_nodes.end(),
                                              [&](size_t node) { return node != leader; })
                              : leader;
    ASSERT_TRUE(load.Goes(20));
    // Asked again when a leader that leaves takes its answer with it: then there is no such member.
    (void)Lockctl(cluster, {"member", "remove", Id(leaves)});
    EXPECT_FALSE(Roles(cluster).contains(Id(leaves)));
    ExpectLeavesAsRemoved(cluster, leaves);
    std::erase(old_nodes, leaves);
    EXPECT_TRUE(held.lock.held());
  }
  ASSERT_TRUE(load.Goes(50));
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);

  using Expected = std::map<std::string, std::string>;
  EXPECT_EQ(Roles(cluster), (Expected{{"4", "voter"}, {"5", "voter"}, {"6", "voter"}}));
  EXPECT_TRUE(held.lock.held());
  const auto record = client.GetLock("kept");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->token, held.lock.token());
  EXPECT_EQ(session->Release(std::move(held.lock)), ReleaseStatus::kReleased);
  cluster.WaitUntilAlike();
}

TEST(Membership, AJoinerThatNobodyAddedIsToldTheCommandThatAddsIt) {
  Cluster cluster(1);
  const size_t joiner = cluster.AddNode();
  cluster.StartAll();
  cluster.WaitForLeader();
  const testing::Words line = {
      "lockd",    "--join",        cluster.peer_address(0),     "--node-id",
      Id(joiner), "--peer-listen", cluster.peer_address(joiner)};
  cluster.set_start_line(joiner, line);
  cluster.Start(joiner);
  const std::string command =
      absl::StrCat("lockctl member add --peer ", cluster.peer_address(joiner));
  EXPECT_TRUE(Eventually([&] {
    return cluster.ReadLog(joiner).find(command) != std::string::npos;
  })) << cluster.ReadLog(joiner);
  // It waits for just that.
  EXPECT_EQ(Add(cluster, joiner), Id(joiner));
  EXPECT_TRUE(BecomesVoter(cluster, Id(joiner))) << cluster.ReadLog(joiner);
  EXPECT_TRUE(cluster.process(joiner).is_running());
}

TEST(Membership, ADirectoryThatHasJoinedNeedsNoFlagForIt) {
  Cluster cluster(1);
  const size_t joiner = cluster.AddNode();
  cluster.StartAll();
  cluster.WaitForLeader();
  const std::string id = Join(cluster, joiner);
  EXPECT_EQ(cluster.Stop(joiner), 0);
  cluster.set_start_line(joiner,
                         {"lockd", "--node-id", id, "--peer-listen", cluster.peer_address(joiner)});
  cluster.Start(joiner);
  // Both are needed for a majority.
  cluster.WaitForLeader();
  cluster.WaitUntilAlike();
  // As many flags as before do no harm.
  EXPECT_EQ(cluster.Stop(joiner), 0);
  cluster.set_start_line(joiner, {"lockd", "--join", cluster.peer_address(0), "--node-id", id,
                                  "--peer-listen", cluster.peer_address(joiner)});
  cluster.Start(joiner);
  cluster.WaitForLeader();
  cluster.WaitUntilAlike();
}

TEST(Membership, ALogThatWasForgottenReachesAJoinerAsASnapshot) {
  Cluster cluster(1, {"--snapshot-log-bytes", "64KiB", "--segment-bytes", "64KiB"});
  const size_t joiner = cluster.AddNode();
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  const AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted()) << held.ToStatus();
  const std::string name(1'000, 'x');
  const auto has_forgotten = [&] {
    const auto status = client.GetStatus(cluster.endpoint(0));
    return status.ok() && status->first_index > 1;
  };
  ASSERT_TRUE(Eventually([&] {
    for (int i = 0; i < 20; ++i) session->Release(session->Acquire(name).lock);
    return has_forgotten();
  }));

  (void)Join(cluster, joiner);
  const auto status = client.GetStatus(cluster.endpoint(joiner));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_GT(status->snapshots_received, 0u);
  cluster.WaitUntilAlike();
  EXPECT_TRUE(held.lock.held());
}

TEST(Membership, AWipedDirectoryComesBackOnlyUnderANewId) {
  Cluster cluster(3);
  const size_t wiped = 2;
  cluster.StartAllAlike();
  EXPECT_EQ(cluster.Stop(wiped), 0);
  std::filesystem::remove_all(cluster.data_dir(wiped));
  cluster.Start(wiped);
  EXPECT_EQ(cluster.process(wiped).Await(), kExitRemoved);
  EXPECT_EQ(Done(cluster, {"member", "remove", Id(wiped)})["result"], "done");
  std::filesystem::remove_all(cluster.data_dir(wiped));
  EXPECT_EQ(Join(cluster, wiped), "4");
  cluster.WaitUntilAlike();
}

// Names and sizes of all files below, but for the lock, which each process writes.
std::map<std::string, uintmax_t> FilesIn(const std::filesystem::path& directory) {
  std::map<std::string, uintmax_t> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && entry.path().filename() != "lock") {
      files[std::filesystem::relative(entry.path(), directory)] = entry.file_size();
    }
  }
  return files;
}

TEST(Membership, ADamagedReplicaComesBackAsANewMemberAndItsOldDirectoryStays) {
  Cluster cluster(3);
  const size_t damaged = 2;
  cluster.StartAllAlike();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  for (int i = 0; i < 20; ++i) {
    const std::string name = absl::StrCat("lock-", i, std::string(900, 'x'));
    ASSERT_TRUE(session->Acquire(name).granted());
  }
  cluster.WaitUntilAlike();
  EXPECT_EQ(cluster.Stop(damaged), 0);
  ASSERT_NO_FATAL_FAILURE(cluster.DamageLog(damaged));
  const std::map<std::string, uintmax_t> files = FilesIn(cluster.data_dir(damaged));
  cluster.Start(damaged);
  EXPECT_EQ(cluster.process(damaged).Await(), 14);
  EXPECT_THAT(cluster.ReadLog(damaged), HasSubstr("--rejoin"));

  EXPECT_EQ(Done(cluster, {"member", "remove", Id(damaged)})["result"], "done");
  const Json added = Done(cluster, {"member", "add", "--peer", cluster.peer_address(damaged)});
  testing::Words line = added["start"].get<testing::Words>();
  cluster.set_start_line(damaged, line);  // to be started again, later
  testing::Words rejoin = cluster.Flags(damaged);
  // Under its old id it is not let in, and nothing happens to the directory.
  testing::Words under_old_id = rejoin;
  *(std::find(under_old_id.begin(), under_old_id.end(), "--node-id") + 1) = Id(damaged);
  line.push_back("--rejoin");
  under_old_id.push_back("--rejoin");
  const testing::ProcessResult refused = testing::RunProcess("lockd", under_old_id);
  EXPECT_EQ(refused.exit_status, 2) << refused.error;
  EXPECT_THAT(refused.error, HasSubstr("never used twice"));
  EXPECT_EQ(FilesIn(cluster.data_dir(damaged)), files);

  cluster.set_start_line(damaged, line);
  cluster.Start(damaged);
  EXPECT_TRUE(BecomesVoter(cluster, "4")) << cluster.ReadLog(damaged);
  cluster.WaitUntilAlike();
  std::vector<std::filesystem::path> aside;
  for (const auto& entry :
       std::filesystem::directory_iterator(cluster.data_dir(damaged).parent_path())) {
    if (entry.path().string().find(cluster.data_dir(damaged).string() + ".old-") == 0) {
      aside.push_back(entry.path());
    }
  }
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(FilesIn(aside.front()), files);
  EXPECT_THAT(cluster.ReadLog(damaged), HasSubstr(aside.front().string()));
}

// By the lockd after this one, which may have been taken back.
TEST(Membership, AChangeOfALaterVersionInTheLogIsRefusedAtTheStart) {
  Cluster cluster(1);
  cluster.StartAllAlike();
  EXPECT_EQ(cluster.Stop(0), 0);
  {
    storage::PosixFileSystem file_system;
    storage::StorageOptions options;
    options.log.directory = cluster.data_dir(0) / "wal";
    options.log.node_id = NodeId(1);
    options.log.cluster_name = "lockd";
    options.log.incarnation_draw = Incarnation(1);  // it has one
    options.log.segment_bytes = 1024 * 1024;
    options.snapshot_directory = cluster.data_dir(0) / "snapshots";
    const auto opened = storage::OpenStorage(&file_system, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const raft::RecoveredLog& log = opened->log.log;
    ASSERT_FALSE(log.tail.empty());
    raft::Entry entry = log.tail.back();
    entry.index = log.last_index + 1;
    entry.kind = raft::EntryKind::kConfiguration;
    entry.payload = std::string("\x02\x00 whatever", 11);
    ASSERT_TRUE(opened->log.store->Write({.hard_state = log.hard_state, .entries = {entry}}).ok());
  }
  cluster.Start(0);
  EXPECT_EQ(cluster.process(0).Await(), 12);
  EXPECT_THAT(cluster.ReadLog(0), HasSubstr("changes the members in a way"));
}

TEST(Membership, WhatCannotBeDoneIsRefusedWithTheReason) {
  Cluster cluster(1);
  const size_t other = cluster.AddNode();
  cluster.StartAll();
  cluster.WaitForLeader();
  const std::string address = cluster.peer_address(other);
  struct Row {
    testing::Words words;
    int exit_status;
    std::string result;
    std::string why;
  };
  const Row rows[] = {
      {{"remove", "1"}, 4, "last_voter", "only voter"},
      {{"remove", "9"}, 1, "no_such_member", "no node 9"},
      {{"promote", "9"}, 1, "no_such_member", "no node 9"},
      {{"add", "--peer", address, "--node-id", "1"}, 4, "id_used", "no id is given twice"},
      {{"add", "--peer", cluster.peer_address(0), "--node-id", "7"},
       4,
       "address_used",
       "of node 1"},
      {{"add", "--peer", address}, 0, "done", ""},
      {{"add", "--peer", address}, 0, "done", ""},  // finds it
      {{"promote", "2"}, 4, "not_joined", "has not come up yet"},
      {{"remove", "2"}, 0, "done", ""},
      {{"remove", "2"}, 1, "no_such_member", "no node 2"},
      {{"add", "--peer", address, "--node-id", "2"}, 4, "id_used", "take a higher one"},
      {{"promote", "1"}, 0, "done", ""},  // it is one already
  };
  for (const Row& row : rows) {
    testing::Words words = {"member"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    SCOPED_TRACE(::testing::PrintToString(words));
    const testing::ProcessResult result = Lockctl(cluster, words);
    EXPECT_EQ(result.exit_status, row.exit_status) << result.error;
    EXPECT_EQ(Json::parse(result.output, nullptr, false)["result"], row.result);
    EXPECT_THAT(result.error, HasSubstr(row.why));
  }
  EXPECT_EQ(Roles(cluster).size(), 1u);
}

}  // namespace
}  // namespace lockd::e2e
