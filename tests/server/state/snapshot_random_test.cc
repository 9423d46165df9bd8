// Snapshots on random streams of log entries: pieces of random sizes between the entries, and then
// the loaded database takes over and goes on under the eyes of the oracle.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/random.h"
#include "server/state/snapshot_writer.h"
#include "tests/support/command_stream.h"
#include "tests/support/describe_state.h"
#include "tests/support/oracle_check.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

// What can be seen of an entry's effects.
std::string Seen(const LockDatabase& database, const ApplyResult& result) {
  std::string text;
  for (const CommandResult& r : result.results) absl::StrAppend(&text, Describe(r), "\n");
  for (const Event& event : result.events) absl::StrAppend(&text, Describe(event), "\n");
  absl::StrAppend(&text, database.digest().high, " ", database.digest().low, " next deadline ",
                  database.NextDeadline().value(), " backlog ", database.HasBacklog());
  return text;
}

class SnapshotRun {
 public:
  explicit SnapshotRun(uint64_t seed)
      : seed_(seed),
        random_(seed),
        stream_([this](uint64_t bound) { return random_.Below(bound); }) {}

  void Go(int entries) {
    for (int i = 0; i < entries && !::testing::Test::HasFailure(); ++i) {
      ApplyOne();
      LockDatabase& database = check_.database();
      if (!database.is_in_snapshot()) {
        if (random_.Chance(1, 4)) Begin();
      } else if (random_.Chance(1, 200)) {
        database.CancelSnapshot();
      } else if (random_.Chance(1, 2)) {
        TakePieces();
      }
    }
  }

  [[nodiscard]] int loads() const { return loads_; }
  [[nodiscard]] uint64_t images() const { return images_; }

 private:
  void ApplyOne() {
    const LogEntry entry = stream_.Next();
    const std::string difference = check_.Apply(entry);
    ASSERT_EQ(difference, "") << "seed " << seed_ << " after load " << loads_;
    stream_.Learn(entry, check_.result());
    if (!check_.database().is_in_snapshot()) return;
    since_.emplace_back(entry, Seen(check_.database(), check_.result()));
  }

  void Begin() {
    LockDatabase& database = check_.database();
    digest_ = database.digest();
    whole_ = WriteSnapshot(database);
    content_.clear();
    since_.clear();
    database.BeginSnapshot();
    // Now and then so slow that everything changes meanwhile, from some place on.
    piece_bytes_ = random_.Chance(1, 3) ? 20 : 1 + random_.Below(600);
    pause_at_ = random_.Below(whole_.size());
    pause_ = random_.Below(30);
  }

  void TakePieces() {
    LockDatabase& database = check_.database();
    if (content_.size() >= pause_at_ && pause_ > 0) {
      --pause_;
      return;
    }
    std::string piece;
    for (uint64_t count = 1 + random_.Below(3); count > 0; --count) {
      images_ += database.snapshot()->image_count();
      const bool is_last = database.NextSnapshotPiece(1 + random_.Below(piece_bytes_), &piece);
      content_ += piece;
      if (is_last) return TakeOver();
    }
  }

  void TakeOver() {
    ASSERT_TRUE(content_ == whole_) << "seed " << seed_ << ": not as if written at once";
    SnapshotLoader loader(HashKey::FromSeed(random_.Next()));
    absl::string_view rest = content_;
    while (!rest.empty()) {
      const absl::string_view part = rest.substr(0, 1 + random_.Below(200));
      rest.remove_prefix(part.size());
      ASSERT_TRUE(loader.Add(part).ok());
    }
    auto loaded = loader.Finish();
    ASSERT_TRUE(loaded.ok()) << "seed " << seed_ << ": " << loaded.status();
    LockDatabase& database = **loaded;
    database.CheckInvariants();
    ASSERT_EQ(database.digest(), digest_) << "seed " << seed_;
    ASSERT_TRUE(WriteSnapshot(database) == content_) << "seed " << seed_;
    for (const auto& [entry, seen] : since_) {
      const ApplyResult result = database.Apply(entry.time, Encode(entry));
      database.CheckInvariants();
      ASSERT_EQ(Seen(database, result), seen) << "seed " << seed_;
    }
    check_.Replace(*std::move(loaded));
    ++loads_;
  }

  const uint64_t seed_;
  Random random_;
  CommandStream stream_;
  OracleCheck check_;

  Digest digest_;
  std::string whole_;    // written at once
  std::string content_;  // written meanwhile
  std::vector<std::pair<LogEntry, std::string>> since_;
  uint64_t piece_bytes_ = 1;
  uint64_t pause_at_ = 0;  // after so many bytes
  uint64_t pause_ = 0;     // how often nothing is taken then
  int loads_ = 0;
  uint64_t images_ = 0;
};

void ExpectAlike(uint64_t first_seed, uint64_t seeds, int entries) {
  int loads = 0;
  uint64_t images = 0;
  for (uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    SnapshotRun run(seed);
    run.Go(entries);
    if (::testing::Test::HasFailure()) return;
    loads += run.loads();
    images += run.images();
  }
  // A run in which nothing changed ahead of the writing would agree with any writer.
  EXPECT_GT(loads, static_cast<int>(seeds) * entries / 200);
  EXPECT_GT(images, seeds * static_cast<uint64_t>(entries) / 10);
}

TEST(SnapshotRandom, IsTheStateOfItsMomentAndGoesOnAsItDid) {
  ExpectAlike(1, 60, 300);
}

TEST(SnapshotRandom, IsSoAlsoInLongRuns) {
  ExpectAlike(100'000, 2, 4'000);
}

TEST(OracleSlow, SnapshotsAreTheStateOfTheirMoment) {
  ExpectAlike(1'000'000, 2'000, 400);
}

}  // namespace
}  // namespace lockd::state
