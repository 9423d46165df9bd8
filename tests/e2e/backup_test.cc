// Backups of a running cluster: from any node, under load, whole and verified, and nothing left
// behind when there is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/posix_file_system.h"
#include "server/snapshot_file.h"
#include "server/state/digest_text.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/load.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

// Reached by nobody: a port that was free.
std::string Nobody() {
  return absl::StrCat("127.0.0.1:", PickPort());
}

class Backup : public ::testing::Test {
 protected:
  // Of about 100 KiB, so that a snapshot comes in several pieces.
  static constexpr int kHeld = 110;

  explicit Backup(std::vector<std::string> flags = {}) : cluster_(3, std::move(flags)) {}
  void SetUp() override {
    cluster_.StartAll();
    leader_ = cluster_.WaitForLeader();
    auto session = client_.OpenSession({.owner_id = "keeper", .operation_timeout = kPatience});
    ASSERT_TRUE(session.ok()) << session.status();
    session_.emplace(*std::move(session));
    for (int i = 0; i < kHeld; ++i) {
      held_.push_back(session_->Acquire(Name(i)));
      ASSERT_TRUE(held_.back().granted()) << held_.back().ToStatus();
    }
  }
  static std::string Name(int number) {
    return absl::StrCat("held-", number, std::string(900, 'x'));
  }

  [[nodiscard]] std::string Path(const std::string& name) const { return directory_.path() / name; }
  // All that is in the directory of backups.
  [[nodiscard]] std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(file.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  static testing::ProcessResult Lockctl(testing::Words words, const std::string& endpoints) {
    words.insert(words.end(), {"--endpoints", endpoints});
    return testing::RunProcess("lockctl", words);
  }
  Json Save(const std::string& path, size_t node) {
    const auto saved = Lockctl({"snapshot", "save", path, "--json"}, cluster_.endpoint(node));
    EXPECT_EQ(saved.exit_status, 0) << saved.error;
    EXPECT_THAT(saved.error, IsEmpty());
    return Json::parse(saved.output, nullptr, false);
  }
  NodeStatus Status(size_t node) {
    auto status = client_.GetStatus(cluster_.endpoint(node));
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? *status : NodeStatus{};
  }
  // The file is what was said of it, and has all that is held.
  void ExpectWhole(const std::string& path, const Json& said) {
    storage::PosixFileSystem file_system;
    const auto loaded = LoadSnapshotFile(&file_system, path);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->head.base.index.value(), said["index"]);
    EXPECT_EQ(loaded->head.base.term.value(), said["term"]);
    EXPECT_EQ(absl::StrCat(loaded->head.identity.node_id), said["node_id"]);
    EXPECT_EQ(absl::StrCat(loaded->head.identity.cluster_id), said["cluster_id"]);
    EXPECT_EQ(loaded->head.identity.cluster_name, said["cluster_name"]);
    EXPECT_TRUE(loaded->head.identity.incarnation.is_zero()) << "that is the node's secret";
    EXPECT_EQ(loaded->id.bytes, said["content_bytes"]);
    EXPECT_EQ(std::filesystem::file_size(path), said["file_bytes"]);
    EXPECT_EQ(state::ToText(loaded->database->digest()), said["digest"]);
    EXPECT_EQ(loaded->database->lock_count(), said["locks"]);
    EXPECT_EQ(loaded->database->session_count(), said["sessions"]);
    for (int i = 0; i < kHeld; ++i) {
      EXPECT_EQ(loaded->database->GetLock(Name(i)).token,
                held_[static_cast<size_t>(i)].lock.token());
    }
    struct stat info;
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }

  TempDirectory directory_;
  Cluster cluster_;
  size_t leader_ = 0;
  BlockingClient client_{cluster_.client_options()};
  std::optional<BlockingSession> session_;
  std::vector<AcquireResult> held_;
};

