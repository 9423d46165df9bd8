// Acquires and releases on a working link: outcomes, waits, cancels, limits, the window.
#include "tests/client/session_harness.h"

namespace lockd::client {
namespace {

TEST(SessionAcquire, GrantsWithTokenAndFenceFloor) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("resource", 250, 0);
  const auto request = harness.Take<pb::AcquireRequest>();
  EXPECT_EQ(request.message.name(), "resource");
  EXPECT_EQ(request.message.mode(), pb::LOCK_MODE_EXCLUSIVE);
  EXPECT_EQ(request.message.wait_ms(), 250);
  EXPECT_EQ(request.message.mutation().session_id(), SessionHarness::kSession);
  EXPECT_EQ(request.message.mutation().sequence(), 1u);
  EXPECT_FALSE(harness.IsDone(acquire));
  harness.Grant(request, 42);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kGranted);
  EXPECT_EQ(harness.Done(acquire).token, FencingToken(42));
  EXPECT_EQ(harness.Done(acquire).fence_floor, FencingToken(42));
  EXPECT_TRUE(harness.IsHeld(acquire));
}

TEST(SessionAcquire, MayBeCalledBeforeTheSessionIsOpen) {
  SessionHarness harness;
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  harness.Open();
  harness.Grant(harness.Take<pb::AcquireRequest>(), 1);
  EXPECT_TRUE(harness.IsHeld(acquire));
}

TEST(SessionAcquire, ReleaseNamesTheToken) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 42);
  EXPECT_TRUE(harness.Release(hold));
  EXPECT_FALSE(harness.IsHeld(hold));  // from the call on
  const auto request = harness.Take<pb::ReleaseRequest>();
  EXPECT_EQ(request.message.name(), "a");
  EXPECT_EQ(request.message.token(), 42u);
  EXPECT_EQ(request.message.mutation().sequence(), 2u);
  EXPECT_EQ(request.message.mutation().acknowledged_through(), 1u);
  EXPECT_EQ(harness.ReleaseDone(hold), std::nullopt);
  harness.ReleaseReply(request);
  EXPECT_EQ(harness.ReleaseDone(hold), ReleaseStatus::kReleased);
  EXPECT_FALSE(harness.HoldIsLost(hold));
  EXPECT_TRUE(harness.fsm().IsIdle());
}

TEST(SessionAcquire, AStaleReleaseSaysThatNothingWasHeld) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 42);
  harness.Release(hold);
  harness.ReleaseReply(harness.Take<pb::ReleaseRequest>(), pb::RELEASE_RESULT_STALE);
  EXPECT_EQ(harness.ReleaseDone(hold), ReleaseStatus::kNotHeld);
}

TEST(SessionAcquire, ATwiceReleasedHoldIsReleasedOnce) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 42);
  EXPECT_TRUE(harness.Release(hold));
  EXPECT_FALSE(harness.Release(hold));
  harness.Take<pb::ReleaseRequest>();
  EXPECT_TRUE(harness.NothingSent());
}

TEST(SessionAcquire, EachFinalResultHasItsStatus) {
  struct Row {
    int64_t wait_ms;
    pb::AcquireResult result;
    AcquireStatus status;
  };
  const Row rows[] = {
      {0, pb::ACQUIRE_RESULT_BUSY, AcquireStatus::kBusy},
      {100, pb::ACQUIRE_RESULT_BUSY, AcquireStatus::kTimedOut},
      {100, pb::ACQUIRE_RESULT_TIMED_OUT, AcquireStatus::kTimedOut},
      {100, pb::ACQUIRE_RESULT_CANCELLED, AcquireStatus::kCancelled},
      {100, pb::ACQUIRE_RESULT_LIMIT, AcquireStatus::kLimit},
  };
  SessionHarness harness;
  harness.Open();
  for (const Row& row : rows) {
    const OperationId acquire = harness.Acquire("a", row.wait_ms);
    harness.AcquireReply(harness.Take<pb::AcquireRequest>(), row.result);
    EXPECT_EQ(harness.Done(acquire).status, row.status) << row.result;
  }
  EXPECT_TRUE(harness.fsm().IsIdle());
}

