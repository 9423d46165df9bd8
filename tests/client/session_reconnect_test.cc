// What a session sends again after a reconnect, and in which order.
//
//   attach ─► reconcile ─► unanswered requests by sequence ─► cancels, releases ─► new acquires
#include "tests/client/session_harness.h"

namespace lockd::client {
namespace {

TEST(SessionReconnect, RepeatsUnansweredRequestsInOrderBeforeNewOnes) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("held", 1);  // sequence 1
  const OperationId first = harness.Acquire("first", 0);        // 2
  harness.Release(hold);                                        // 3
  const OperationId second = harness.Acquire("second", 500);    // 4
  harness.Disconnect();
  harness.Acquire("new", 0);
  harness.AttachReply(harness.Redial(), 2);

  const auto reconcile = harness.Take<pb::ReconcileRequest>();
  EXPECT_EQ(reconcile.message.mutation().sequence(), 5u);
  EXPECT_EQ(reconcile.message.mutation().acknowledged_through(), 1u);
  const auto again_first = harness.Take<pb::AcquireRequest>();
  EXPECT_EQ(again_first.message.mutation().sequence(), 2u);
  EXPECT_EQ(again_first.message.name(), "first");
  EXPECT_EQ(harness.Take<pb::ReleaseRequest>().message.mutation().sequence(), 3u);
  const auto again_second = harness.Take<pb::AcquireRequest>();
  EXPECT_EQ(again_second.message.mutation().sequence(), 4u);
  EXPECT_EQ(again_second.message.wait_ms(), 500);  // the same request, not a new one
  const auto fresh = harness.Take<pb::AcquireRequest>();
  EXPECT_EQ(fresh.message.mutation().sequence(), 6u);
  EXPECT_EQ(fresh.message.name(), "new");

  harness.Grant(again_first, 5);
  harness.Grant(again_second, 6);
  EXPECT_TRUE(harness.IsHeld(first));
  EXPECT_TRUE(harness.IsHeld(second));
}

TEST(SessionReconnect, NothingIsRepeatedBeforeTheAttachIsAnswered) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", 0);
  harness.Disconnect();
  harness.Redial();
  EXPECT_TRUE(harness.NothingSent());
}

TEST(SessionReconnect, ReconcileListsWhatIsWantedWaitingHeldOrBeingReleased) {
  SessionHarness harness;
  harness.Open();
  harness.AcquireAndGrant("held", 1);                                     // 1
  const OperationId releasing = harness.AcquireAndGrant("releasing", 2);  // 2
  const OperationId released = harness.AcquireAndGrant("released", 3);    // 3
  harness.Release(released);                                              // 4
  harness.ReleaseReply(harness.Take<pb::ReleaseRequest>());
  harness.Acquire("queued", kWaitForever);  // 5
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  const OperationId cancelled = harness.Acquire("cancelled", kWaitForever);  // 6
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Cancel(cancelled);  // 7
  harness.Take<pb::CancelRequest>();
  harness.Acquire("unanswered", 0);  // 8
  harness.Take<pb::AcquireRequest>();
  harness.Release(releasing);  // 9
  harness.Take<pb::ReleaseRequest>();
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 2);
  const auto reconcile = harness.Take<pb::ReconcileRequest>();
  EXPECT_EQ(reconcile.message.after(), 0u);
  EXPECT_EQ(reconcile.message.watermark(), 9u);
  EXPECT_THAT(reconcile.message.live_acquire_ids(), testing::ElementsAre(1, 2, 5, 8));
}

TEST(SessionReconnect, AnUnansweredReconcileIsRepeatedAndNotDoubled) {
  SessionHarness harness;
  harness.Open();
  harness.AcquireAndGrant("held", 1);
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 2);
  const auto first = harness.Take<pb::ReconcileRequest>();
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 3);
  const auto second = harness.Take<pb::ReconcileRequest>();
  EXPECT_EQ(second.message.mutation().sequence(), first.message.mutation().sequence());
  EXPECT_EQ(second.message.watermark(), first.message.watermark());
  EXPECT_TRUE(harness.NothingSent());

  pb::ReconcileReply reply;
  *reply.mutable_stamp() = harness.stamp();
  harness.Reply(Opcode::kReconcile, second.request_id, reply);
  EXPECT_TRUE(harness.fsm().IsIdle());
  // Answered: the next attach says it anew.
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 4);
  EXPECT_GT(harness.Take<pb::ReconcileRequest>().message.mutation().sequence(),
            first.message.mutation().sequence());
}

TEST(SessionReconnect, ManyLiveAcquiresComeInAdjoiningRanges) {
  SessionHarness harness;
  harness.Open();
  constexpr uint64_t kHolds = 20'000;
  for (uint64_t i = 1; i <= kHolds; ++i) harness.AcquireAndGrant("a", i);
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 2);
  uint64_t after = 0;
  uint64_t ids = 0;
  while (after < kHolds) {
    const auto reconcile = harness.Take<pb::ReconcileRequest>();
    ASSERT_EQ(reconcile.message.after(), after);
    ASSERT_GT(reconcile.message.watermark(), after);
    ASSERT_LE(reconcile.message.live_acquire_ids_size(), 8'192);
    for (const uint64_t id : reconcile.message.live_acquire_ids()) {
      EXPECT_GT(id, after);
      EXPECT_LE(id, reconcile.message.watermark());
      ++ids;
    }
    after = reconcile.message.watermark();
  }
  EXPECT_EQ(ids, kHolds);
  EXPECT_TRUE(harness.NothingSent());
}

