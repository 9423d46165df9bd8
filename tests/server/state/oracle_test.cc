// LockDatabase against the naive oracle, on random streams of log entries. A failure prints the
// seed and the shortest stream that still shows a difference.
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/random.h"
#include "tests/support/command_stream.h"
#include "tests/support/describe_state.h"
#include "tests/support/oracle_check.h"

namespace lockd::state {
namespace {

uint64_t g_seed = 0;

void NameSeed(absl::string_view message) {
  std::cerr << "seed " << g_seed << ": " << message << "\n";
}

std::vector<LogEntry> EntriesOf(uint64_t seed, size_t count, OracleCheck* check,
                                std::string* difference) {
  g_seed = seed;
  Random random(seed);
  CommandStream stream([&random](uint64_t bound) { return random.Below(bound); });
  std::vector<LogEntry> entries;
  while (entries.size() < count && difference->empty()) {
    entries.push_back(stream.Next());
    *difference = check->Apply(entries.back());
    stream.Learn(entries.back(), check->result());
  }
  return entries;
}

void ExpectNoDifference(uint64_t first_seed, uint64_t seeds, size_t entries_max) {
  SetCheckFailureHandler(NameSeed);
  for (uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    OracleCheck check;
    std::string difference;
    const std::vector<LogEntry> entries = EntriesOf(seed, entries_max, &check, &difference);
    if (difference.empty()) continue;
    ADD_FAILURE() << "seed " << seed << " differs at entry " << entries.size() << ":\n"
                  << DescribeRun(Shrink(entries));
    return;
  }
}

TEST(Oracle, AgreesOnManyShortStreams) {
  ExpectNoDifference(1, 300, 60);
}

TEST(Oracle, AgreesOnAFewLongStreams) {
  ExpectNoDifference(100'000, 6, 1'500);
}

TEST(OracleSlow, AgreesOnVeryManyShortStreams) {
  ExpectNoDifference(1'000'000, 6'000, 80);
}

TEST(OracleSlow, AgreesOnManyLongStreams) {
  ExpectNoDifference(2'000'000, 60, 4'000);
}

// A stream that never gets anywhere would agree with anything.
TEST(Oracle, StreamsReachEveryKindOfResultAndEvent) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    OracleCheck check;
    Random random(seed);
    CommandStream stream([&random](uint64_t bound) { return random.Below(bound); });
    for (int i = 0; i < 200; ++i) {
      const LogEntry entry = stream.Next();
      ASSERT_EQ(check.Apply(entry), "");
      stream.Learn(entry, check.result());
      for (size_t at = 0; at < check.result().results.size(); ++at) {
        const CommandResult& result = check.result().results[at];
        if (std::holds_alternative<ChangeMembers>(entry.batch->commands[at])) {
          ++seen["members " + std::to_string(static_cast<int>(result.refusal))];
        }
        ++seen["refusal " + std::to_string(static_cast<int>(result.refusal))];
        ++seen[std::string("limit ") + result.limit];
        if (const auto* a = std::get_if<AcquireResult>(&result.value)) {
          ++seen["acquire " + std::to_string(static_cast<int>(a->kind))];
        }
        if (const auto* c = std::get_if<CancelResult>(&result.value)) {
          ++seen["cancel " + std::to_string(static_cast<int>(c->outcome))];
        }
        if (const auto* r = std::get_if<ReleaseResult>(&result.value)) {
          ++seen["release " + std::to_string(static_cast<int>(r->outcome))];
        }
        if (const auto* r = std::get_if<ReconcileResult>(&result.value)) {
          if (r->cancelled > 0) ++seen["reconcile cancelled"];
          if (r->released > 0) ++seen["reconcile released"];
        }
      }
      for (const Event& event : check.result().events) {
        if (const auto* done = std::get_if<AcquireDone>(&event)) {
          ++seen["outcome " + std::to_string(static_cast<int>(done->result.kind))];
        } else if (const auto* ended = std::get_if<SessionEnded>(&event)) {
          ++seen["ended " + std::to_string(static_cast<int>(ended->reason))];
        } else {
          ++seen["hold expired"];
        }
      }
    }
  }
  for (const char* wanted : {"refusal 0",
                             "refusal 1",
                             "refusal 2",
                             "refusal 3",
                             "refusal 4",
                             "refusal 5",
                             "refusal 6",
                             "members 0",
                             "members 6",
                             "limit sessions_max",
                             "limit locks_max",
                             "limit waiters_max",
                             "limit locks_per_session_max",
                             "limit waiters_per_session_max",
                             "acquire 1",
                             "acquire 2",
                             "acquire 3",
                             "acquire 4",
                             "acquire 5",
                             "acquire 6",
                             "cancel 1",
                             "cancel 2",
                             "cancel 3",
                             "release 1",
                             "release 2",
                             "reconcile cancelled",
                             "reconcile released",
                             "outcome 2",
                             "outcome 4",
                             "outcome 5",
                             "outcome 6",
                             "ended 1",
                             "ended 2",
                             "ended 3",
                             "hold expired"}) {
    EXPECT_GT(seen[wanted], 5) << wanted;
  }
}

}  // namespace
}  // namespace lockd::state
