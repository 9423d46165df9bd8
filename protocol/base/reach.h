// Reach marks: named places in rare states, counted when they are passed.
//
//   LOCKD_REACH(kConflictingSuffixCut);
//
// A simulator that never gets to the rare states proves nothing about them. Each mark stands where
// one of them is entered; the simulator's runs print the counts, and CI fails when a mark is never
// hit. (Antithesis calls the idea "sometimes assertions".) A mark says nothing about what is right.
//
// The counters are the one exception to "no mutable globals": nothing reads them but tests and
// tools, so they cannot change what lockd does. They stay on in release builds: one relaxed
// increment, and only where something rare happens anyway.
//
// Threading: any.
#ifndef LOCKD_PROTOCOL_BASE_REACH_H_
#define LOCKD_PROTOCOL_BASE_REACH_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// Every mark: its constant, its name in reports. Keep the groups; say what a mark means where it is
// set, if the code does not.
#define LOCKD_REACH_MARKS(MARK)                                                    \
  /* consensus/raft */                                                             \
  MARK(kConflictingSuffixCut, "conflicting_suffix_cut")                            \
  MARK(kWriteUnderWayTruncated, "write_under_way_truncated")                       \
  MARK(kCompletionOfAWriteOfAnOlderTerm, "completion_of_a_write_of_an_older_term") \
  MARK(kPromiseOfAnOlderTermDropped, "promise_of_an_older_term_dropped")           \
  MARK(kAppendAlreadyKnown, "append_already_known")                                \
  MARK(kStaleAppendAnswered, "stale_append_answered")                              \
  MARK(kAppendRejectedFastBacktrack, "append_rejected_fast_backtrack")             \
  MARK(kProbeAfterLoss, "probe_after_loss")                                        \
  MARK(kLostAppendFoundByHeartbeat, "lost_append_found_by_heartbeat")              \
  MARK(kFollowerReadFromDisk, "follower_read_from_disk")                           \
  MARK(kApplyReadFromDisk, "apply_read_from_disk")                                 \
  MARK(kCommitAheadOfOwnDisk, "commit_ahead_of_own_disk")                          \
  MARK(kCommitOfOlderTermWithheld, "commit_of_older_term_withheld")                \
  MARK(kPreVoteRefusedByStickiness, "pre_vote_refused_by_stickiness")              \
  MARK(kVoteRefusedAlreadyGiven, "vote_refused_already_given")                     \
  MARK(kVoteRefusedToOlderLog, "vote_refused_to_older_log")                        \
  MARK(kElectionWithoutWinner, "election_without_winner")                          \
  MARK(kCandidateFollowsLeaderOfItsTerm, "candidate_follows_leader_of_its_term")   \
  MARK(kCheckQuorumStepsDown, "check_quorum_steps_down")                           \
  MARK(kDiskStallStepsDown, "disk_stall_steps_down")                               \
  MARK(kLeaderStepsDownOnHigherTerm, "leader_steps_down_on_higher_term")           \
  MARK(kDeadLeaderSuspected, "dead_leader_suspected")                              \
  MARK(kTransferTargetTold, "transfer_target_told")                                \
  MARK(kTransferAborted, "transfer_aborted")                                       \
  MARK(kLogCompacted, "log_compacted")                                             \
  MARK(kLogReplacedBySnapshot, "log_replaced_by_snapshot")                         \
  /* consensus/storage */                                                          \
  MARK(kTornTailCut, "torn_tail_cut")                                              \
  MARK(kBatchMended, "batch_mended")                                               \
  MARK(kSegmentRolledIntoSpare, "segment_rolled_into_spare")                       \
  MARK(kSegmentSealFinishedAtOpen, "segment_seal_finished_at_open")                \
  MARK(kSegmentRecycled, "segment_recycled")                                       \
  MARK(kStartFromSnapshot, "start_from_snapshot")                                  \
  /* server/state */                                                               \
  MARK(kGrantToWaiterAfterDeadWaiter, "grant_to_waiter_after_dead_waiter")         \
  MARK(kWaiterSessionExpiresInSameEntry, "waiter_session_expires_in_same_entry")   \
  MARK(kWaitTimesOutInSameEntry, "wait_times_out_in_same_entry")                   \
  MARK(kSeveralLocksFreedAtOnce, "several_locks_freed_at_once")                    \
  MARK(kRetryAnsweredFromReplyWindow, "retry_answered_from_reply_window")          \
  MARK(kEndedSessionTellsOutcome, "ended_session_tells_outcome")                   \
  MARK(kSequenceBelowWindowRefused, "sequence_below_window_refused")               \
  MARK(kStaleEpochRefused, "stale_epoch_refused")                                  \
  MARK(kDisconnectOfStaleEpochIgnored, "disconnect_of_stale_epoch_ignored")        \
  MARK(kCancelFindsWaiter, "cancel_finds_waiter")                                  \
  MARK(kCancelTooLate, "cancel_too_late")                                          \
  MARK(kReconcileReleasesOrphan, "reconcile_releases_orphan")                      \
  MARK(kReconcileCancelsOrphan, "reconcile_cancels_orphan")                        \
  MARK(kReleaseOfStaleToken, "release_of_stale_token")                             \
  MARK(kNonceFindsLiveSession, "nonce_finds_live_session")                         \
  MARK(kKeepAliveAfterTheEnd, "keep_alive_after_the_end")                          \
  MARK(kAttachTakesGraceBack, "attach_takes_grace_back")                           \
  MARK(kTtlExpiry, "ttl_expiry")                                                   \
  MARK(kGraceExpiry, "grace_expiry")                                               \
  MARK(kMaxHoldExpiry, "max_hold_expiry")                                          \
  MARK(kCleanupBudgetExhausted, "cleanup_budget_exhausted")                        \
  MARK(kKeptSessionForgotten, "kept_session_forgotten")                            \
  /* server/node */                                                                \
  MARK(kSuppressedTimeAfterStall, "suppressed_time_after_stall")                   \
  MARK(kLongTurnCapped, "long_turn_capped")                                        \
  MARK(kProposalOutcomeUnknown, "proposal_outcome_unknown")                        \
  MARK(kKeepAlivesOfOneSessionMerged, "keep_alives_of_one_session_merged")         \
  MARK(kSessionMovesToAnotherConnection, "session_moves_to_another_connection")    \
  MARK(kConnectionClosedWhileOpening, "connection_closed_while_opening")           \
  MARK(kRefusedForDiskSpace, "refused_for_disk_space")                             \
  MARK(kSnapshotTaken, "snapshot_taken")                                           \
  MARK(kStateChangedUnderSnapshot, "state_changed_under_snapshot")                 \
  MARK(kSnapshotPieceSent, "snapshot_piece_sent")                                  \
  MARK(kSnapshotInstalled, "snapshot_installed")                                   \
  /* client */                                                                     \
  MARK(kClientLossByOwnDeadline, "client_loss_by_own_deadline")                    \
  MARK(kClientGivesUpSilentNode, "client_gives_up_silent_node")                    \
  MARK(kClientSendsRequestAgain, "client_sends_request_again")                     \
  MARK(kClientReleasesGrantAfterCancel, "client_releases_grant_after_cancel")      \
  MARK(kClientMaxHoldOver, "client_max_hold_over")                                 \
  MARK(kOutcomeOvertakesAcquireReply, "outcome_overtakes_acquire_reply")           \
  MARK(kOutcomeRepeated, "outcome_repeated")

