// The bytes of a snapshot file are those of the example in consensus/README.md; and no change to
// any of them goes unnoticed.
#include "consensus/storage/snapshot_format.h"

#include "consensus/storage/snapshot_survey.h"
#include "protocol/base/bytes.h"
#include "tests/consensus/storage/readme_example.h"
#include "tests/consensus/storage/snapshot_fixture.h"
#include "tests/support/golden.h"

namespace lockd::storage {
namespace {

using State = SnapshotFinding::State;

class SnapshotFormatTest : public SnapshotTest {
 protected:
  // What a start would say about the only file there.
  SnapshotFinding Find() {
    auto findings = SurveySnapshots(&disk_, kSnapshots, &opened_.identity, RecoveryMode::kOwner);
    EXPECT_TRUE(findings.ok()) << findings.status();
    EXPECT_EQ(findings->size(), 1u);
    return findings->at(0);
  }
  // A finished snapshot, and its bytes.
  std::string Make(uint64_t index, size_t bytes) {
    Start();
    Take(index, 1, bytes);
    return disk_.Contents(SnapshotPath(index, 1));
  }
  void Put(uint64_t index, const std::string& bytes) {
    disk_.SetContents(SnapshotPath(index, 1), bytes);
  }
};

TEST_F(SnapshotFormatTest, TheExampleInTheReadmeIsWhatIsWritten) {
  Start();
  const LogBase base{.index = raft::Index(1000), .term = raft::Term(3), .time = ClusterTime(1'500)};
  const std::string content = "resource1 is held";
  ASSERT_TRUE(WriteDraft(1, base, content).ok());
  ASSERT_TRUE(Finish(1, IdOfContent(base, content)).status.ok());
  EXPECT_EQ(lockd::testing::HexDump(disk_.Contents(SnapshotPath(1000, 3)), 4),
            ExampleInReadme("<!-- example: snapshot -->"));
}

TEST_F(SnapshotFormatTest, NamesSortLikeSnapshotsAndOtherNamesAreNone) {
  const SnapshotPlace places[] = {{raft::Index(1), raft::Term(9)},
                                  {raft::Index(9), raft::Term(2)},
                                  {raft::Index(10), raft::Term(2)},
                                  {raft::Index(10), raft::Term(11)},
                                  {raft::Index(~uint64_t{0}), raft::Term(~uint64_t{0})}};
  for (const SnapshotPlace& place : places) {
    EXPECT_EQ(ParseSnapshotName(SnapshotName(place)), place);
    for (const SnapshotPlace& other : places) {
      EXPECT_EQ(place < other, SnapshotName(place) < SnapshotName(other));
    }
  }
  const std::string name = SnapshotName(places[0]);
  for (const std::string& wrong :
       {std::string("snap-1-1"), name + "0", name.substr(1), "x" + name, name + ".bak",
        absl::StrCat("snap-", std::string(20, '9'), "-", std::string(20, '0')),
        absl::StrCat("snap-", std::string(41, '0'))}) {
    EXPECT_FALSE(ParseSnapshotName(wrong).has_value()) << wrong;
  }
  EXPECT_EQ(ParseDraftName(DraftName(17)), 17u);
  for (const char* wrong : {"draft-", "draft-1x", "draft1", "draft--1"}) {
    EXPECT_FALSE(ParseDraftName(wrong).has_value()) << wrong;
  }
}

TEST_F(SnapshotFormatTest, NoFlippedByteGoesUnnoticed) {
  const std::string bytes = Make(10, 300);
  ASSERT_EQ(Find().state, State::kVerified);
  for (size_t at = 0; at < bytes.size(); ++at) {
    disk_.FlipByte(SnapshotPath(10, 1), at, 0x10);
    const SnapshotFinding finding = Find();
    ASSERT_EQ(finding.state, State::kDamaged) << "byte " << at;
    ASSERT_NE(finding.problem.find(" at offset "), std::string::npos) << finding.problem;
    disk_.FlipByte(SnapshotPath(10, 1), at, 0x10);
  }
  ASSERT_EQ(Find().state, State::kVerified);
}

TEST_F(SnapshotFormatTest, NoOtherLengthIsTakenForTheWholeFile) {
  const std::string bytes = Make(10, 300);
  for (size_t size = 0; size < bytes.size(); ++size) {
    Put(10, bytes.substr(0, size));
    ASSERT_EQ(Find().state, State::kDamaged) << size << " bytes";
  }
  for (const std::string& more : {std::string(1, '\0'), std::string(512, '\0'), bytes}) {
    Put(10, bytes + more);
    ASSERT_EQ(Find().state, State::kDamaged) << more.size() << " bytes more";
  }
}

TEST_F(SnapshotFormatTest, ALostSectorIsFoundInItsBlock) {
  const std::string bytes = Make(10, 3 * kBlockContentBytes + 5);
  for (size_t at = 0; at < bytes.size(); at += 512) {
    std::string lost = bytes;
    lost.replace(at, 512, std::min<size_t>(512, bytes.size() - at), '\0');
    Put(10, lost);
    const SnapshotFinding finding = Find();
    ASSERT_EQ(finding.state, State::kDamaged) << "sector at " << at;
    if (at < 512 || at + 1024 > BlockOffset(3)) continue;
    const uint64_t number = (at - kSnapshotHeadBytes) / kBlockBytes;
    ASSERT_NE(finding.problem.find(absl::StrCat("at offset ", BlockOffset(number), ":")),
              std::string::npos)
        << finding.problem;
  }
}

// A block of this file in another place of it.
TEST_F(SnapshotFormatTest, BlocksCannotChangePlaces) {
  const std::string bytes = Make(10, 4 * kBlockContentBytes);
  std::string swapped = bytes;
  swapped.replace(BlockOffset(1), kBlockBytes, bytes, BlockOffset(2), kBlockBytes);
  swapped.replace(BlockOffset(2), kBlockBytes, bytes, BlockOffset(1), kBlockBytes);
  Put(10, swapped);
  EXPECT_EQ(Find().state, State::kDamaged);
}

// What a file of the same name and length, of this process or another one, left on the device.
TEST_F(SnapshotFormatTest, ABlockOfAnotherFileIsNoneOfThisOne) {
  const size_t bytes = 2 * kBlockContentBytes;
  const std::string first = Make(10, bytes);
  Take(10, 1, bytes);
  const std::string second = disk_.Contents(SnapshotPath(10, 1));
  CutPower();
  disk_.Remove(SnapshotPath(10, 1));
  options_.incarnation_draw = Incarnation(0x99);  // another process
  const std::string third = Make(10, bytes);
  for (const std::string& other : {first, second}) {
    EXPECT_EQ(other.substr(BlockOffset(1) + kBlockHeaderBytes, kBlockContentBytes),
              third.substr(BlockOffset(1) + kBlockHeaderBytes, kBlockContentBytes))
        << "the content is the same";
    std::string stale = third;
    stale.replace(BlockOffset(1), kBlockBytes, other, BlockOffset(1), kBlockBytes);
    Put(10, stale);
    EXPECT_EQ(Find().state, State::kDamaged);
  }
}

TEST_F(SnapshotFormatTest, AFileOfAnotherNameOrOwnerIsNotOurs) {
  const std::string bytes = Make(10, 300);
  disk_.Remove(SnapshotPath(10, 1));
  Put(11, bytes);
  EXPECT_EQ(Find().state, State::kDamaged);
  EXPECT_NE(Find().problem.find("not what its name says"), std::string::npos);
  disk_.Remove(SnapshotPath(11, 1));
  Put(10, bytes);
  ASSERT_EQ(Find().state, State::kVerified);
  const Identity ours = opened_.identity;
  for (int part = 0; part < 4; ++part) {
    SCOPED_TRACE(part);
    Identity other = ours;
    if (part == 0) other.node_id = NodeId(9);
    if (part == 1) other.cluster_name = "payments";
    if (part == 2) other.incarnation = Incarnation(1);
    if (part == 3) other.cluster_id = ClusterId(1);
    opened_.identity = other;
    // A cluster id that was not known when the file was written says nothing.
    EXPECT_EQ(Find().state, part == 3 ? State::kVerified : State::kForeign);
  }
}

TEST_F(SnapshotFormatTest, AnotherVersionIsToldApartFromDamage) {
  std::string bytes = Make(10, 300);
  StoreLittle<uint32_t>(bytes.data() + snapshot_head_at::kVersion, kSnapshotVersion + 1);
  Put(10, bytes);
  EXPECT_EQ(Find().state, State::kDamaged) << "its checksum is wrong";
  const absl::string_view covered = absl::string_view(bytes).substr(
      snapshot_head_at::kVersion, kSnapshotHeadBytes - snapshot_head_at::kVersion);
  StoreLittle<uint32_t>(bytes.data() + snapshot_head_at::kChecksum, Crc32c(covered));
  Put(10, bytes);
  EXPECT_EQ(Find().state, State::kUnknownVersion);
}

// -- files as each version of the format wrote them: what a disk of an older lockd holds --

class GoldenSnapshot : public SnapshotFormatTest {
 protected:
  static constexpr char kName[] = "snapshot-file-v1.hex";
  // More than a block, of few different lines so that the dump is short.
  static std::string Content() { return std::string(kBlockContentBytes + 40, 'r'); }
  static raft::SnapshotId Id() { return IdOfContent(MakeBase(1'000, 3), Content()); }
};

TEST_F(GoldenSnapshot, ThePresentCodeWritesTheBytesOfItsVersion) {
  static_assert(kSnapshotVersion == 1, "a new version has a golden file of its own");
  Start();
  ASSERT_TRUE(WriteDraft(1, Id().base, Content()).ok());
  ASSERT_TRUE(Finish(1, Id()).status.ok());
  const std::string now = disk_.Contents(SnapshotPath(1'000, 3));
  EXPECT_EQ(lockd::testing::ToGoldenDump(lockd::testing::ReadGolden(kName, now)),
            lockd::testing::ToGoldenDump(now));
}

TEST_F(GoldenSnapshot, ThePresentCodeReadsAFileOfItsVersion) {
  Start();
  disk_.SetContents(SnapshotPath(1'000, 3), lockd::testing::ReadGolden(kName, ""));
  const SnapshotFinding finding = Find();
  EXPECT_EQ(finding.state, State::kVerified) << finding.problem;
  EXPECT_EQ(finding.outline.id, Id());
  Start();
  EXPECT_EQ(storage_.snapshot, Id());
  EXPECT_EQ(ReadAll(Id()), Content());
}

}  // namespace
}  // namespace lockd::storage