TEST_F(Backup, AnyNodeGivesOneWhileClientsWork) {
  Load load(cluster_, 4, 3);
  for (size_t node = 0; node < 3; ++node) {
    SCOPED_TRACE(absl::StrCat(node == leader_ ? "leader " : "follower ", node));
    ASSERT_TRUE(load.Goes(100));
    const uint64_t applied = Status(node).applied_index;
    const std::string path = Path(absl::StrCat("node-", node));
    const Json said = Save(path, node);
    EXPECT_GE(said["index"], applied);
    EXPECT_EQ(said["node_id"], absl::StrCat(node + 1));
    EXPECT_EQ(said["file"], path);
    ExpectWhole(path, said);
    const auto dump = testing::RunProcess("wal_dump", {path, "--verify", "--json"});
    EXPECT_EQ(dump.exit_status, 0) << dump.output << dump.error;
    EXPECT_EQ(Json::parse(dump.output)["snapshots"][0]["index"], said["index"]);
  }
  EXPECT_TRUE(load.Goes(100));
  EXPECT_EQ(load.failures(), 0u);
  EXPECT_EQ(Names().size(), 3u) << "nothing but the backups";
}

// Whichever node gives it: one that has not heard yet that a grant is committed waits for that.
TEST_F(Backup, HasAllThatWasGrantedBefore) {
  storage::PosixFileSystem file_system;
  for (size_t round = 0; round < 12; ++round) {
    const std::string name = absl::StrCat("just now ", round);
    const AcquireResult granted = session_->Acquire(name);
    ASSERT_TRUE(granted.granted()) << granted.ToStatus();
    const std::string path = Path(absl::StrCat("after-", round));
    Save(path, (leader_ + 1 + round) % 3);
    const auto loaded = LoadSnapshotFile(&file_system, path);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->database->GetLock(name).token, granted.lock.token()) << name;
  }
}

TEST_F(Backup, WhereNobodyLeadsIsOfWhatANodeHas) {
  const size_t left = (leader_ + 1) % 3;
  ASSERT_TRUE(
      Eventually([&] { return Status(left).applied_index == Status(leader_).applied_index; }));
  for (size_t node = 0; node < 3; ++node) {
    if (node != left) cluster_.Kill(node);
  }
  const auto refused =
      Lockctl({"snapshot", "save", Path("monday"), "--timeout", "500ms"}, cluster_.endpoint(left));
  EXPECT_EQ(refused.exit_status, 3) << refused.error;
  EXPECT_THAT(refused.error, HasSubstr("--stale"));
  EXPECT_THAT(Names(), IsEmpty());
  const auto saved =
      Lockctl({"snapshot", "save", Path("monday"), "--stale", "--json"}, cluster_.endpoint(left));
  ASSERT_EQ(saved.exit_status, 0) << saved.error;
  ExpectWhole(Path("monday"), Json::parse(saved.output));
}

TEST_F(Backup, ShowsToPeopleWhatItIs) {
  const auto saved = Lockctl({"snapshot", "save", Path("monday")}, cluster_.endpoint(leader_));
  ASSERT_EQ(saved.exit_status, 0) << saved.error;
  EXPECT_THAT(saved.output, HasSubstr("bytes, verified\nentry     "));
  EXPECT_THAT(saved.output,
              HasSubstr(absl::StrCat("\nlocks     ", kHeld, "\nsessions  1\ndigest")));
  EXPECT_THAT(saved.output, HasSubstr(absl::StrCat(" at ", cluster_.endpoint(leader_), "\n")));
  const auto taken = Lockctl({"snapshot", "take", "--json"}, cluster_.endpoint(leader_));
  ASSERT_EQ(taken.exit_status, 0) << taken.error;
  EXPECT_EQ(Json::parse(taken.output)["locks"], kHeld);
  EXPECT_GE(Status(leader_).snapshot_index, Json::parse(taken.output)["index"]);
}

TEST_F(Backup, DoesNotReplaceAFileUnlessThatIsWanted) {
  std::ofstream(Path("monday")) << "precious";
  const auto refused = Lockctl({"snapshot", "save", Path("monday")}, cluster_.endpoint(leader_));
  EXPECT_EQ(refused.exit_status, 2);
  EXPECT_THAT(refused.error, HasSubstr(absl::StrCat(Path("monday"), " exists")));
  EXPECT_THAT(refused.error, HasSubstr("--force"));
  EXPECT_EQ(std::filesystem::file_size(Path("monday")), 8u);
  const auto forced = Lockctl({"snapshot", "save", Path("monday"), "--force", "--json"},
                              cluster_.endpoint(leader_));
  ASSERT_EQ(forced.exit_status, 0) << forced.error;
  ExpectWhole(Path("monday"), Json::parse(forced.output));
  EXPECT_THAT(Names(), ::testing::ElementsAre("monday"));
}