namespace lockd {

enum class Reach : uint8_t {
#define LOCKD_REACH_CONSTANT(constant, name) constant,
  LOCKD_REACH_MARKS(LOCKD_REACH_CONSTANT)
#undef LOCKD_REACH_CONSTANT
};

inline constexpr std::array kReachNames = {
#define LOCKD_REACH_NAME(constant, name) absl::string_view(name),
    LOCKD_REACH_MARKS(LOCKD_REACH_NAME)
#undef LOCKD_REACH_NAME
};
inline constexpr size_t kReachCount = kReachNames.size();

namespace internal {
inline std::array<std::atomic<uint64_t>, kReachCount> reach_counters{};
}  // namespace internal

[[nodiscard]] constexpr absl::string_view ReachName(Reach mark) {
  return kReachNames[static_cast<size_t>(mark)];
}

// How often each mark was passed in this process so far, by all threads.
using ReachCounters = std::array<uint64_t, kReachCount>;
[[nodiscard]] inline ReachCounters ReachCounts() {
  ReachCounters counts{};
  for (size_t i = 0; i < kReachCount; ++i) {
    counts[i] = internal::reach_counters[i].load(std::memory_order_relaxed);
  }
  return counts;
}

}  // namespace lockd

#define LOCKD_REACH(mark)                                                                 \
  ::lockd::internal::reach_counters[static_cast<size_t>(::lockd::Reach::mark)].fetch_add( \
      1, std::memory_order_relaxed)

#endif  // LOCKD_PROTOCOL_BASE_REACH_H_
