// `lockd salvage`: all that stands in a stopped node's directory is in the backup.
#include "server/salvage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "consensus/raft/membership.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/start.h"
#include "server/restored_log.h"
#include "server/snapshot_file.h"
#include "server/state/command.h"
#include "tests/server/state/driver.h"
#include "tests/support/mem_file_system.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::FailureOf;
using ::testing::HasSubstr;

constexpr char kFile[] = "/backup";

std::string BatchOf(const state::Command& command) {
  state::BatchBuilder builder;
  builder.Add(command);
  return builder.Take(WallTime(1'000));
}

class SalvageTest : public ::testing::Test {
 protected:
  SalvageTest() {
    options_.log.directory = storage::DataDirectory::WalPath("/data");
    options_.log.node_id = NodeId(2);
    options_.log.cluster_name = "orders";
    options_.log.incarnation_draw = Incarnation(77);
    options_.log.segment_bytes = storage::kSegmentBytesMin;
    options_.snapshot_directory = storage::DataDirectory::SnapshotsPath("/data");
  }

  void MakeDirectory() { ASSERT_TRUE(storage::DataDirectory::Open(&disk_, "/data", "test").ok()); }
  // A directory with these entries, in the log after what is there. Of what is applied to
  // `expected_`, only the first is known to be committed.
  void Write(const std::vector<raft::Entry>& entries) {
    auto opened = storage::OpenStorage(&disk_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const raft::HardState state{
        .term = raft::Term(4), .voted_for = {}, .commit = entries.front().index};
    ASSERT_TRUE(opened->log.store->Write({.hard_state = state, .entries = entries}).ok());
  }
  static raft::Entry EntryOf(uint64_t index, raft::EntryKind kind, std::string payload) {
    raft::Entry entry;
    entry.index = raft::Index(index);
    entry.term = raft::Term(4);
    entry.time = ClusterTime(static_cast<int64_t>(index) * 10);
    entry.kind = kind;
    entry.payload = std::move(payload);
    return entry;
  }
  // Bootstrap, a session, and a change of members.
  static std::vector<raft::Entry> Log(uint64_t first) {
    const state::Member two{NodeId(2), "b:1", "b:2", Incarnation(77)};
    const state::ChangeMembers change{{NodeId(2)}, {}, {NodeId(3)}, {{NodeId(3), "c:1", "", {}}}};
    const raft::ConfigurationChange placed{
        .configuration = {.voters = {NodeId(2)}, .outgoing_voters = {}, .learners = {NodeId(3)}},
        .particulars = BatchOf(change)};
    return {EntryOf(first, raft::EntryKind::kCommand,
                    BatchOf(state::Bootstrap{ClusterId(5), 1, {}, {two}})),
            EntryOf(first + 1, raft::EntryKind::kCommand,
                    BatchOf(state::OpenSession{state::Driver::NonceOf(9), 10'000, 0, "ann"})),
            EntryOf(first + 2, raft::EntryKind::kConfiguration, raft::Encode(placed))};
  }
  void ExpectRefused(Failure failure, const std::string& why) {
    const absl::Status status =
        Salvage(&disk_, "/data", kFile, BackupFile::Existing::kRefused).status();
    EXPECT_EQ(FailureOf(status), failure) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }

  storage::MemFileSystem disk_;
  storage::StorageOptions options_;
};

TEST_F(SalvageTest, SavesAllThatStandsInTheLog) {
  MakeDirectory();
  Write(Log(1));
  const absl::StatusOr<std::string> report =
      Salvage(&disk_, "/data", kFile, BackupFile::Existing::kRefused);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(*report, HasSubstr("entry 3 of term 4, of which 1 are known to be committed"));

  const auto saved = LoadSnapshotFile(&disk_, kFile);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->head.identity.cluster_name, "orders");
  EXPECT_EQ(saved->head.identity.cluster_id, ClusterId(5));
  EXPECT_EQ(saved->id.base.index, raft::Index(3));
  EXPECT_EQ(saved->id.base.term, raft::Term(4));
  EXPECT_EQ(saved->id.base.time, ClusterTime(30));
  EXPECT_EQ(saved->database->session_count(), 1u);
  EXPECT_EQ(saved->database->members().size(), 2u);
}

TEST_F(SalvageTest, BeginsWithTheSnapshot) {
  MakeDirectory();
  state::Driver old;
  old.At(40);
  state::Client ann = old.Open();
  old.Lock(ann, "held");
  const raft::LogBase base{
      .index = raft::Index(100), .term = raft::Term(3), .time = ClusterTime(40)};
  ASSERT_TRUE(MakeRestoredLog(&disk_, options_, base, old.db()).ok());
  Write(Log(101));
  ASSERT_TRUE(Salvage(&disk_, "/data", kFile, BackupFile::Existing::kRefused).ok());
  const auto saved = LoadSnapshotFile(&disk_, kFile);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->id.base.index, raft::Index(103));
  EXPECT_TRUE(saved->database->GetLock("held").held);
  EXPECT_EQ(saved->database->session_count(), 2u);
}

TEST_F(SalvageTest, ChangesNothingInTheDirectory) {
  MakeDirectory();
  Write(Log(1));
  ASSERT_TRUE(Salvage(&disk_, "/data", kFile, BackupFile::Existing::kRefused).ok());
  const auto opened = storage::OpenStorage(&disk_, options_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->log.log.last_index, raft::Index(3));
  EXPECT_EQ(opened->log.log.hard_state.commit, raft::Index(1));
}

TEST_F(SalvageTest, RefusesWhatIsNoNodesDirectory) {
  ExpectRefused(Failure::kUnusable, "is no directory of a node");
  MakeDirectory();
  ExpectRefused(Failure::kUnusable, "holds no log of a node");
  Write({EntryOf(1, raft::EntryKind::kNoop, "")});
  ExpectRefused(Failure::kUnusable, "has not been part of a cluster yet");
}

TEST_F(SalvageTest, RefusesAChangeOfMembersOfALaterVersion) {
  MakeDirectory();
  std::vector<raft::Entry> log = Log(1);
  log.back().payload[0] = 2;  // the version
  Write(log);
  ExpectRefused(Failure::kUnusable, "/data/wal: entry 3 changes the members in a way");
}

TEST_F(SalvageTest, RefusesADirectoryInUseAndAFileThatExists) {
  MakeDirectory();
  Write(Log(1));
  {
    const auto lock = storage::DataDirectory::Open(&disk_, "/data", "somebody");
    ASSERT_TRUE(lock.ok());
    ExpectRefused(Failure::kInUse, "somebody");
  }
  ASSERT_TRUE(Salvage(&disk_, "/data", kFile, BackupFile::Existing::kRefused).ok());
  ExpectRefused(Failure::kUnusable, "/backup exists");
  EXPECT_TRUE(Salvage(&disk_, "/data", kFile, BackupFile::Existing::kReplaced).ok());
}

}  // namespace
}  // namespace lockd
