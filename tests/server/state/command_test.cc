// Log bytes of command batches: what goes in comes out, and nothing else does.

#include "server/state/command.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "tests/server/state/driver.h"
#include "tests/support/golden.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kNonce(kNonceBytes, 'n');

Mutation SomeHead() {
  return Mutation{
      SessionId(7), ConnectionEpoch(3), Sequence(21), Sequence(18), {Sequence(4), Sequence(9)}};
}

// One valid command of each kind, every field different from its default.
std::vector<Command> OneOfEach() {
  Settings settings;
  settings.session_ttl_ms_min = 11;
  settings.session_ttl_ms_max = 12;
  settings.grace_ms_min = 13;
  settings.sessions_max = 14;
  settings.locks_max = 15;
  settings.waiters_max = 16;
  settings.locks_per_session_max = 17;
  settings.waiters_per_session_max = 18;
  settings.cleanup_holds_max = 19;
  const Member one{NodeId(1), "127.0.0.1:7421", "127.0.0.1:7420", Incarnation(0xabcdef)};
  const Member two{NodeId(2), "", "b:2", Incarnation(0)};
  const Member three{NodeId(3), "c:1", "c:2", Incarnation(~uint64_t{0})};
  const Member four{NodeId(4), "d:1", "", Incarnation(0)};
  return {
      OpenSession{kNonce, 10'000, 3'000, "owner"},
      AttachSession{SessionId(5), kNonce},
      KeepAlives{{{SessionId(5), ConnectionEpoch(2), {}},
                  {SessionId(6), ConnectionEpoch(1), {Sequence(1), Sequence(2)}}}},
      CloseSession{SessionId(5), ConnectionEpoch(2)},
      Disconnect{SessionId(6), ConnectionEpoch(4)},
      Acquire{SomeHead(), std::string("na\0me", 5), LockMode::kExclusive, kWaitForever, 60'000},
      Release{SomeHead(), "name", FencingToken(99)},
      Cancel{SomeHead(), Sequence(20)},
      Reconcile{SomeHead(), Sequence(3), Sequence(20), {Sequence(4), Sequence(20)}},
      Bootstrap{ClusterId(~uint64_t{0}), 1, settings, {one, two}},
      RegisterMember{one},
      SetSettings{settings},
      SetFeatureLevel{1},
      ChangeMembers{{NodeId(1), NodeId(3)}, {NodeId(1), NodeId(2)}, {NodeId(4)}, {three, four}},
      Refound{{ClusterId(12), 1, settings, {one, two}}, uint64_t{1} << 62},
  };
}

std::string Encode(const std::vector<Command>& commands, WallTime wall = WallTime(-5)) {
  BatchBuilder builder;
  for (const Command& command : commands) builder.Add(command);
  return builder.Take(wall);
}

TEST(Batch, OfEveryKindComesBackFieldByField) {
  const std::vector<Command> commands = OneOfEach();
  ASSERT_EQ(commands.size(), std::variant_size_v<Command>);
  const std::string bytes = Encode(commands);
  const auto batch = DecodeBatch(bytes);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->wall_time, WallTime(-5));
  ASSERT_EQ(batch->commands.size(), commands.size());
  for (size_t i = 0; i < commands.size(); ++i) {
    EXPECT_EQ(batch->commands[i].index(), commands[i].index());
  }
  // The encoding has a place for every field, so equal bytes are equal commands.
  EXPECT_EQ(Encode(batch->commands), bytes);

  const auto& acquire = std::get<Acquire>(batch->commands[5]);
  EXPECT_EQ(acquire.mutation.session, SessionId(7));
  EXPECT_EQ(acquire.mutation.epoch, ConnectionEpoch(3));
  EXPECT_EQ(acquire.mutation.sequence, Sequence(21));
  EXPECT_EQ(acquire.mutation.acknowledged_through, Sequence(18));
  EXPECT_THAT(acquire.mutation.acknowledged_acquires, SizeIs(2));
  EXPECT_EQ(acquire.name, std::string("na\0me", 5));
  EXPECT_EQ(acquire.wait_ms, kWaitForever);
  EXPECT_EQ(acquire.max_hold_ms, 60'000);
  EXPECT_EQ(std::get<SetSettings>(batch->commands[11]).settings,
            std::get<SetSettings>(commands[11]).settings);
  EXPECT_EQ(std::get<Bootstrap>(batch->commands[9]).members,
            std::get<Bootstrap>(commands[9]).members);
  const auto& change = std::get<ChangeMembers>(batch->commands[13]);
  EXPECT_THAT(change.voters, ElementsAre(NodeId(1), NodeId(3)));
  EXPECT_THAT(change.outgoing, ElementsAre(NodeId(1), NodeId(2)));
  EXPECT_THAT(change.learners, ElementsAre(NodeId(4)));
  EXPECT_EQ(change.added, std::get<ChangeMembers>(commands[13]).added);
  const auto& refound = std::get<Refound>(batch->commands[14]);
  EXPECT_EQ(refound.bootstrap.members, std::get<Refound>(commands[14]).bootstrap.members);
  EXPECT_EQ(refound.numbers_from, uint64_t{1} << 62);
}

// What stands in logs that are in use; a command that came later has a file of its own.
TEST(Batch, GoldenBytesOfVersionOneAreReadAndWritten) {
  std::vector<Command> first = OneOfEach();
  const std::vector<Command> refound = {first.back()};
  ASSERT_TRUE(std::holds_alternative<Refound>(refound[0]));
  first.pop_back();
  const std::vector<Command> change = {first.back()};
  ASSERT_TRUE(std::holds_alternative<ChangeMembers>(change[0]));
  first.pop_back();
  for (const auto& [file, commands] :
       {std::pair("commands-v1.hex", first), std::pair("commands-v1-change-members.hex", change),
        std::pair("commands-v1-refound.hex", refound)}) {
    const std::string bytes = Encode(commands);
    const std::string golden = testing::ReadGolden(file, bytes);
    EXPECT_EQ(testing::ToGoldenDump(bytes), testing::ToGoldenDump(golden));
    const auto batch = DecodeBatch(golden);
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ(testing::ToGoldenDump(Encode(batch->commands)), testing::ToGoldenDump(golden));
  }
}

TEST(Batch, HasTheDocumentedBytes) {
  const std::string expected(
      "\x01\x00"                          // batch version
      "\x02\x01\x00\x00\x00\x00\x00\x00"  // wall time
      "\x01\x00\x00\x00"                  // one command
      "\x01\x00\x04"                      // command version, CloseSession
      "\x10\x00\x00\x00"                  // payload length
      "\x05\x00\x00\x00\x00\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00",
      2 + 8 + 4 + 3 + 4 + 16);
  EXPECT_EQ(Encode({CloseSession{SessionId(5), ConnectionEpoch(2)}}, WallTime(0x102)), expected);
}

TEST(Batch, EmptyIsATimeEntry) {
  const auto batch = DecodeBatch(BatchBuilder().Take(WallTime(7)));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->wall_time, WallTime(7));
  EXPECT_THAT(batch->commands, SizeIs(0));
}