TEST(SessionAcquire, AQueuedOneIsGrantedByAPushAndItsOutcomeAcknowledgedOnce) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  const auto request = harness.Take<pb::AcquireRequest>();
  harness.AcquireReply(request, pb::ACQUIRE_RESULT_QUEUED);
  EXPECT_FALSE(harness.IsDone(acquire));
  harness.Outcome(request.message.mutation().sequence(), pb::ACQUIRE_RESULT_GRANTED, 8);
  EXPECT_EQ(harness.Done(acquire).token, FencingToken(8));
  harness.Acquire("b", 0);
  const auto next = harness.Take<pb::AcquireRequest>().message.mutation();
  EXPECT_THAT(next.acknowledged_acquire_ids(), testing::ElementsAre(1));
  // A queued acquire is answered for this purpose: a long wait does not hold back what follows.
  EXPECT_EQ(next.acknowledged_through(), 1u);
  harness.Acquire("c", 0);
  EXPECT_THAT(harness.Take<pb::AcquireRequest>().message.mutation().acknowledged_acquire_ids(),
              testing::IsEmpty());
}

TEST(SessionAcquire, TheOutcomeMayOvertakeTheQueuedReply) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  const auto request = harness.Take<pb::AcquireRequest>();
  harness.Outcome(1, pb::ACQUIRE_RESULT_GRANTED, 8);
  EXPECT_TRUE(harness.IsHeld(acquire));
  harness.AcquireReply(request, pb::ACQUIRE_RESULT_QUEUED);
  EXPECT_TRUE(harness.IsHeld(acquire));
  EXPECT_TRUE(harness.dialed().has_value());
}

TEST(SessionAcquire, ARepeatedOutcomeIsAcknowledgedAgain) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Outcome(1, pb::ACQUIRE_RESULT_GRANTED, 8);
  harness.Acquire("b", 0);
  harness.Take<pb::AcquireRequest>();
  harness.Outcome(1, pb::ACQUIRE_RESULT_GRANTED, 8);
  harness.Acquire("c", 0);
  EXPECT_THAT(harness.Take<pb::AcquireRequest>().message.mutation().acknowledged_acquire_ids(),
              testing::ElementsAre(1));
}

TEST(SessionAcquire, KeepAlivesCarryAcknowledgementsToo) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Outcome(1, pb::ACQUIRE_RESULT_GRANTED, 8);
  harness.Advance(3'334);
  EXPECT_THAT(harness.Take<pb::KeepAliveRequest>().message.acknowledged_acquire_ids(),
              testing::ElementsAre(1));
}

// ---- Nobody waits any more

TEST(SessionCancel, BeforeTheRequestLeftNothingIsSent) {
  SessionHarness harness;
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  harness.Cancel(acquire);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kCancelled);
  harness.Open();
  EXPECT_TRUE(harness.NothingSent());
  EXPECT_TRUE(harness.fsm().IsIdle());
}

TEST(SessionCancel, CompletesAtOnceAndCancelsAtTheServer) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Cancel(acquire);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kCancelled);
  const auto cancel = harness.Take<pb::CancelRequest>();
  EXPECT_EQ(cancel.message.acquire_id(), 1u);
  EXPECT_FALSE(harness.fsm().IsIdle());
  pb::CancelReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_result(pb::CANCEL_RESULT_CANCELLED);
  harness.Reply(Opcode::kCancel, cancel.request_id, reply);
  EXPECT_TRUE(harness.fsm().IsIdle());
  harness.Acquire("b", 0);
  EXPECT_THAT(harness.Take<pb::AcquireRequest>().message.mutation().acknowledged_acquire_ids(),
              testing::ElementsAre(1));
}

TEST(SessionCancel, AGrantThatComesAfterItIsReleased) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  const auto request = harness.Take<pb::AcquireRequest>();
  harness.Cancel(acquire);
  const auto cancel = harness.Take<pb::CancelRequest>();
  harness.Grant(request, 42);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kCancelled);
  EXPECT_FALSE(harness.IsHeld(acquire));
  const auto release = harness.Take<pb::ReleaseRequest>();
  EXPECT_EQ(release.message.token(), 42u);
  pb::CancelReply too_late;
  *too_late.mutable_stamp() = harness.stamp();
  too_late.set_result(pb::CANCEL_RESULT_TOO_LATE);
  *too_late.mutable_outcome() = SessionHarness::MakeOutcome(1, pb::ACQUIRE_RESULT_GRANTED, 42);
  harness.Reply(Opcode::kCancel, cancel.request_id, too_late);
  EXPECT_TRUE(harness.NothingSent());  // one release is enough
  harness.ReleaseReply(release);
  EXPECT_TRUE(harness.fsm().IsIdle());
}

