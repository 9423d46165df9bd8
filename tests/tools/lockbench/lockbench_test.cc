// lockbench's options, percentiles, costs and report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "tools/lockbench/command_line.h"
#include "tools/lockbench/latency_recorder.h"
#include "tools/lockbench/report.h"
#include "tools/lockbench/server_cost.h"

namespace lockd::lockbench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// ---- Options

ParsedCommandLine ParseWords(std::vector<std::string> words) {
  words.insert(words.begin(), "lockbench");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

Arguments Parsed(const std::vector<std::string>& words) {
  const ParsedCommandLine parsed = ParseWords(words);
  const auto* arguments = std::get_if<Arguments>(&parsed);
  EXPECT_NE(arguments, nullptr) << std::get<cli::Ending>(parsed).text;
  return arguments == nullptr ? Arguments{} : *arguments;
}

TEST(LockbenchCommandLine, HasDefaultsThatFitTogether) {
  const Arguments all = Parsed({});
  EXPECT_EQ(all.workload, Workload::kUncontended);
  EXPECT_EQ(all.in_flight, 64u);
  EXPECT_EQ(all.connections, 8u);
  EXPECT_EQ(all.keys, 1024u);
  EXPECT_EQ(Parsed({"--in-flight", "1"}).connections, 1u);
  EXPECT_EQ(Parsed({"--workload", "contended"}).keys, 1u);
}

TEST(LockbenchCommandLine, TakesAllOptions) {
  const Arguments all = Parsed({"--workload", "contended", "--connections", "3", "--in-flight", "5",
                                "--keys", "7", "--seconds", "9", "--warmup", "0s", "--json",
                                "--endpoints", "a:1", "--held", "11", "--snapshot"});
  EXPECT_EQ(all.workload, Workload::kContended);
  EXPECT_EQ(all.connections, 3u);
  EXPECT_EQ(all.in_flight, 5u);
  EXPECT_EQ(all.keys, 7u);
  EXPECT_EQ(all.seconds, 9u);
  EXPECT_EQ(all.warmup_ms, 0);
  EXPECT_TRUE(all.json);
  EXPECT_EQ(all.held, 11u);
  EXPECT_TRUE(all.snapshot);
  EXPECT_THAT(all.endpoints, ElementsAre("a:1"));
}

TEST(LockbenchCommandLine, MistakesAreExplainedInOneLine) {
  struct Row {
    std::vector<std::string> words;
    std::vector<std::string> said;
  };
  const std::vector<Row> rows = {
      {{"--workload", "heavy"}, {"--workload", "\"heavy\"", "uncontended, contended"}},
      {{"--connections", "0"}, {"--connections", "1..10000"}},
      {{"--in-flight", "70000"}, {"--in-flight", "70000", "1..65536"}},
      {{"--keys", "x"}, {"--keys", "\"x\"", "whole number"}},
      {{"--keys", "3", "--in-flight", "4"}, {"--keys", "4..", "contended"}},
      {{"--seconds", "0"}, {"--seconds", "1..86400"}},
      {{"--held", "20000000"}, {"--held", "0..10000000"}},
      {{"--endpoints", "a"}, {"--endpoints", "\"a\""}},
      {{"extra"}, {"extra", "lockbench --help"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.words));
    const ParsedCommandLine parsed = ParseWords(row.words);
    const auto* ending = std::get_if<cli::Ending>(&parsed);
    ASSERT_NE(ending, nullptr);
    EXPECT_EQ(ending->exit_status, 2);
    EXPECT_EQ(std::count(ending->text.begin(), ending->text.end(), '\n'), 1) << ending->text;
    for (const std::string& said : row.said) EXPECT_THAT(ending->text, HasSubstr(said));
  }
}

// ---- Percentiles

TEST(LatencyRecorder, PercentilesAreThoseOfTheSamples) {
  LatencyRecorder recorder;
  for (int64_t us = 1'000; us >= 1; --us) recorder.Record(us * 1'000 + 999);
  const LatencySummary summary = recorder.Summarize();
  EXPECT_EQ(summary.count, 1'000u);
  EXPECT_EQ(summary.p50_us, 500);
  EXPECT_EQ(summary.p90_us, 900);
  EXPECT_EQ(summary.p99_us, 990);
  EXPECT_EQ(summary.p999_us, 999);
  EXPECT_EQ(summary.max_us, 1'000);
}

TEST(LatencyRecorder, OneSampleIsEveryPercentile) {
  LatencyRecorder recorder;
  recorder.Record(7'000);
  const LatencySummary summary = recorder.Summarize();
  EXPECT_EQ(summary.p50_us, 7);
  EXPECT_EQ(summary.p999_us, 7);
  EXPECT_EQ(summary.max_us, 7);
}

TEST(LatencyRecorder, SamplesBeyondTheCountersAreExactToo) {
  constexpr int64_t kFirstWithoutCounter = LatencyRecorder::kCounters;
  LatencyRecorder recorder;
  recorder.Record((kFirstWithoutCounter + 30) * 1'000);
  recorder.Record((kFirstWithoutCounter - 1) * 1'000);
  recorder.Record(kFirstWithoutCounter * 1'000);
  recorder.Record((kFirstWithoutCounter + 20) * 1'000);
  const LatencySummary summary = recorder.Summarize();
  EXPECT_EQ(summary.p50_us, kFirstWithoutCounter);
  EXPECT_EQ(summary.p90_us, kFirstWithoutCounter + 30);
  EXPECT_EQ(summary.max_us, kFirstWithoutCounter + 30);
}

TEST(LatencyRecorder, ForgetsWhatIsCleared) {
  LatencyRecorder recorder;
  recorder.Record(5'000'000'000);
  recorder.Record(5'000);
  recorder.Clear();
  EXPECT_EQ(recorder.Summarize().count, 0u);
  recorder.Record(3'000);
  EXPECT_EQ(recorder.Summarize().max_us, 3);
}

// ---- What the nodes have spent

cli::NodeReport Node(uint64_t node_id, uint64_t cpu_us) {
  NodeStatus status;
  status.node_id = NodeId(node_id);
  status.process_cpu_us = cpu_us;
  status.rss_bytes = 100;
  status.longest_turn_cpu_us = 10 * node_id;
  status.longest_turn_wall_us = 20 * node_id;
  return {"", NodeId(node_id), status};
}
cli::NodeReport SilentNode(uint64_t node_id) {
  return {"", NodeId(node_id), absl::UnavailableError("")};
}

TEST(ServerCost, IsTheSumOverAllNodesForEach1000Cycles) {
  const ServerCost cost = ComputeServerCost({{Node(1, 100), Node(2, 1'000)}, 10'000},
                                            {{Node(1, 40'100), Node(2, 21'000)}, 12'000});
  EXPECT_DOUBLE_EQ(cost.cpu_s_per_1000.value(), 0.03);
  EXPECT_EQ(cost.rss_bytes, 200u);
  EXPECT_EQ(cost.longest_turn_cpu_us, 20u);
  EXPECT_EQ(cost.longest_turn_wall_us, 40u);
}

TEST(ServerCost, IsUnknownWhenANodeIsSilent) {
  const ClusterLook before = {{Node(1, 100), Node(2, 100)}, 0};
  const ServerCost cost = ComputeServerCost(before, {{Node(1, 200), SilentNode(2)}, 10});
  EXPECT_EQ(cost.cpu_s_per_1000, std::nullopt);
  EXPECT_EQ(cost.rss_bytes, std::nullopt);
  EXPECT_EQ(cost.longest_turn_cpu_us, std::nullopt);
}

TEST(ServerCost, ProcessorTimeIsUnknownWithoutAComparableLookBefore) {
  const ClusterLook after = {{Node(1, 200), Node(2, 200)}, 10};
  const std::vector<ClusterLook> befores = {
      {{}, 0},                             // no answer yet
      {{Node(1, 100)}, 0},                 // a node that joined since
      {{Node(1, 100), SilentNode(2)}, 0},  // silent then
      {{Node(1, 100), Node(2, 201)}, 0},   // restarted since
      {{Node(1, 100), Node(2, 0)}, 0},     // does not know its time
      {{Node(1, 100), Node(2, 100)}, 10},  // no cycle
  };
  for (const ClusterLook& before : befores) {
    const ServerCost cost = ComputeServerCost(before, after);
    EXPECT_EQ(cost.cpu_s_per_1000, std::nullopt);
    EXPECT_EQ(cost.rss_bytes, 200u);
  }
}

// ---- Report

TEST(LockbenchReport, HasAllKeysAndNullForWhatIsUnknown) {
  const Json json = ToJson(Parsed({}), Measurement{});
  for (const char* key :
       {"target", "workload", "connections", "in_flight", "keys", "seconds", "cycles_per_s",
        "errors", "acquire_us", "release_us", "server_cpu_s_per_1000", "server_rss_bytes"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  for (const char* step : {"acquire_us", "release_us"}) {
    for (const char* key : {"p50", "p90", "p99", "p999", "max"}) {
      EXPECT_TRUE(json[step].contains(key)) << key;
      EXPECT_TRUE(json[step][key].is_null()) << key;
    }
  }
  EXPECT_TRUE(json["server_cpu_s_per_1000"].is_null());
  EXPECT_TRUE(json["server_rss_bytes"].is_null());
  EXPECT_TRUE(json["server_longest_turn_cpu_us"].is_null());
  EXPECT_TRUE(json["snapshot"].is_null());
  EXPECT_EQ(json["cycles_per_s"], 0);
}

TEST(LockbenchReport, ShowsRatesOverTheTimeThatWasMeasured) {
  Measurement measurement;
  measurement.elapsed_s = 4;
  measurement.release.count = 1'000;
  measurement.release.p50_us = 12;
  measurement.client_cpu_s = 0.5;
  measurement.server.cpu_s_per_1000 = 0.25;
  const Json json = ToJson(Parsed({}), measurement);
  EXPECT_EQ(json["cycles_per_s"], 250);
  EXPECT_EQ(json["release_us"]["p50"], 12);
  EXPECT_EQ(json["server_cpu_s_per_1000"], 0.25);
  EXPECT_EQ(json["client_cpu_s_per_1000"], 0.5);
  EXPECT_THAT(ToText(Parsed({}), measurement), HasSubstr("250/s"));
}

TEST(LockbenchReport, CountsWhatEndedInASnapshotAndShowsItByItself) {
  Measurement measurement;
  measurement.elapsed_s = 4;
  measurement.release.count = 1'000;
  measurement.release.p99_us = 12;
  measurement.snapshot.emplace();
  measurement.snapshot->elapsed_s = 1.5;
  measurement.snapshot->bytes = 3 << 20;
  measurement.snapshot->release.count = 200;
  measurement.snapshot->release.p99_us = 34;
  const Json json = ToJson(Parsed({}), measurement);
  EXPECT_EQ(json["cycles"], 1'200);
  EXPECT_EQ(json["cycles_per_s"], 300);
  EXPECT_EQ(json["release_us"]["p99"], 12);
  EXPECT_EQ(json["snapshot"]["release_us"]["p99"], 34);
  EXPECT_EQ(json["snapshot"]["content_bytes"], 3 << 20);
  EXPECT_THAT(ToText(Parsed({}), measurement), HasSubstr("a snapshot of 3 MiB, in 1.5 s"));
}

}  // namespace
}  // namespace lockd::lockbench
