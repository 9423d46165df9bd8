// A server that lies, babbles, or speaks from the past. The session leaves it; it never crashes,
// and never believes more than an honest leader could have told it.
#include "protocol/base/random.h"
#include "tests/client/session_harness.h"

namespace lockd::client {
namespace {

TEST(SessionHostile, GarbageClosesTheLinkInEveryState) {
  const std::string garbage = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
  {
    SessionHarness harness;
    harness.Connect();
    harness.FeedRaw(garbage);
    EXPECT_FALSE(harness.dialed().has_value());
  }
  {
    SessionHarness harness;
    harness.Connect();
    harness.Hello();
    harness.FeedRaw(garbage);
    EXPECT_FALSE(harness.dialed().has_value());
  }
  {
    SessionHarness harness;
    harness.Open();
    harness.FeedRaw(garbage);
    EXPECT_FALSE(harness.dialed().has_value());
  }
}

TEST(SessionHostile, AHelloOfAnotherKindClosesTheLink) {
  for (const bool wrong_magic : {true, false}) {
    SessionHarness harness;
    harness.Connect();
    pb::ServerHello hello;
    hello.set_magic(wrong_magic ? kPeerMagic : kClientMagic);
    hello.set_version(wrong_magic ? 1 : 99);
    harness.Reply(Opcode::kHello, 0, hello);
    EXPECT_FALSE(harness.dialed().has_value());
  }
}

TEST(SessionHostile, AStampThatGoesBackwardsIsRefused) {
  struct Row {
    const char* what;
    int term, index, time;
  };
  for (const Row& row : {Row{"term", -1, 0, 0}, Row{"index", 0, -50, 0}, Row{"time", 0, 0, -50}}) {
    SessionHarness harness;
    harness.Open();
    const OperationId hold = harness.AcquireAndGrant("a", 1);
    const LocalTime before = harness.fsm().lease().deadline();
    harness.Advance(3'334);
    pb::Stamp& stamp = harness.stamp();
    stamp.set_term(stamp.term() + static_cast<uint64_t>(row.term));
    stamp.set_applied_index(stamp.applied_index() + static_cast<uint64_t>(row.index));
    stamp.set_cluster_time_ms(stamp.cluster_time_ms() + row.time);
    harness.KeepAliveReply(harness.Take<pb::KeepAliveRequest>());
    EXPECT_FALSE(harness.dialed().has_value()) << row.what;
    EXPECT_EQ(harness.fsm().lease().deadline(), before) << row.what;
    EXPECT_TRUE(harness.IsHeld(hold)) << row.what;
  }
}

TEST(SessionHostile, AReplyWithoutAStampIsRefused) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  pb::AcquireReply reply;
  reply.set_result(pb::ACQUIRE_RESULT_GRANTED);
  reply.mutable_grant()->set_token(9);
  harness.Reply(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id, reply);
  EXPECT_FALSE(harness.IsDone(acquire));
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionHostile, AGrantWithoutATokenIsRefused) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  harness.Grant(harness.Take<pb::AcquireRequest>(), 0);
  EXPECT_FALSE(harness.IsDone(acquire));
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionHostile, AnAnswerOfAnotherKindIsRefused) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", 0);
  pb::ReleaseReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_result(pb::RELEASE_RESULT_RELEASED);
  harness.Reply(Opcode::kRelease, harness.Take<pb::AcquireRequest>().request_id, reply);
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionHostile, AnAnswerToNoRequestDoesNothing) {
  SessionHarness harness;
  harness.Open();
  pb::AcquireReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_result(pb::ACQUIRE_RESULT_GRANTED);
  reply.mutable_grant()->set_token(9);
  harness.Reply(Opcode::kAcquire, RequestWindow::RequestId(Sequence(1)), reply);
  EXPECT_EQ(harness.fsm().hold_count(), 0u);
}

TEST(SessionHostile, AnOutcomeOfAnAcquireThatWasNeverAskedForIsRefused) {
  SessionHarness harness;
  harness.Open();
  harness.Outcome(5, pb::ACQUIRE_RESULT_GRANTED, 9);
  EXPECT_EQ(harness.fsm().hold_count(), 0u);
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionHostile, TheEndOfAnotherSessionIsNotTheEndOfThisOne) {
  SessionHarness harness;
  harness.Open();
  pb::SessionEnded ended;
  ended.set_session_id(SessionHarness::kSession + 1);
  harness.Push(Opcode::kSessionEnded, ended);
  EXPECT_FALSE(harness.session_lost());
}