TEST_F(Backup, TriesOneNodeAfterTheOther) {
  const auto unreachable = Lockctl({"snapshot", "save", Path("monday")}, Nobody());
  EXPECT_EQ(unreachable.exit_status, 3);
  EXPECT_THAT(unreachable.error, HasSubstr("no snapshot was saved: 127.0.0.1:"));
  EXPECT_EQ(std::count(unreachable.error.begin(), unreachable.error.end(), '\n'), 1);
  EXPECT_THAT(Names(), IsEmpty());

  // A node that has stopped answering, one that is gone, and one that is well.
  const size_t frozen = (leader_ + 1) % 3;
  cluster_.process(frozen).Signal(SIGSTOP);
  const auto saved = Lockctl(
      {"snapshot", "save", Path("monday"), "--timeout", "5s", "--json"},
      absl::StrCat(cluster_.endpoint(frozen), ",", Nobody(), ",", cluster_.endpoint(leader_)));
  cluster_.process(frozen).Signal(SIGCONT);
  ASSERT_EQ(saved.exit_status, 0) << saved.error;
  ExpectWhole(Path("monday"), Json::parse(saved.output));
}

// The disk of the one who saves is full: `ulimit -f` stands for it.
TEST_F(Backup, ThatCannotBeWrittenLeavesNothing) {
  const auto failed = testing::RunProcess(
      "/bin/sh", {"-c", "ulimit -f 64; exec \"$0\" snapshot save \"$1\" --endpoints \"$2\"",
                  LOCKD_LOCKCTL, Path("monday"), cluster_.endpoint(leader_)});
  EXPECT_EQ(failed.exit_status, 4) << failed.error;
  EXPECT_THAT(failed.error, HasSubstr("no snapshot was saved: "));
  EXPECT_THAT(failed.error, HasSubstr(Path("monday")));
  EXPECT_THAT(Names(), IsEmpty());
}

// It takes seconds to read one: at the slowest pace that there is, three MiB.
class SlowBackup : public Backup {
 protected:
  SlowBackup() : Backup({"--snapshot-bytes-per-s", "1MiB"}) {}
  void SetUp() override {
    Backup::SetUp();
    constexpr int kOfEach = 200;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < crowd_.size(); ++i) {
      threads.emplace_back([this, i] {
        auto session = client_.OpenSession({.operation_timeout = kPatience});
        ASSERT_TRUE(session.ok()) << session.status();
        for (int n = 0; n < kOfEach; ++n) {
          crowd_[i].push_back(
              session->Acquire(absl::StrCat(i, "-", n, "-", std::string(1'000, 'x'))));
          ASSERT_TRUE(crowd_[i].back().granted()) << crowd_[i].back().ToStatus();
        }
        sessions_[i].emplace(*std::move(session));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  static constexpr size_t kSessions = 16;
  std::array<std::optional<BlockingSession>, kSessions> sessions_;
  std::array<std::vector<AcquireResult>, kSessions> crowd_;
};

TEST_F(SlowBackup, ThatIsBrokenOffLeavesNothing) {
  auto save = testing::Process::Start(
      "lockctl", {"snapshot", "save", Path("monday"), "--endpoints", cluster_.endpoint(leader_)});
  ASSERT_TRUE(Eventually([&] { return !Names().empty() || !save.is_running(); }));
  EXPECT_THAT(Names(), ::testing::ElementsAre(::testing::StartsWith("monday.part-")));
  save.Signal(SIGTERM);
  EXPECT_EQ(save.Await(), 128 + SIGTERM);
  EXPECT_THAT(Names(), IsEmpty());
}

// The node is gone in the middle of it: another one begins anew.
TEST_F(SlowBackup, OfANodeThatDiesComesFromTheNext) {
  const size_t dies = (leader_ + 1) % 3;
  auto save = testing::Process::Start(
      "lockctl", {"snapshot", "save", Path("monday"), "--json", "--timeout", "5s", "--endpoints",
                  absl::StrCat(cluster_.endpoint(dies), ",", cluster_.endpoint(leader_))});
  ASSERT_TRUE(Eventually([&] { return !Names().empty() || !save.is_running(); }));
  cluster_.Kill(dies);
  ASSERT_EQ(save.Await(), 0) << save.error();
  const Json said = Json::parse(save.output());
  EXPECT_EQ(said["node_id"], absl::StrCat(leader_ + 1));
  ExpectWhole(Path("monday"), said);
  EXPECT_THAT(Names(), ::testing::ElementsAre("monday"));
}

}  // namespace
}  // namespace lockd::e2e
