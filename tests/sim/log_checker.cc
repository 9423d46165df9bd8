#include "tests/sim/log_checker.h"

#include <algorithm>

#include "consensus/raft/invariants.h"
#include "protocol/base/check.h"
#include "server/state/command.h"

namespace lockd::sim {
namespace {

// The walks over a whole log or state are made at every so many turns of a node, and entries of the
// reference.
constexpr uint64_t kRaftCheckEveryTurns = 64;
constexpr uint64_t kStateCheckEveryEntries = 64;

}  // namespace

LogChecker::LogChecker(const Scheduler* scheduler, int64_t clock_rate_ppm_max,
                       std::function<void(SessionId, state::SessionEndReason)> on_session_ended)
    : scheduler_(scheduler),
      clock_rate_ppm_max_(clock_rate_ppm_max),
      on_session_ended_(std::move(on_session_ended)) {}

void LogChecker::AfterTurn(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  Replica& replica = replicas_[node.node_id()];
  if (replica.life != node.life()) {
    replica.life = node.life();
    // A term that was only heard of, and not durable when the power went, promised nothing.
    replica.term = raft::Term(0);
    replica.commit = raft::Index(0);
    replica.applied = raft::Index(0);
  }
  LOCKD_CHECK(raft.term() >= replica.term, "MonotoneMarks: node ", node.node_id(), " term ",
              raft.term(), " after ", replica.term);
  LOCKD_CHECK(raft.applied_index() >= replica.applied, "MonotoneMarks: applied index went back");
  replica.term = raft.term();
  replica.applied = raft.applied_index();
  if (++replica.turns % kRaftCheckEveryTurns == 0) raft::CheckInvariants(raft);
  if (raft.is_leader()) CheckLeader(node);
  CheckCommits(node, replica);

  const uint64_t applied = raft.applied_index().value();
  LOCKD_CHECK(applied <= committed_.size(), "applied what nobody committed");
  if (applied > 0) {
    LOCKD_CHECK(node.node().database().digest() == committed_[applied - 1].digest,
                "DigestsAgree: node ", node.node_id(), " differs at index ", applied);
  }
}

void LogChecker::CheckLeader(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  const auto [leader, is_new] = leaders_.try_emplace(raft.term(), node.node_id());
  LOCKD_CHECK(leader->second == node.node_id(), "ElectionSafety: nodes ", leader->second, " and ",
              node.node_id(), " lead in term ", raft.term());
  if (!is_new) return;
  for (uint64_t i = committed_.size(); i > 0; --i) {
    const Committed& committed = committed_[i - 1];
    if (committed.seen_in >= raft.term()) continue;
    const raft::Index index(i);
    LOCKD_CHECK(raft.last_index() >= index, "LeaderCompleteness: leader ", node.node_id(),
                " of term ", raft.term(), " lacks committed index ", i);
    if (!raft.log().InMemory(index)) return;
    LOCKD_CHECK(raft.log().At(index) == committed.entry, "LeaderCompleteness: leader ",
                node.node_id(), " has another entry at committed index ", i);
  }
}

void LogChecker::CheckCommits(const SimNode& node, Replica& replica) {
  const raft::Raft& raft = node.node().raft();
  LOCKD_CHECK(raft.commit_index() >= replica.commit, "MonotoneMarks: commit index went back");
  for (raft::Index index = replica.commit + 1; index <= raft.commit_index(); ++index) {
    const uint64_t known = committed_.size();
    if (!raft.log().InMemory(index)) {
      // Committed in an earlier life, and on disk only.
      LOCKD_CHECK(index.value() <= known, "index ", index, " is committed and was never seen");
      continue;
    }
    const raft::Entry& entry = raft.log().At(index);
    if (index.value() <= known) {
      LOCKD_CHECK(entry == committed_[index.value() - 1].entry, "CommittedNeverLost: node ",
                  node.node_id(), " commits another entry at index ", index);
    } else {
      LOCKD_CHECK(index.value() == known + 1, "a gap before committed index ", index);
      Append(entry, raft.term());
    }
  }
  replica.commit = raft.commit_index();
}

void LogChecker::Append(const raft::Entry& entry, raft::Term term) {
  if (!committed_.empty()) {
    LOCKD_CHECK(entry.time >= committed_.back().entry.time, "ClusterTimeBounded: time went back");
  }
  // Time began at zero when the run did; no leader's clock runs faster than the fastest.
  const int64_t now_ms = scheduler_->now() / kMillis;
  LOCKD_CHECK(entry.time.value() <= now_ms + now_ms * clock_rate_ppm_max_ / 1'000'000 + 2,
              "ClusterTimeBounded: entry ", entry.index, " is of ", entry.time, " ms after ",
              now_ms, " ms");
  const state::ApplyResult result = reference_.Apply(entry.time, entry.payload);
  committed_.push_back({entry, term, reference_.digest()});
  CheckResults(entry, result);
  if (committed_.size() % kStateCheckEveryEntries == 0) reference_.CheckInvariants();
}

void LogChecker::CheckResults(const raft::Entry& entry, const state::ApplyResult& result) {
  // Events of clean-up come before the results of commands; a grant's token says itself where it
  // stands. Order does not matter here beyond that: all tokens of an entry are above those of the
  // entries before.
  std::vector<std::pair<FencingToken, std::pair<SessionId, Sequence>>> grants;
  for (const state::Event& event : result.events) {
    if (const auto* done = std::get_if<state::AcquireDone>(&event)) {
      if (done->result.kind == state::AcquireOutcomeKind::kGranted) {
        grants.push_back({done->result.grant.token, {done->session, done->acquire}});
      }
    } else if (const auto* ended = std::get_if<state::SessionEnded>(&event)) {
      if (ended->reason != state::SessionEndReason::kClosed)
        on_session_ended_(ended->session, ended->reason);
    }
  }
  if (!result.results.empty()) {
    const absl::StatusOr<state::Batch> batch = state::DecodeBatch(entry.payload);
    LOCKD_CHECK(batch.ok() && batch->commands.size() == result.results.size(),
                "a batch without its results");
    for (size_t i = 0; i < batch->commands.size(); ++i) {
      const auto* acquire = std::get_if<state::Acquire>(&batch->commands[i]);
      const auto* value = std::get_if<state::AcquireResult>(&result.results[i].value);
      if (acquire != nullptr && value != nullptr &&
          result.results[i].refusal == state::Refusal::kNone &&
          value->kind == state::AcquireOutcomeKind::kGranted) {
        grants.push_back(
            {value->grant.token, {acquire->mutation.session, acquire->mutation.sequence}});
      }
    }
  }
  std::sort(grants.begin(), grants.end());
  for (const auto& [token, holder] : grants) CheckGrant(holder.first, holder.second, token);
}

void LogChecker::CheckGrant(SessionId session, Sequence acquire, FencingToken token) {
  const auto found = grants_.find(token);
  if (found != grants_.end()) {
    LOCKD_CHECK(found->second == std::make_pair(session, acquire), "token ", token,
                " was granted twice");
    return;
  }
  LOCKD_CHECK(token > last_token_, "TokensIncrease: ", token, " after ", last_token_);
  last_token_ = token;
  grants_.emplace(token, std::make_pair(session, acquire));
}

}  // namespace lockd::sim