TEST(SessionHostile, EndlessRetryTimesAreBounded) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", kWaitForever);
  harness.Error(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id,
                pb::ERROR_CODE_RESOURCE_EXHAUSTED, "", 0xffffffffu);
  harness.KeepAliveReply([&] {
    harness.Advance(3'334);
    return harness.Take<pb::KeepAliveRequest>();
  }());
  EXPECT_LE(harness.next_wakeup() - harness.now(), 10'000 * kNanosPerMilli);
}

TEST(SessionHostile, HugeNumbersInAGrantDoNotOverflow) {
  for (const int64_t hold_deadline : {std::numeric_limits<int64_t>::max(), int64_t{1}}) {
    for (const int64_t granted :
         {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
      SessionHarness harness;
      harness.Open();
      const OperationId acquire = harness.Acquire("a", 0, 1'000);
      pb::AcquireReply reply;
      *reply.mutable_stamp() = harness.stamp();
      reply.set_result(pb::ACQUIRE_RESULT_GRANTED);
      reply.mutable_grant()->set_token(9);
      reply.mutable_grant()->set_granted_time_ms(granted);
      reply.mutable_grant()->set_hold_deadline_ms(hold_deadline);
      harness.Reply(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id, reply);
      // Believed for as long as was asked for at most.
      EXPECT_FALSE(harness.fsm().IsHeld(acquire, harness.now() + 1'100 * kNanosPerMilli));
    }
  }
}

// Mutated honest frames and random ones, in all states. Nothing to expect but that it lives, and
// that its deadline never lies beyond what its own transmissions allow.
TEST(SessionHostile, SurvivesMutatedFrames) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    SessionConfig config = SessionHarness::Config();
    config.grace_ms = random.Chance(1, 2) ? 3'000 : 0;
    SessionHarness harness(config);
    harness.Open();
    harness.AcquireAndGrant("a", 1);
    for (int step = 0; step < 60 && !harness.session_lost(); ++step) {
      harness.Acquire("b", random.Chance(1, 2) ? 0 : 1'000);
      if (!harness.dialed().has_value()) {
        harness.Advance(50);
        continue;
      }
      if (harness.fsm().server_address().empty() || random.Chance(1, 4)) {
        harness.fsm().OnConnected(harness.now(), harness.dialed()->link);
        harness.Turn();
        if (harness.dialed().has_value() && random.Chance(3, 4)) harness.Hello();
      }
      if (!harness.dialed().has_value()) continue;
      static constexpr Opcode kOpcodes[] = {
          Opcode::kHello,     Opcode::kReason, Opcode::kOpenSession,    Opcode::kAttachSession,
          Opcode::kKeepAlive, Opcode::kPing,   Opcode::kReconcile,      Opcode::kAcquire,
          Opcode::kRelease,   Opcode::kCancel, Opcode::kAcquireOutcome, Opcode::kSessionEnded,
          Opcode::kNotLeader, Opcode::kGetLock};
      FrameHeader header;
      header.opcode = kOpcodes[random.Below(std::size(kOpcodes))];
      header.flags = static_cast<uint8_t>(random.Below(4));
      header.request_id = static_cast<uint32_t>(
          random.Chance(1, 2) ? random.Below(8) : 0x40000000u | random.Below(8));
      std::string payload;
      if (random.Chance(1, 2)) {
        pb::AttachSessionReply plausible;
        *plausible.mutable_stamp() = harness.stamp();
        plausible.set_epoch(random.Below(5));
        *plausible.add_outcomes() =
            SessionHarness::MakeOutcome(random.Below(4), pb::ACQUIRE_RESULT_GRANTED, 3);
        payload = plausible.SerializeAsString();
      }
      const size_t noise = static_cast<size_t>(random.Below(24));
      for (size_t i = 0; i < noise; ++i) {
        payload.push_back(static_cast<char>(random.Below(256)));
      }
      std::string bytes;
      AppendFrame(bytes, header, payload);
      if (random.Chance(1, 10)) bytes[random.Below(bytes.size())] ^= 1;
      harness.FeedRaw(bytes);
      harness.Advance(static_cast<int64_t>(random.Below(400)));
      EXPECT_LE(harness.fsm().lease().deadline(), harness.now() + 10'000 * kNanosPerMilli);
    }
  }
}

}  // namespace
}  // namespace lockd::client