TEST(BatchBuilder, CountsOrdinalsAndIsEmptyAfterTake) {
  BatchBuilder builder;
  const size_t empty_bytes = builder.bytes();
  EXPECT_EQ(builder.Add(SetFeatureLevel{1}), 0u);
  EXPECT_EQ(builder.Add(SetFeatureLevel{1}), 1u);
  EXPECT_EQ(builder.count(), 2u);
  const size_t bytes = builder.bytes();
  EXPECT_EQ(builder.Take(WallTime(1)).size(), bytes);
  EXPECT_EQ(builder.count(), 0u);
  EXPECT_EQ(builder.bytes(), empty_bytes);
  EXPECT_EQ(builder.Add(SetFeatureLevel{1}), 0u);
}

TEST(Batch, CutAnywhereIsRefused) {
  const std::string bytes = Encode(OneOfEach());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto batch = DecodeBatch(absl::string_view(bytes).substr(0, length));
    EXPECT_EQ(batch.status().code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeBatch(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

// The envelope is whole but its payload is not what its kind says: every shorter and one longer
// payload of every kind.
TEST(Batch, WithAPayloadCutAnywhereIsRefused) {
  constexpr size_t kHeader = 2 + 8 + 4;
  constexpr size_t kEnvelope = 2 + 1 + 4;
  for (const Command& command : OneOfEach()) {
    const std::string whole = Encode({command});
    const size_t payload = whole.size() - kHeader - kEnvelope;
    for (size_t length = 0; length <= payload + 1; ++length) {
      if (length == payload) continue;
      std::string bytes = whole.substr(0, kHeader + kEnvelope);
      bytes[kHeader + 3] = static_cast<char>(length & 0xff);
      bytes[kHeader + 4] = static_cast<char>(length >> 8);
      bytes += (whole.substr(kHeader + kEnvelope) + "x").substr(0, length);
      EXPECT_EQ(DecodeBatch(bytes).status().code(), absl::StatusCode::kDataLoss)
          << "kind " << command.index() << " length " << length;
    }
  }
}

TEST(Batch, OfAnUnknownVersionAsksForANewerBuild) {
  std::string bytes = Encode({SetFeatureLevel{1}});
  bytes[0] = 2;
  EXPECT_EQ(DecodeBatch(bytes).status().code(), absl::StatusCode::kFailedPrecondition);
  bytes = Encode({SetFeatureLevel{1}});
  bytes[2 + 8 + 4] = 2;
  const absl::Status status = DecodeBatch(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2, this build knows 1"));
}

TEST(Batch, OfAnUnknownKindIsRefused) {
  std::string bytes = Encode({SetFeatureLevel{1}});
  bytes[2 + 8 + 4 + 2] = 99;
  EXPECT_EQ(DecodeBatch(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Batch, WithHugeCountsAllocatesNothingForThem) {
  // 4 billion commands, or 65,535 list elements, that are not there.
  std::string bytes = BatchBuilder().Take(WallTime(0));
  bytes.replace(10, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(DecodeBatch(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Batch, OfRandomBytesNeverCrashes) {
  Random random(20240611);
  const std::string whole = Encode(OneOfEach());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = whole;
    for (uint64_t flips = random.Between(1, 4); flips > 0; --flips) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    const auto batch = DecodeBatch(bytes);
    if (batch.ok()) {
      EXPECT_EQ(Encode(batch->commands, batch->wall_time), bytes);
    }
  }
}

// ---- Validity

TEST(Validate, AcceptsOneOfEach) {
  const Settings settings;
  for (const Command& command : OneOfEach()) {
    EXPECT_TRUE(ValidateCommand(command, settings).ok())
        << command.index() << " " << ValidateCommand(command, settings);
  }
}

std::vector<NodeId> IdsFrom(uint64_t first, uint64_t last) {
  std::vector<NodeId> ids;
  for (uint64_t id = first; id <= last; ++id) ids.emplace_back(id);
  return ids;
}
std::vector<Member> MembersFrom(uint64_t first, uint64_t last) {
  std::vector<Member> members;
  for (const NodeId id : IdsFrom(first, last)) members.emplace_back().node_id = id;
  return members;
}

TEST(Validate, AcceptsAsManyMembersAsAreAllowed) {
  const Settings settings;
  EXPECT_TRUE(
      ValidateCommand(Bootstrap{ClusterId(1), 1, {}, MembersFrom(1, kMembersMax)}, settings).ok());
  const ChangeMembers change{IdsFrom(1, 60), IdsFrom(3, 62), IdsFrom(65, 66), {}};
  EXPECT_TRUE(ValidateCommand(change, settings).ok()) << ValidateCommand(change, settings);
}

TEST(Validate, NamesFieldValueAndRange) {
  struct Row {
    Command command;
    const char* complaint;
  };
  Mutation no_sequence = SomeHead();
  no_sequence.sequence = Sequence(0);
  Mutation huge_sequence = SomeHead();
  huge_sequence.sequence = Sequence(uint64_t{1} << 63);
  Mutation no_session = SomeHead();
  no_session.session = SessionId(0);
  Mutation many_acknowledged = SomeHead();
  many_acknowledged.acknowledged_acquires.resize(kAcknowledgedAcquiresMax + 1);
  const auto exclusive = LockMode::kExclusive;
  const Member nobody{NodeId(0), "a:1", "a:2", Incarnation(0)};
  const Member one{NodeId(1), "a:1", "a:2", Incarnation(0)};
  const Row rows[] = {
      {Acquire{no_sequence, "n", exclusive, 0, 0},
       "sequence is 0, allowed are 1..9223372036854775807"},
      {Acquire{huge_sequence, "n", exclusive, 0, 0}, "sequence is 9223372036854775808"},
      {Acquire{no_session, "n", exclusive, 0, 0}, "session_id is 0"},
      {Acquire{many_acknowledged, "n", exclusive, 0, 0},
       "acknowledged_acquire_ids has size 1025, allowed are 0..1024"},
      {Acquire{SomeHead(), "", exclusive, 0, 0}, "name has size 0, allowed are 1..1024"},
      {Acquire{SomeHead(), std::string(1025, 'n'), exclusive, 0, 0}, "name has size 1025"},
      {Acquire{SomeHead(), "n", static_cast<LockMode>(2), 0, 0}, "mode"},
      {Acquire{SomeHead(), "n", exclusive, -2, 0}, "wait_ms is -2, allowed are -1.."},
      {Acquire{SomeHead(), "n", exclusive, kDurationMsMax + 1, 0}, "wait_ms"},
      {Acquire{SomeHead(), "n", exclusive, 0, -1}, "max_hold_ms is -1, allowed are 0.."},
      {Release{SomeHead(), "n", FencingToken(0)}, "token is 0"},
      {Cancel{SomeHead(), Sequence(0)}, "acquire_id is 0"},
      {Cancel{SomeHead(), SomeHead().sequence}, "own sequence"},
      {Reconcile{SomeHead(), Sequence(5), Sequence(4), {}}, "watermark is 4, allowed are 5.."},
      {Reconcile{SomeHead(), Sequence(0), Sequence(9), {Sequence(3), Sequence(2)}}, "ascend"},
      {OpenSession{kNonce, 0, 0, ""}, "ttl_ms is 0, allowed are 1000..3600000"},
      {AttachSession{SessionId(1), "short"}, "nonce has size 5, allowed are 16..16"},
      {Bootstrap{ClusterId(0), 1, {}, {one}}, "cluster_id is 0"},
      {Bootstrap{ClusterId(1), 0, {}, {one}}, "feature_level is 0, allowed are 1..4294967295"},
      {Bootstrap{ClusterId(1), 1, {}, {}}, "members has size 0"},
      {Bootstrap{ClusterId(1), 1, {}, {one, one}}, "members do not ascend"},
      {RegisterMember{nobody}, "node_id is 0"},
      {Bootstrap{ClusterId(1), 1, {}, MembersFrom(1, kMembersMax + 1)},
       "members has size 65, allowed are 1..64"},
      {SetFeatureLevel{0}, "feature_level is 0"},
      {ChangeTo({}, {}, {}), "voters has size 0, allowed are 1..64"},
      {ChangeTo({}, {1}, {2}), "voters has size 0, allowed are 1..64"},
      {ChangeTo({0, 1}, {}, {}), "voters is 0, allowed are 1.."},
      {ChangeTo({1}, {uint64_t{1} << 63}, {}), "outgoing is 9223372036854775808"},
      {ChangeTo({1}, {}, {0}), "learners is 0"},
      {ChangeTo({2, 1}, {}, {}), "node ids of a list do not ascend"},
      {ChangeTo({1}, {3, 3}, {}), "node ids of a list do not ascend"},
      {ChangeTo({1}, {}, {5, 4}), "node ids of a list do not ascend"},
      {ChangeTo({1, 2}, {1, 2}, {}), "outgoing names the same nodes as voters"},
      {ChangeTo({1, 2}, {}, {2, 3}), "a node is a voter and a learner"},
      {ChangeTo({1}, {2}, {2}), "a node is an outgoing voter and a learner"},
      {ChangeTo({1}, {}, {}, {2}), "a node is added that is neither a voter nor a learner"},
      {ChangeTo({1}, {1, 2}, {}, {2}), "a node is added that is neither a voter nor a learner"},
      {ChangeTo({1, 2}, {2}, {}, {2}), "a node is added that is an outgoing voter"},
      {ChangeTo({1, 2, 3}, {}, {}, {3, 2}), "members do not ascend by node_id"},
      {ChangeTo({1, 2}, {}, {}, {2, 2}), "members do not ascend by node_id"},
      {ChangeMembers{NodeIds({1}), {}, NodeIds({2}), {{NodeId(2), std::string(257, 'a'), "", {}}}},
       "peer_address has size 257"},
      {ChangeMembers{IdsFrom(1, 60), IdsFrom(3, 62), IdsFrom(65, 67), {}},
       "members has size 65, allowed are 1..64"},
  };
  for (const Row& row : rows) {
    const absl::Status status = ValidateCommand(row.command, Settings{});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.complaint;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.complaint));
  }
}

}  // namespace
}  // namespace lockd::state