TEST(SessionCancel, AGrantThatOnlyTheCancelTellsOfIsReleased) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Cancel(acquire);
  const auto cancel = harness.Take<pb::CancelRequest>();
  pb::CancelReply too_late;
  *too_late.mutable_stamp() = harness.stamp();
  too_late.set_result(pb::CANCEL_RESULT_TOO_LATE);
  *too_late.mutable_outcome() = SessionHarness::MakeOutcome(1, pb::ACQUIRE_RESULT_GRANTED, 42);
  harness.Reply(Opcode::kCancel, cancel.request_id, too_late);
  EXPECT_EQ(harness.Take<pb::ReleaseRequest>().message.token(), 42u);
}

TEST(SessionCancel, AGrantInTheSameTurnBeforeItWins) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.AcquireAndGrant("a", 42);
  harness.Cancel(acquire);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kGranted);
  EXPECT_TRUE(harness.IsHeld(acquire));
}

TEST(SessionTimeout, ATryWithoutALeaderIsUnavailable) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  const OperationId acquire = harness.Acquire("a", 0);
  harness.Advance(4'999);
  EXPECT_FALSE(harness.IsDone(acquire));
  harness.Advance(1);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kUnavailable);
}

TEST(SessionTimeout, AQueuedWaitEndsByTheClientsClockWhenNoAnswerComes) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 1'000);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Disconnect();
  harness.Advance(1'499);
  EXPECT_FALSE(harness.IsDone(acquire));
  harness.Advance(1);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kTimedOut);
}

TEST(SessionTimeout, AGrantThatComesAfterItIsReleased) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 1'000);
  harness.Take<pb::AcquireRequest>();
  harness.Disconnect();  // before an answer
  harness.Advance(1'500);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kUnavailable);
  // A leader is found at last. The request had been executed: it was granted meanwhile.
  harness.AttachReply(harness.Redial(), 2,
                      {SessionHarness::MakeOutcome(1, pb::ACQUIRE_RESULT_GRANTED, 42)});
  EXPECT_EQ(harness.TakeNext<pb::ReleaseRequest>().message.token(), 42u);
  EXPECT_FALSE(harness.IsHeld(acquire));
}

