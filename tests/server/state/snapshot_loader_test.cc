// Bytes that are no snapshot, or not quite: the loader believes nothing.

#include "server/state/snapshot_loader.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/corruptor.h"
#include "tests/server/state/snapshot_world.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Joined(const std::vector<std::string>& parts) {
  std::string content;
  for (const std::string& part : parts) content += part;
  return content;
}

TEST(SnapshotLoader, TakesItsBytesCutAnywhere) {
  SnapshotWorld world;
  const std::string content = WriteSnapshot(world.db());
  for (const size_t size : {1u, 2u, 3u, 7u, 100u, 1'030u}) {
    SnapshotLoader loader;
    for (size_t at = 0; at < content.size(); at += size) {
      ASSERT_TRUE(loader.Add(absl::string_view(content).substr(at, size)).ok());
    }
    const auto loaded = loader.Finish();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->digest(), world.db().digest());
  }
}

TEST(SnapshotLoader, RefusesWhatIsCutShortOrGoesOn) {
  SnapshotWorld world;
  const std::string content = WriteSnapshot(world.db());
  for (size_t length = 0; length < content.size(); ++length) {
    const absl::Status status = LoadSnapshot(content.substr(0, length)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("it ends at byte ", length, ", before its end")));
  }
  for (const char more : {'x', '\x01', '\x08'}) {
    EXPECT_EQ(LoadSnapshot(content + more).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(LoadSnapshot(content + std::string(500, more)).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

// Every byte has one meaning: whatever is flipped is noticed, if not by a check then by the digest.
TEST(SnapshotLoader, RefusesEveryFlippedBit) {
  for (const bool has_roles : {false, true}) {
    SnapshotWorld world;
    if (has_roles) world.GiveRoles();
    std::string content = WriteSnapshot(world.db());
    for (size_t at = 0; at < content.size(); ++at) {
      for (const int mask : {0x01, 0x02, 0x03, 0x40, 0x80, 0xff}) {
        content[at] = static_cast<char>(content[at] ^ mask);
        EXPECT_THAT(LoadSnapshot(content).status().code(),
                    AnyOf(absl::StatusCode::kDataLoss, absl::StatusCode::kFailedPrecondition))
            << "byte " << at << " ^ " << mask;
        content[at] = static_cast<char>(content[at] ^ mask);
      }
    }
    EXPECT_TRUE(LoadSnapshot(content).ok());
  }
}

TEST(SnapshotLoader, RefusesALostOrDoubledRecordAndOneOutOfPlace) {
  SnapshotWorld world;
  const std::vector<std::string> parts = CutIntoRecords(WriteSnapshot(world.db()));
  for (size_t i = 1; i < parts.size(); ++i) {
    std::vector<std::string> changed = parts;
    changed.erase(changed.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_FALSE(LoadSnapshot(Joined(changed)).ok()) << "without record " << i;
    changed = parts;
    changed.insert(changed.begin() + static_cast<ptrdiff_t>(i), parts[i]);
    EXPECT_FALSE(LoadSnapshot(Joined(changed)).ok()) << "with record " << i << " twice";
    for (size_t other = 1; other < i; ++other) {
      changed = parts;
      std::swap(changed[i], changed[other]);
      const auto loaded = LoadSnapshot(Joined(changed));
      // Sessions or locks with nothing behind them may stand in any order.
      if (!loaded.ok()) continue;
      (*loaded)->CheckInvariants();
      EXPECT_EQ((*loaded)->digest(), world.db().digest());
      EXPECT_EQ(parts[i][0], parts[other][0]);
    }
  }
}

TEST(SnapshotLoader, NamesAVersionThatItDoesNotKnow) {
  LockDatabase db;
  std::string content = WriteSnapshot(db);
  content[8] = 7;
  SnapshotLoader loader;
  const absl::Status status = loader.Add(content);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 7, this build knows up to 2"));
  EXPECT_EQ(loader.Add("more"), status) << "once wrong, always wrong";
  EXPECT_EQ(loader.Finish().status(), status);
}

TEST(SnapshotLoader, NamesAFeatureLevelThatItDoesNotKnow) {
  LockDatabase db;
  std::string content = WriteSnapshot(db);
  content[kSnapshotHeadBytes + kRecordHeadBytes + 4 * 8] = 9;
  const absl::Status status = LoadSnapshot(content).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("feature level 9"));
}

// What no digest would notice, since nothing says that it is wrong: the digest is made to fit.
TEST(SnapshotLoader, RefusesMembersThatCannotBe) {
  struct Row {
    const char* complaint;
    std::function<void(LockDatabaseCorruptor&)> corrupt;
  };
  const Row rows[] = {
      {"nobody could be elected",
       [](LockDatabaseCorruptor& c) {
         for (Member& member : c.members()) member.role = MemberRole::kLearner;
       }},
      {"node 4 has an unknown role",
       [](LockDatabaseCorruptor& c) { c.members().back().role = MemberRole{5}; }},
      {"node 4 has an unknown role",
       [](LockDatabaseCorruptor& c) { c.members().back().role = MemberRole{0}; }},
      {"node id 4 was never given", [](LockDatabaseCorruptor& c) { c.last_node_id() = NodeId(3); }},
      {"members do not ascend",
       [](LockDatabaseCorruptor& c) { std::swap(c.members()[0], c.members()[1]); }},
      {"there are too many members",
       [](LockDatabaseCorruptor& c) {
         c.last_node_id() = NodeId(100);
         while (c.members().size() <= kMembersMax) {
           c.members().push_back(c.members().back());
           ++c.members().back().node_id;
         }
       }},
      {"a number is out of range",
       [](LockDatabaseCorruptor& c) { c.last_node_id() = NodeId(uint64_t{1} << 63); }},
  };
  for (const Row& row : rows) {
    SnapshotWorld world;
    world.GiveRoles();
    LockDatabaseCorruptor corruptor(world.db());
    row.corrupt(corruptor);
    const absl::Status status = LoadSnapshot(WriteSnapshot(world.db())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << row.complaint;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.complaint));
  }
}

// Each state has one content: nothing in version 2 that version 1 could say.
TEST(SnapshotLoader, RefusesAVersionThatIsNewerThanNeeded) {
  SnapshotWorld world;
  ASSERT_EQ(world.d.Do(ChangeTo({1, 2}, {}, {3}, {3})).refusal, Refusal::kNone);
  std::vector<std::string> parts = CutIntoRecords(WriteSnapshot(world.db()));
  ASSERT_EQ(parts[4][0], static_cast<char>(RecordKind::kMember));
  ASSERT_EQ(parts[4].back(), static_cast<char>(MemberRole::kLearner));
  parts[4].back() = static_cast<char>(MemberRole::kVoter);
  const absl::Status status = LoadSnapshot(Joined(parts)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("what is there is of version 1, not 2"));
}

TEST(SnapshotLoader, RefusesOtherFiles) {
  const absl::Status status = LoadSnapshot(std::string(100, '\0')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), StartsWith("this is not a snapshot of lockd"));
}

TEST(SnapshotLoader, SaysWhereTheDamageIs) {
  SnapshotWorld world;
  std::vector<std::string> parts = CutIntoRecords(WriteSnapshot(world.db()));
  const std::string before = parts[0] + parts[1];
  parts[2][0] = 99;
  const absl::Status status = LoadSnapshot(Joined(parts)).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("its record at byte ", before.size(), ", of kind 99")));
}

}  // namespace
}  // namespace lockd::state
