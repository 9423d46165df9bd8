// The parts of the session machine by themselves: lease arithmetic, leader finder, request window;
// and what stands beside it: shared deadlines and the fence gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "client/fence_gate.h"
#include "client/leader_finder.h"
#include "client/lease.h"
#include "client/request_window.h"
#include "client/validity.h"

namespace lockd::client {
namespace {

constexpr int64_t kMs = kNanosPerMilli;

TEST(Lease, TheEarlierOfTwoDeadlinesCounts) {
  Lease lease(10'000, 3'000);
  EXPECT_EQ(lease.deadline(), LocalTime(0));
  lease.CreditRenewal(LocalTime(100 * kMs), ClusterTime(1));
  lease.CreditPing(LocalTime(100 * kMs));
  EXPECT_EQ(lease.deadline(), LocalTime(3'100 * kMs));
  for (int64_t at = 1'000; at <= 9'000; at += 1'000) lease.CreditPing(LocalTime(at * kMs));
  EXPECT_EQ(lease.deadline(), LocalTime(10'100 * kMs));
}

TEST(Lease, ACreditNeverMovesTheDeadlineBack) {
  Lease lease(10'000, 0);
  lease.CreditRenewal(LocalTime(500 * kMs), ClusterTime(2));
  lease.CreditRenewal(LocalTime(100 * kMs), ClusterTime(1));
  EXPECT_EQ(lease.deadline(), LocalTime(10'500 * kMs));
}

TEST(Lease, JeopardyIsHalfOfTheWayFromTheLastAnswer) {
  Lease lease(10'000, 0);
  lease.CreditRenewal(LocalTime(1'000 * kMs), ClusterTime(1));
  EXPECT_EQ(lease.jeopardy(), LocalTime(6'000 * kMs));
}

// Whatever the two clocks do within 0.5 %, and however long ago the reference was: when the
// client's count of a maximum hold is over, cluster time has not reached the server's deadline.
TEST(Lease, AMaximumHoldEndsHereBeforeTheServerFreesIt) {
  for (const int64_t hold_ms : {100, 10'000, 3'600'000}) {
    for (const int64_t since_reference_ms : {0, 5'000, 1'200'000}) {
      Lease lease(3'600'000, 0);
      // The reference: sent at local 0, stamped at once with T = 0; the worst for the client.
      lease.CreditRenewal(LocalTime(0), ClusterTime(0));
      // The acquire was sent and granted when the cluster's clock said so. The cluster runs fast,
      // the client slow: 1 + r against 1 - r.
      const ClusterTime granted(since_reference_ms);
      const int64_t sent_local_ns = since_reference_ms * kMs / 201 * 199;
      const LocalTime ends =
          lease.HoldDeadline(LocalTime(sent_local_ns), granted, granted + hold_ms);
      const int64_t cluster_ms_at_end = ends.value() / kMs * 201 / 199;
      EXPECT_LE(cluster_ms_at_end, since_reference_ms + ServerDurationMs(hold_ms))
          << hold_ms << " after " << since_reference_ms;
      EXPECT_GE(ends.value(), hold_ms * kMs);
    }
  }
}

TEST(LeaderFinder, TheSameSeedDialsTheSameWay) {
  const std::vector<std::string> endpoints = {"a:1", "b:1", "c:1"};
  LeaderFinder one(endpoints, 20, 1'000, 7);
  LeaderFinder two(endpoints, 20, 1'000, 7);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(one.Next(), two.Next());
    EXPECT_EQ(one.OnFailureNs(), two.OnFailureNs());
  }
}

TEST(LeaderFinder, DoesNotTakeTheOneThatHasJustFailed) {
  LeaderFinder finder({"a:1", "b:1"}, 20, 1'000, 1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(finder.OnHint("b:1"));
    EXPECT_EQ(finder.Next(), "b:1");
    (void)finder.OnFailureNs();
    EXPECT_EQ(finder.Next(), "a:1");
  }
}

TEST(LeaderFinder, RefusesHintsThatAreNoAddress) {
  LeaderFinder finder({"a:1"}, 20, 1'000, 1);
  EXPECT_FALSE(finder.OnHint(""));
  EXPECT_FALSE(finder.OnHint(std::string(1'000, 'x')));
}

TEST(RequestWindow, MovesOverAnsweredPrefixesOnly) {
  RequestWindow window;
  for (int i = 0; i < 4; ++i) window.Add(RequestKind::kAcquire, 0);
  window.Answered(*window.Find(Sequence(2)));
  EXPECT_EQ(window.acknowledged_through(), Sequence(0));
  window.Answered(*window.Find(Sequence(1)));
  EXPECT_EQ(window.acknowledged_through(), Sequence(2));
  EXPECT_EQ(window.Find(Sequence(1)), nullptr);
  EXPECT_EQ(window.unanswered(), 2u);
}

TEST(RequestWindow, HasExactlyTheRoomThatTheServerAccepts) {
  RequestWindow window;
  while (window.room() > 0) window.Add(RequestKind::kAcquire, 0);
  EXPECT_EQ(window.last(), Sequence(1'024));
  window.Answered(*window.Find(Sequence(1)));
  EXPECT_EQ(window.room(), 1u);
  EXPECT_EQ(window.Add(RequestKind::kAcquire, 0).sequence, Sequence(1'025));
  EXPECT_EQ(window.Find(Sequence(1)), nullptr);  // same place
  EXPECT_NE(window.Find(Sequence(1'025)), nullptr);
}

TEST(RequestWindow, RequestIdsFindTheirRequest) {
  RequestWindow window;
  for (int i = 0; i < 3'000; ++i) {
    Request& request = window.Add(RequestKind::kAcquire, 0);
    const uint32_t id = RequestWindow::RequestId(request.sequence);
    ASSERT_EQ(window.FindByRequestId(id), &request);
    ASSERT_EQ(window.FindByRequestId(id + 1'024), nullptr);
    window.Answered(request);
    ASSERT_EQ(window.FindByRequestId(id), nullptr);
  }
}

// 2^30 is where the id's bits end; the others are where narrower integers would.
TEST(RequestWindow, CrossingAPowerOfTwoKeepsEveryRequestApart) {
  for (const int bits : {30, 31, 32}) {
    RequestWindow window(Sequence((uint64_t{1} << bits) - 3));
    EXPECT_EQ(window.room(), kSequenceWindow);
    std::set<uint32_t> ids;
    for (int i = 0; i < 6; ++i) {
      const Request& request = window.Add(RequestKind::kAcquire, 0);
      const uint32_t id = RequestWindow::RequestId(request.sequence);
      EXPECT_NE(id, 0u);
      EXPECT_TRUE(ids.insert(id).second) << id;
      EXPECT_EQ(window.FindByRequestId(id), &request);
    }
    while (window.Oldest() != nullptr) window.Answered(*window.Find(window.Oldest()->sequence));
    EXPECT_EQ(window.acknowledged_through(), Sequence((uint64_t{1} << bits) + 3));
    EXPECT_EQ(window.room(), kSequenceWindow);
  }
}

TEST(RequestWindow, OffersEachOnceUntilTheLinkIsLost) {
  RequestWindow window;
  for (int i = 0; i < 3; ++i) window.Add(RequestKind::kAcquire, 0);
  std::vector<uint64_t> sent;
  const auto send = [&](Request& request) {
    if (request.sequence == Sequence(2)) return false;  // not now
    sent.push_back(request.sequence.value());
    window.SetInFlight(request, true);
    return true;
  };
  window.ForEachToSend(send);
  window.ForEachToSend(send);
  EXPECT_THAT(sent, testing::ElementsAre(1, 3));
  window.LinkLost();
  EXPECT_EQ(window.in_flight(), 0u);
  window.ForEachToSend(send);
  EXPECT_THAT(sent, testing::ElementsAre(1, 3, 1, 3));
}

TEST(SharedDeadline, ALossThatWasSeenCannotBeRenewedAway) {
  internal::SharedDeadline deadline(LocalTime(100));
  EXPECT_TRUE(deadline.IsBefore(LocalTime(99)));
  EXPECT_TRUE(deadline.Renew(LocalTime(200)));
  EXPECT_TRUE(deadline.Renew(LocalTime(150)));
  EXPECT_TRUE(deadline.IsBefore(LocalTime(199)));
  EXPECT_FALSE(deadline.IsBefore(LocalTime(200)));
  EXPECT_FALSE(deadline.Renew(LocalTime(300)));
  EXPECT_FALSE(deadline.IsBefore(LocalTime(1)));
  EXPECT_EQ(deadline.Get(), LocalTime(0));
}

// L-45
TEST(FenceGate, AdmitsTheSameHolderAgainAndRefusesAnOlderOne) {
  FenceGate gate;
  EXPECT_TRUE(gate.Admit(FencingToken(5)));
  EXPECT_TRUE(gate.Admit(FencingToken(5)));
  EXPECT_TRUE(gate.Admit(FencingToken(7)));
  EXPECT_FALSE(gate.Admit(FencingToken(5)));
  EXPECT_FALSE(gate.Admit(FencingToken(0)));
}

TEST(FenceGate, SharedHoldersPassTogetherAfterTheLastExclusiveOne) {
  FenceGate gate;
  EXPECT_TRUE(gate.Admit(FencingToken(5)));
  EXPECT_TRUE(gate.Admit(FencingToken(8), FenceMode::kShared));
  EXPECT_TRUE(gate.Admit(FencingToken(6), FenceMode::kShared));
  EXPECT_FALSE(gate.Admit(FencingToken(5), FenceMode::kShared));
  EXPECT_FALSE(gate.Admit(FencingToken(7)));  // exclusive, below a shared one
  EXPECT_TRUE(gate.Admit(FencingToken(9)));
  EXPECT_FALSE(gate.Admit(FencingToken(8), FenceMode::kShared));
}

TEST(FenceGate, AnythingBelowTheLargestFloorIsRefused) {
  FenceGate gate;
  EXPECT_TRUE(gate.Admit(FencingToken(10), FenceMode::kShared, FencingToken(9)));
  EXPECT_FALSE(gate.Admit(FencingToken(8), FenceMode::kShared));
  EXPECT_TRUE(gate.Admit(FencingToken(9), FenceMode::kShared));
}

TEST(FenceGate, ARefusedRequestChangesNothing) {
  FenceGate gate(FencingToken(10), FencingToken(10), FencingToken(0));
  EXPECT_FALSE(gate.Admit(FencingToken(9), FenceMode::kExclusive, FencingToken(9)));
  EXPECT_EQ(gate.floor(), FencingToken(0));
  EXPECT_EQ(gate.largest_token(), FencingToken(10));
}

}  // namespace
}  // namespace lockd::client
