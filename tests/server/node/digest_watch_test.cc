#include "server/node/digest_watch.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "protocol/frame_decoder.h"
#include "protocol/raft.pb.h"
#include "server/node/digest_wire.h"
#include "server/state/digest.h"

namespace lockd::node {
namespace {

using raft::Index;
using raft::Term;

constexpr uint64_t kEvery = DigestWatch::kEntriesBetween;
constexpr state::Digest kGood{.high = 7, .low = 8};
constexpr state::Digest kBad{.high = 7, .low = 9};
constexpr state::Digest kOther{.high = 6, .low = 8};

raft::LogBase At(uint64_t index, int64_t time) {
  return {.index = Index{index}, .term = Term{1}, .time = ClusterTime{time}};
}
std::vector<NodeId> Ids(const std::vector<uint64_t>& numbers) {
  std::vector<NodeId> ids;
  for (const uint64_t number : numbers) ids.push_back(NodeId{number});
  return ids;
}
raft::Configuration Voters(const std::vector<uint64_t>& voters) {
  return {.voters = Ids(voters), .outgoing_voters = {}, .learners = {}};
}

// ---- Which entries are points

TEST(DigestPoints, AreMultiplesAndFirstEntriesOfASpanOfTime) {
  struct Row {
    raft::LogBase before;
    raft::LogBase entry;
    bool is_point;
  };
  const std::vector<Row> rows = {
      {At(kEvery - 2, 5), At(kEvery - 1, 6), false}, {At(kEvery - 1, 5), At(kEvery, 5), true},
      {At(kEvery, 5), At(kEvery + 1, 5), false},     {At(7, 9'998), At(8, 9'999), false},
      {At(7, 9'999), At(8, 10'000), true},           {At(8, 10'000), At(9, 19'999), false},
      {At(8, 10'000), At(9, 45'000), true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(DigestWatch::IsPoint(row.before, row.entry), row.is_point)
        << row.entry.index.value() << " at " << row.entry.time.value();
  }
}

// ---- What the values come to

struct TallyRow {
  const char* what;
  raft::Configuration configuration;
  DigestWatch::Values values;
  std::optional<state::Digest> majority;
  bool differs;
  bool is_open;
};

DigestWatch::Values Of(const std::vector<std::pair<uint64_t, state::Digest>>& values) {
  DigestWatch::Values map;
  for (const auto& [node, value] : values) map[NodeId{node}] = value;
  return map;
}

TEST(DigestTally, Table) {
  raft::Configuration with_learners = Voters({1, 2, 3});
  with_learners.learners = Ids({4, 5});
  raft::Configuration joint = Voters({1, 2, 3});
  joint.outgoing_voters = Ids({3, 4, 5});
  const std::vector<TallyRow> rows = {
      // A majority is one of all voters, not of those who reported.
      {"one of three", Voters({1, 2, 3}), Of({{1, kGood}}), {}, false, true},
      {"two of three", Voters({1, 2, 3}), Of({{1, kGood}, {2, kGood}}), kGood, false, false},
      {"two of five", Voters({1, 2, 3, 4, 5}), Of({{1, kGood}, {2, kGood}}), {}, false, true},
      {"one differs", Voters({1, 2, 3}), Of({{1, kGood}, {2, kBad}, {3, kGood}}), kGood, true,
       false},
      {"1-1, one is silent", Voters({1, 2, 3}), Of({{1, kGood}, {2, kBad}}), {}, true, true},
      {"1-1-1", Voters({1, 2, 3}), Of({{1, kGood}, {2, kBad}, {3, kOther}}), {}, true, false},
      {"1-1 of two", Voters({1, 2}), Of({{1, kGood}, {2, kBad}}), {}, true, false},
      {"2-2",
       Voters({1, 2, 3, 4}),
       Of({{1, kGood}, {2, kBad}, {3, kGood}, {4, kBad}}),
       {},
       true,
       false},
      // Learners are looked at, and do not count.
      {"a learner makes no majority",
       with_learners,
       Of({{1, kGood}, {4, kGood}, {5, kGood}}),
       {},
       false,
       true},
      {"a learner differs", with_learners, Of({{1, kGood}, {2, kGood}, {4, kBad}, {5, kBad}}),
       kGood, true, false},
      // A joint configuration needs both halves.
      {"one half only", joint, Of({{1, kGood}, {2, kGood}, {3, kGood}}), {}, false, true},
      {"both halves", joint, Of({{1, kGood}, {3, kGood}, {4, kGood}}), kGood, false, false},
      {"halves that differ",
       joint,
       Of({{1, kGood}, {2, kGood}, {4, kBad}, {5, kBad}}),
       {},
       true,
       false},
  };
  for (const TallyRow& row : rows) {
    SCOPED_TRACE(row.what);
    const DigestWatch::Tally tally = DigestWatch::Count(row.values, row.configuration);
    EXPECT_EQ(tally.majority, row.majority);
    EXPECT_EQ(tally.differs, row.differs);
    EXPECT_EQ(tally.is_open, row.is_open);
  }
}

// ---- A node and its own points

class Watch : public testing::Test {
 protected:
  // The n-th point.
  static Index PointAt(uint64_t n) { return Index{n * kEvery}; }
  static void Pass(DigestWatch& watch, uint64_t n, const state::Digest& digest) {
    watch.OnApplied(At(n * kEvery - 1, 1), At(n * kEvery, 1), digest);
  }
  static LocalTime Ms(int64_t ms) { return LocalTime{ms * kNanosPerMilli}; }

  DigestWatch watch{NodeId{1}};
};

TEST_F(Watch, ReportsItsNewestPointOnceForEachOffice) {
  EXPECT_FALSE(watch.NextReport(NodeId{2}, Term{5}).has_value());
  watch.OnApplied(At(1, 1), At(2, 1), kBad);  // no point
  EXPECT_FALSE(watch.NextReport(NodeId{2}, Term{5}).has_value());
  Pass(watch, 1, kGood);
  Pass(watch, 2, kBad);
  EXPECT_EQ(watch.NextReport(NodeId{2}, Term{5}), (DigestPoint{PointAt(2), kBad}));
  EXPECT_FALSE(watch.NextReport(NodeId{2}, Term{5}).has_value());
  EXPECT_TRUE(watch.NextReport(NodeId{3}, Term{6}).has_value()) << "the next leader knows nothing";
  EXPECT_FALSE(watch.NextReport(NodeId{3}, Term{6}).has_value());
  EXPECT_TRUE(watch.NextReport(NodeId{3}, Term{7}).has_value());
}

TEST_F(Watch, IsWrongOnlyAboutWhatItRemembers) {
  Pass(watch, 1, kGood);
  EXPECT_EQ(watch.OnVerdict({PointAt(1), kBad}), kGood);
  EXPECT_EQ(watch.agreed_index(), Index{0});
  EXPECT_FALSE(watch.OnVerdict({PointAt(1), kGood}).has_value());
  EXPECT_EQ(watch.agreed_index(), PointAt(1));
  EXPECT_FALSE(watch.OnVerdict({PointAt(2), kBad}).has_value()) << "not applied yet";
  for (uint64_t n = 2; n <= DigestWatch::kPointsKept + 1; ++n) Pass(watch, n, kGood);
  EXPECT_FALSE(watch.OnVerdict({PointAt(1), kBad}).has_value()) << "forgotten";
  EXPECT_EQ(watch.OnVerdict({PointAt(2), kBad}), kGood);
  watch.OnStateReplaced();
  EXPECT_FALSE(watch.OnVerdict({PointAt(2), kBad}).has_value()) << "of a state that is gone";
}

// ---- A leader

TEST_F(Watch, TellsTheMajoritysValueToAllWhoReportedOnce) {
  Pass(watch, 1, kGood);
  watch.OnReport(NodeId{3}, {PointAt(1), kBad});
  EXPECT_TRUE(watch.Compare(Voters({1, 2, 3}), Ms(0)).verdicts.empty());
  watch.OnReport(NodeId{2}, {PointAt(1), kGood});
  const DigestWatch::Findings findings = watch.Compare(Voters({1, 2, 3}), Ms(1));
  ASSERT_EQ(findings.verdicts.size(), 2u);
  EXPECT_EQ(findings.verdicts[0].to, NodeId{2});
  EXPECT_EQ(findings.verdicts[1].to, NodeId{3});
  EXPECT_EQ(findings.verdicts[1].majority, (DigestPoint{PointAt(1), kGood}));
  EXPECT_EQ(findings.verdicts[1].theirs, kBad);
  EXPECT_FALSE(findings.own.has_value());
  EXPECT_EQ(watch.agreed_index(), PointAt(1));
  EXPECT_TRUE(watch.Compare(Voters({1, 2, 3}), Ms(60'000)).verdicts.empty());
  EXPECT_EQ(watch.alarms(), 0u);
  // Who reports again has been started anew.
  watch.OnReport(NodeId{2}, {PointAt(1), kGood});
  EXPECT_EQ(watch.Compare(Voters({1, 2, 3}), Ms(60'001)).verdicts.size(), 1u);
}

TEST_F(Watch, FindsItselfToBeWrong) {
  for (const uint64_t node : {2u, 3u}) watch.OnReport(NodeId{node}, {PointAt(1), kGood});
  EXPECT_FALSE(watch.Compare(Voters({1, 2, 3}), Ms(0)).own.has_value()) << "not applied yet";
  Pass(watch, 1, kBad);
  const DigestWatch::Findings findings = watch.Compare(Voters({1, 2, 3}), Ms(0));
  ASSERT_TRUE(findings.own.has_value());
  EXPECT_EQ(findings.own->majority, (DigestPoint{PointAt(1), kGood}));
  EXPECT_EQ(findings.own->theirs, kBad);
}

TEST_F(Watch, NobodyIsToldWhenNoValueCanHaveAMajority) {
  Pass(watch, 1, kGood);
  watch.OnReport(NodeId{2}, {PointAt(1), kBad});
  watch.OnReport(NodeId{3}, {PointAt(1), kOther});
  const DigestWatch::Findings findings = watch.Compare(Voters({1, 2, 3}), Ms(0));
  EXPECT_TRUE(findings.verdicts.empty());
  EXPECT_FALSE(findings.own.has_value());
  ASSERT_TRUE(findings.alarm.has_value());
  EXPECT_EQ(findings.alarm->index, PointAt(1));
  EXPECT_EQ(findings.alarm->values, Of({{1, kGood}, {2, kBad}, {3, kOther}}));
  EXPECT_EQ(watch.alarms(), 1u);
  watch.OnReport(NodeId{3}, {PointAt(1), kOther});
  EXPECT_FALSE(watch.Compare(Voters({1, 2, 3}), Ms(120'000)).alarm.has_value()) << "once a point";
}

TEST_F(Watch, WaitsAWhileForVotersWhoCouldMakeAMajority) {
  Pass(watch, 1, kGood);
  watch.OnReport(NodeId{2}, {PointAt(1), kBad});
  EXPECT_FALSE(watch.Compare(Voters({1, 2, 3}), Ms(10)).alarm.has_value());
  EXPECT_FALSE(
      watch.Compare(Voters({1, 2, 3}), Ms(9 + DigestWatch::kPatienceMs)).alarm.has_value());
  EXPECT_TRUE(
      watch.Compare(Voters({1, 2, 3}), Ms(10 + DigestWatch::kPatienceMs)).alarm.has_value());
  // Better late than never.
  watch.OnReport(NodeId{3}, {PointAt(1), kGood});
  EXPECT_EQ(watch.Compare(Voters({1, 2, 3}), Ms(20'000)).verdicts.size(), 2u);
  EXPECT_EQ(watch.alarms(), 1u);
}

TEST_F(Watch, AlarmsAreCountedEachAndToldOnceAMinute) {
  for (uint64_t n = 1; n <= 3; ++n) {
    Pass(watch, n, kGood);
    watch.OnReport(NodeId{2}, {PointAt(n), kBad});
  }
  EXPECT_TRUE(watch.Compare(Voters({1, 2}), Ms(0)).alarm.has_value());
  EXPECT_EQ(watch.alarms(), 3u);
  for (const int64_t ms : {DigestWatch::kWarningMs - 1, DigestWatch::kWarningMs}) {
    const auto n = static_cast<uint64_t>(10 + ms);
    Pass(watch, n, kGood);
    watch.OnReport(NodeId{2}, {PointAt(n), kBad});
    EXPECT_EQ(watch.Compare(Voters({1, 2}), Ms(ms)).alarm.has_value(),
              ms == DigestWatch::kWarningMs);
  }
  EXPECT_EQ(watch.alarms(), 5u);
}

TEST_F(Watch, WhoIsNoMemberIsNotLookedAt) {
  Pass(watch, 1, kGood);
  for (const uint64_t node : {7u, 8u, 9u}) watch.OnReport(NodeId{node}, {PointAt(1), kBad});
  DigestWatch::Findings findings = watch.Compare(Voters({1, 2, 3}), Ms(0));
  EXPECT_TRUE(findings.verdicts.empty());
  EXPECT_FALSE(findings.alarm.has_value());
  watch.OnReport(NodeId{2}, {PointAt(1), kGood});
  findings = watch.Compare(Voters({1, 2, 3}), Ms(60'000));
  ASSERT_EQ(findings.verdicts.size(), 1u);
  EXPECT_EQ(findings.verdicts[0].to, NodeId{2});
  EXPECT_EQ(watch.alarms(), 0u);
}

TEST_F(Watch, ALearnerIsToldAndNeverDecides) {
  raft::Configuration configuration = Voters({1, 2, 3});
  configuration.learners = Ids({4, 5, 6});
  Pass(watch, 1, kBad);
  for (const uint64_t node : {4u, 5u, 6u}) watch.OnReport(NodeId{node}, {PointAt(1), kGood});
  DigestWatch::Findings findings = watch.Compare(configuration, Ms(0));
  EXPECT_TRUE(findings.verdicts.empty());
  EXPECT_FALSE(findings.own.has_value());
  watch.OnReport(NodeId{2}, {PointAt(1), kBad});
  findings = watch.Compare(configuration, Ms(1));
  EXPECT_EQ(findings.verdicts.size(), 4u);
  EXPECT_FALSE(findings.own.has_value());
}

TEST_F(Watch, KeepsTheReportsOfTheNewestPointsAndOfOneOffice) {
  for (uint64_t n = 1; n <= DigestWatch::kPointsKept + 1; ++n) {
    watch.OnReport(NodeId{2}, {PointAt(n), kGood});
  }
  watch.OnReport(NodeId{3}, {PointAt(1), kGood});  // 2's is forgotten
  EXPECT_TRUE(watch.Compare(Voters({2, 3, 4}), Ms(0)).verdicts.empty());
  watch.OnReport(NodeId{3}, {PointAt(2), kGood});
  EXPECT_EQ(watch.Compare(Voters({2, 3, 4}), Ms(0)).verdicts.size(), 2u);
  watch.BeginOffice();
  watch.OnReport(NodeId{4}, {PointAt(3), kGood});
  EXPECT_TRUE(watch.Compare(Voters({2, 3, 4}), Ms(0)).verdicts.empty()) << "2's was of before";
}

// ---- The wire

FrameView Decode(FrameDecoder& decoder, const std::string& bytes) {
  decoder.Feed(bytes);
  FrameView frame;
  EXPECT_EQ(decoder.Next(&frame), FrameDecoder::Result::kFrame);
  return frame;
}

TEST(DigestWire, ReportsAndVerdictsComeBackAsTheyWere) {
  for (const auto kind : {DigestMessage::Kind::kReport, DigestMessage::Kind::kVerdict}) {
    const DigestMessage message{.from = NodeId{1},
                                .to = NodeId{2},
                                .term = Term{3},
                                .kind = kind,
                                .point = {Index{4}, {.high = 5, .low = 6}}};
    Outbox outbox;
    SendDigestMessage(message, PeerLinkId{3}, outbox);
    const NodeActions actions = outbox.Take(kNeverLocal);
    FrameDecoder decoder(kPeerFrameBytesMax);
    const FrameView frame = Decode(decoder, actions.peers.at(0).bytes);
    EXPECT_TRUE(IsDigestFrame(frame.header.opcode));
    const auto parsed = ParseDigestMessage(NodeId{1}, NodeId{2}, frame);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, message);
  }
}

TEST(DigestWire, DigestsMadeInAnotherWayAreNotCompared) {
  pb::DigestPoint wire;
  wire.set_digest_version(state::kDigestVersion + 1);
  const std::string bytes = wire.SerializeAsString();
  FrameView frame;
  frame.header.opcode = Opcode::kDigestReport;
  frame.payload = bytes;
  const auto parsed = ParseDigestMessage(NodeId{1}, NodeId{2}, frame);
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->has_value());
  frame.payload = "\xff\xff\xff";
  EXPECT_FALSE(ParseDigestMessage(NodeId{1}, NodeId{2}, frame).ok());
}

}  // namespace
}  // namespace lockd::node