TEST(SessionTimeout, TheWaitAtTheServerIsWhatIsLeftOfTheCallersWait) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  harness.Acquire("a", 3'000);
  harness.Advance(1'000);
  harness.AttachReply(harness.Redial(), 2);
  EXPECT_EQ(harness.Take<pb::AcquireRequest>().message.wait_ms(), 2'000);
}

TEST(SessionTimeout, AnUnansweredReleaseGoesOnAfterItsCallerHasLeft) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 42);
  harness.Disconnect();
  harness.Release(hold);
  harness.Advance(5'000);
  EXPECT_EQ(harness.ReleaseDone(hold), ReleaseStatus::kUnavailable);
  harness.AttachReply(harness.Redial(), 2);
  const auto release = harness.TakeNext<pb::ReleaseRequest>();
  EXPECT_EQ(release.message.token(), 42u);
  harness.ReleaseReply(release);
  EXPECT_EQ(harness.fsm().hold_count(), 0u);
}

// ---- Limits

TEST(SessionLimits, NamesAndDurationsAreChecked) {
  SessionHarness harness;
  harness.Open();
  EXPECT_EQ(harness.Done(harness.Acquire("", 0)).status, AcquireStatus::kInvalid);
  EXPECT_EQ(harness.Done(harness.Acquire(std::string(1'025, 'x'), 0)).status,
            AcquireStatus::kInvalid);
  EXPECT_EQ(harness.Done(harness.Acquire("a", -2)).status, AcquireStatus::kInvalid);
  EXPECT_EQ(harness.Done(harness.Acquire("a", 0, -1)).status, AcquireStatus::kInvalid);
  EXPECT_TRUE(harness.NothingSent());
  harness.Acquire(std::string(1'024, '\0'), 0);
  harness.Take<pb::AcquireRequest>();
}

TEST(SessionLimits, AFullWindowQueuesHereAndKeepsRoomForReleases) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("held", 1);
  for (int i = 0; i < 1'100; ++i) harness.Acquire("a", kWaitForever);
  const size_t sent = harness.sent_count();
  EXPECT_GT(sent, 900u);
  EXPECT_LT(sent, 1'024u);
  harness.Release(hold);
  EXPECT_EQ(harness.sent_count(), sent + 1);

  // Each answer moves the window by one; the first one makes up for the release.
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  EXPECT_EQ(harness.sent_count(), sent);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  EXPECT_EQ(harness.sent_count(), sent);
}

TEST(SessionLimits, ASequenceNeverLeavesTheWindow) {
  SessionHarness harness;
  harness.Open();
  // One request stays unanswered while all others are answered at once.
  harness.Acquire("slow", 0);
  harness.Take<pb::AcquireRequest>();
  uint64_t last = 0;
  for (int i = 0; i < 2'000; ++i) {
    harness.Acquire("a", 0);
    if (harness.NothingSent()) break;
    const auto request = harness.Take<pb::AcquireRequest>();
    EXPECT_EQ(request.message.mutation().acknowledged_through(), 0u);
    last = request.message.mutation().sequence();
    harness.AcquireReply(request, pb::ACQUIRE_RESULT_BUSY);
  }
  EXPECT_GT(last, 900u);
  EXPECT_LE(last, 1'024u);
}

TEST(SessionLimits, TheServersInFlightLimitIsKept) {
  SessionHarness harness;
  harness.Connect();
  pb::ServerHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version(1);
  hello.set_requests_in_flight_max(32);
  harness.Take<pb::ClientHello>();
  harness.Reply(Opcode::kHello, 0, hello);
  harness.OpenReply();
  for (int i = 0; i < 100; ++i) harness.Acquire("a", 0);
  EXPECT_GT(harness.sent_count(), 10u);
  EXPECT_LE(harness.sent_count(), 32u);
}

TEST(SessionLimits, PendingOperationsAreBounded) {
  SessionConfig config = SessionHarness::Config();
  config.pending_operations_max = 3;
  SessionHarness harness(config);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(harness.IsDone(harness.Acquire("a", 0)));
  const AcquireDone refused = harness.Done(harness.Acquire("a", 0));
  EXPECT_EQ(refused.status, AcquireStatus::kLimit);
  EXPECT_THAT(refused.message, testing::HasSubstr("pending_operations_max"));
}

TEST(SessionLimits, ResourceExhaustedIsRepeatedAfterTheGivenTimeUnderTheSameSequence) {
  SessionHarness harness;
  harness.Open();
  const OperationId first = harness.Acquire("a", 0);
  const auto request = harness.Take<pb::AcquireRequest>();
  harness.Error(Opcode::kAcquire, request.request_id, pb::ERROR_CODE_RESOURCE_EXHAUSTED, "", 300);
  EXPECT_FALSE(harness.IsDone(first));
  harness.Acquire("b", 0);  // waits behind it
  harness.Advance(299);
  EXPECT_TRUE(harness.NothingSent());
  harness.Advance(1);
  EXPECT_EQ(harness.Take<pb::AcquireRequest>().message.mutation().sequence(), 1u);
  EXPECT_EQ(harness.Take<pb::AcquireRequest>().message.name(), "b");
}

TEST(SessionLimits, AcquiresThatAreHeldBackDoNotHoldUpReleases) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("held", 1);
  harness.Acquire("a", 0);
  harness.Error(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id,
                pb::ERROR_CODE_RESOURCE_EXHAUSTED, "", 1'000);
  harness.Release(hold);
  harness.Take<pb::ReleaseRequest>();
}

TEST(SessionLimits, AReplicatedLimitIsAnAnswer) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  pb::AcquireReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_result(pb::ACQUIRE_RESULT_LIMIT);
  reply.set_limit_name("locks_max");
  reply.set_retry_after_ms(700);
  harness.Reply(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id, reply);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kLimit);
  EXPECT_EQ(harness.Done(acquire).retry_after_ms, 700);
  EXPECT_THAT(harness.Done(acquire).message, testing::HasSubstr("locks_max"));
}

TEST(SessionLimits, AnInvalidRequestIsAnAnswer) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  harness.Error(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id,
                pb::ERROR_CODE_INVALID_ARGUMENT);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kInvalid);
  EXPECT_TRUE(harness.fsm().IsIdle());
}

TEST(SessionLimits, ARefusedSequenceEndsTheSession) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  harness.Error(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id,
                pb::ERROR_CODE_BAD_SEQUENCE);
  EXPECT_TRUE(harness.session_lost());
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kSessionLost);
}

TEST(SessionLimits, EndedWaitersDoNotPileUp) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  for (int i = 0; i < 10'000; ++i) harness.Cancel(harness.Acquire("a", 0));
  EXPECT_TRUE(harness.fsm().IsIdle());
}

}  // namespace
}  // namespace lockd::client