// L-37
TEST(SessionReconnect, OutcomesOfTheAttachCompleteWhatWaited) {
  SessionHarness harness;
  harness.Open();
  const OperationId queued = harness.Acquire("queued", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  const OperationId unanswered = harness.Acquire("unanswered", 100);
  harness.Take<pb::AcquireRequest>();
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 2,
                      {SessionHarness::MakeOutcome(1, pb::ACQUIRE_RESULT_GRANTED, 7),
                       SessionHarness::MakeOutcome(2, pb::ACQUIRE_RESULT_TIMED_OUT)});
  EXPECT_TRUE(harness.IsHeld(queued));
  EXPECT_EQ(harness.Done(unanswered).status, AcquireStatus::kTimedOut);
  // Its request needs no answer any more: it is not repeated, and the window has moved on.
  const auto reconcile = harness.Take<pb::ReconcileRequest>();
  EXPECT_THAT(reconcile.message.live_acquire_ids(), testing::ElementsAre(1));
  EXPECT_EQ(reconcile.message.mutation().acknowledged_through(), 2u);
  EXPECT_TRUE(harness.NothingSent());
  harness.Acquire("next", 0);
  EXPECT_THAT(harness.Take<pb::AcquireRequest>().message.mutation().acknowledged_acquire_ids(),
              testing::UnorderedElementsAre(1, 2));
}

TEST(SessionReconnect, AnOutcomeMayOvertakeTheAnswerToTheAttach) {
  SessionHarness harness;
  harness.Open();
  const OperationId queued = harness.Acquire("queued", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Disconnect();
  const auto attach = harness.Redial();
  harness.Outcome(1, pb::ACQUIRE_RESULT_GRANTED, 7);
  EXPECT_TRUE(harness.IsHeld(queued));
  harness.AttachReply(attach, 2);
  EXPECT_TRUE(harness.IsHeld(queued));
}

TEST(SessionReconnect, ACancelOfAnUnansweredAcquireFollowsIt) {
  SessionHarness harness;
  harness.Open();
  const OperationId acquire = harness.Acquire("a", 0);
  harness.Take<pb::AcquireRequest>();
  harness.Disconnect();
  harness.Cancel(acquire);
  harness.AttachReply(harness.Redial(), 2);
  EXPECT_THAT(harness.Take<pb::ReconcileRequest>().message.live_acquire_ids(), testing::IsEmpty());
  harness.Take<pb::AcquireRequest>();
  const auto cancel = harness.Take<pb::CancelRequest>();
  pb::CancelReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_result(pb::CANCEL_RESULT_CANCELLED);
  harness.Reply(Opcode::kCancel, cancel.request_id, reply);
  // The acquire is settled with it, also without a reply of its own.
  EXPECT_EQ(harness.fsm().hold_count(), 0u);
  harness.Acquire("next", 0);
  EXPECT_EQ(harness.Take<pb::AcquireRequest>().message.mutation().acknowledged_through(), 1u);
}

TEST(SessionReconnect, ErrorsThatSayGoElsewhereKeepTheRequest) {
  for (const pb::ErrorCode code : {pb::ERROR_CODE_NOT_LEADER, pb::ERROR_CODE_UNAVAILABLE,
                                   pb::ERROR_CODE_STALE_EPOCH, pb::ERROR_CODE_NOT_ATTACHED}) {
    SessionHarness harness;
    harness.Open();
    const OperationId acquire = harness.Acquire("a", 0);
    harness.Error(Opcode::kAcquire, harness.Take<pb::AcquireRequest>().request_id, code);
    EXPECT_FALSE(harness.IsDone(acquire)) << code;
    EXPECT_FALSE(harness.dialed().has_value()) << code;
    harness.AttachReply(harness.Redial(), 2);
    harness.Take<pb::ReconcileRequest>();
    EXPECT_EQ(harness.Take<pb::AcquireRequest>().message.mutation().sequence(), 1u) << code;
  }
}

TEST(SessionReconnect, ManyTimesInARowLosesNothing) {
  SessionHarness harness;
  harness.Open();
  std::vector<OperationId> acquires;
  for (uint64_t epoch = 2; epoch < 30; ++epoch) {
    acquires.push_back(harness.Acquire("a", kWaitForever));
    harness.Disconnect();
    harness.AttachReply(harness.Redial(), epoch);
  }
  harness.TakeNext<pb::ReconcileRequest>();
  uint64_t token = 1;
  for (const OperationId acquire : acquires) {
    const auto request = harness.Take<pb::AcquireRequest>();
    EXPECT_EQ(request.message.mutation().sequence(), request.request_id & 0x3fffffffu);
    harness.Grant(request, token++);
    EXPECT_TRUE(harness.IsHeld(acquire));
  }
}

}  // namespace
}  // namespace lockd::client
