#include "tests/sim/log_checker.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "consensus/raft/invariants.h"
#include "consensus/raft/membership.h"
#include "protocol/base/check.h"
#include "server/node/membership.h"
#include "server/state/command.h"
#include "server/state/invariants.h"
#include "tests/support/describe_state.h"

namespace lockd::sim {
namespace {

// The walk over all of a node's log in memory is made at every so many of its turns.
constexpr uint64_t kWholeLogCheckEveryTurns = 1'024;

// What the state takes of an entry.
std::string PayloadOf(const raft::Entry& entry) {
  if (entry.kind != raft::EntryKind::kConfiguration) return entry.payload;
  return raft::DecodeConfigurationChange(entry.payload)->particulars;
}

std::optional<state::Batch> BatchOf(const std::string& payload) {
  if (payload.empty()) return std::nullopt;
  absl::StatusOr<state::Batch> decoded = state::DecodeBatch(payload);
  LOCKD_CHECK(decoded.ok(), "a committed entry does not decode: ", decoded.status().message());
  return *std::move(decoded);
}

}  // namespace

LogChecker::LogChecker(Listeners listeners) : listeners_(std::move(listeners)) {
  base_digest_ = reference_->digest();
}

LogChecker::LogChecker(const LogChecker& before, raft::Index backup, const LogChecker& last)
    : listeners_(before.listeners_),
      before_(&before),
      base_(before.BaseAt(backup)),
      last_token_(last.last_token_),
      grants_(last.grants_),
      locks_(last.locks_) {
  before.Replay(backup, reference_.get(), &oracle_);
  reference_->PrepareRefounding();
  oracle_.PrepareRefounding();
  base_digest_ = reference_->digest();
  for (const auto& [lock, owner] : last.owners_) {
    const FencingToken token = reference_->GetLock(lock).token;
    owners_[lock] = token;
    owners_since_[lock][base_.index] = token;
  }
}

void LogChecker::Replay(raft::Index index, state::LockDatabase* state,
                        state::NaiveLockDatabase* oracle) const {
  if (before_ != nullptr) {
    before_->Replay(base_.index, state, oracle);
    state->PrepareRefounding();
    oracle->PrepareRefounding();
  }
  for (const Committed& committed : committed_) {
    if (committed.entry.index > index) break;
    const std::string payload = PayloadOf(committed.entry);
    const std::optional<state::Batch> batch = BatchOf(payload);
    (void)state->Apply(committed.entry.time, payload);
    (void)oracle->Apply(committed.entry.time, batch.has_value() ? &*batch : nullptr);
  }
}

void LogChecker::AfterTurn(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  Replica& replica = replicas_[node.node_id()];
  if (replica.life != node.life()) {
    replica.life = node.life();
    // A term that was only heard of, and not durable when the power went, promised nothing.
    replica.term = raft::Term(0);
    replica.base = raft::Index(0);
    replica.commit = raft::Index(0);
    replica.applied = raft::Index(0);
    replica.last = raft::Index(0);
    replica.leads = raft::Term(0);
  }
  LOCKD_CHECK(raft.term() >= replica.term, "MonotoneMarks: node ", node.node_id(), " term ",
              raft.term(), " after ", replica.term);
  LOCKD_CHECK(raft.applied_index() >= replica.applied, "MonotoneMarks: applied index went back");
  replica.term = raft.term();
  // Entries are looked at when they are new, and all of them now and then.
  const bool whole = ++replica.turns % kWholeLogCheckEveryTurns == 0;
  const std::string broken = raft::FirstBrokenInvariant(
      raft, whole ? raft::Index(0) : std::min(replica.last, raft.last_index()));
  LOCKD_CHECK(broken.empty(), "RaftInvariants: node ", node.node_id(), ": ", broken);
  replica.last = raft.last_index();
  if (raft.is_leader()) CheckLeader(node);
  CheckLeaderCommit(raft, replica);
  CheckCommits(node, replica);
  const raft::LogBase& base = raft.log().base();
  LOCKD_CHECK(base.index >= replica.base, "MonotoneMarks: base went back");
  if (base.index != replica.base) CheckBase(node.node_id(), base);
  replica.base = base.index;
  CheckState(node, replica, whole);
}

raft::LogBase LogChecker::BaseAt(raft::Index index) const {
  if (index == base_.index) return base_;
  const raft::Entry& entry = At(index).entry;
  return {entry.index, entry.term, entry.time};
}

void LogChecker::CheckBase(NodeId node, const raft::LogBase& base) const {
  LOCKD_CHECK(base.index >= base_.index && base.index <= last(), "BaseIsCommitted: node ", node,
              " begins its log after index ", base.index, ", which nobody committed");
  LOCKD_CHECK(base == BaseAt(base.index), "BaseIsCommitted: node ", node,
              " begins its log after another entry at index ", base.index);
}

void LogChecker::CheckBackup(const raft::LogBase& base, const state::Digest& digest) const {
  LOCKD_CHECK(base.index > base_.index && base.index <= last(), "BackupsAreTrue: one is of entry ",
              base.index, ", which nobody committed");
  LOCKD_CHECK(base == BaseAt(base.index) && digest == DigestAt(base.index),
              "BackupsAreTrue: that of entry ", base.index, " is not the state after it");
}

void LogChecker::CheckRestored(NodeId node, const raft::LogBase& base,
                               const state::Digest& digest) const {
  LOCKD_CHECK(base == base_ && digest == base_digest_, "RestoredIsTheBackup: node ", node,
              " begins after entry ", base.index, " with another state than the backup's of ",
              base_.index);
}

// Whether entries were applied or a snapshot was loaded: the state is the one of that index.
void LogChecker::CheckState(const SimNode& node, Replica& replica, bool whole) const {
  if (node.node().is_loading()) return;
  const raft::Index applied = node.node().raft().applied_index();
  // What has applied nothing since has changed nothing; that too is looked at now and then.
  const bool has_applied = applied != replica.applied;
  replica.applied = applied;
  if (applied.is_zero() || (!has_applied && !whole)) return;
  CheckDigest(node.node_id(), applied, node.node().database().digest());
  CheckMembers(node, applied);
}

void LogChecker::CheckDigest(NodeId node, raft::Index applied, const state::Digest& digest) const {
  LOCKD_CHECK(applied >= base_.index && applied <= last(), "AppliedAfterCommit: node ", node,
              " applied index ", applied, ", which nobody committed");
  LOCKD_CHECK(digest == DigestAt(applied), "DigestsAgree: node ", node, " differs at index ",
              applied);
}

// One that joins has no configuration until it comes to one in its log.
void LogChecker::CheckMembers(const SimNode& node, raft::Index applied) {
  const raft::Configuration& in_log =
      node.node().raft().configurations().At(applied).change.configuration;
  if (in_log.voters.empty() || node.node().database().cluster_id().is_zero()) return;
  LOCKD_CHECK(node::ConfigurationOf(node.node().database().members()) == in_log,
              "MembersFollowTheLog: node ", node.node_id(),
              " has applied other members up to index ", applied, " than its log has there");
}

void LogChecker::CheckLeader(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  const auto [leader, is_new] = leaders_.try_emplace(raft.term(), node.node_id());
  LOCKD_CHECK(leader->second == node.node_id(), "ElectionSafety: nodes ", leader->second, " and ",
              node.node_id(), " lead in term ", raft.term());
  if (!is_new) return;
  for (raft::Index index = last(); index > base_.index; index = index - 1) {
    const Committed& committed = At(index);
    if (committed.seen_in >= raft.term()) continue;
    LOCKD_CHECK(raft.last_index() >= index, "LeaderCompleteness: leader ", node.node_id(),
                " of term ", raft.term(), " lacks committed index ", index);
    if (!raft.log().InMemory(index)) return;
    LOCKD_CHECK(raft.log().At(index) == committed.entry, "LeaderCompleteness: leader ",
                node.node_id(), " has another entry at committed index ", index);
  }
}

// Thesis 3.6.2: a leader counts copies of entries of its own term only.
void LogChecker::CheckLeaderCommit(const raft::Raft& raft, Replica& replica) {
  const raft::Term leads = raft.is_leader() ? raft.term() : raft::Term(0);
  if (!leads.is_zero() && leads == replica.leads && raft.commit_index() > replica.commit) {
    const std::optional<raft::Term> term = raft.log().TermAt(raft.commit_index());
    LOCKD_CHECK(term == leads, "OwnTermCommits: node ", raft.id(), ", leader of term ", leads,
                ", commits up to index ", raft.commit_index(), " of an earlier term");
  }
  replica.leads = leads;
}

void LogChecker::CheckCommits(const SimNode& node, Replica& replica) {
  const raft::Raft& raft = node.node().raft();
  LOCKD_CHECK(raft.commit_index() >= replica.commit, "MonotoneMarks: commit index went back");
  for (raft::Index index = replica.commit + 1; index <= raft.commit_index(); ++index) {
    const raft::Index known = last();
    if (!raft.log().InMemory(index)) {
      // Committed in an earlier life, and on disk only.
      LOCKD_CHECK(index <= known, "index ", index, " is committed and was never seen");
      continue;
    }
    const raft::Entry& entry = raft.log().At(index);
    if (index <= known) {
      LOCKD_CHECK(entry == At(index).entry, "CommittedNeverLost: node ", node.node_id(),
                  " commits another entry at index ", index);
    } else {
      LOCKD_CHECK(index == known + 1, "AppliedAfterCommit: a gap before committed index ", index);
      Append(entry, raft.term());
    }
  }
  replica.commit = raft.commit_index();
}

void LogChecker::Append(const raft::Entry& entry, raft::Term term) {
  const std::string payload = PayloadOf(entry);
  const std::optional<state::Batch> batch = BatchOf(payload);
  const state::ApplyResult result = reference_->Apply(entry.time, payload);
  committed_.push_back({entry, term, reference_->digest()});
  listeners_.on_committed(entry);
  const std::string broken = state::FirstBrokenInvariant(*reference_);
  LOCKD_CHECK(broken.empty(), "StateInvariants: after index ", entry.index, ": ", broken);
  const state::Batch* const commands = batch.has_value() ? &*batch : nullptr;
  CheckOracle(entry, commands, result);
  if (commands != nullptr) NoteAcquires(*commands);
  CheckGrants(commands, result);
  TellEnds(entry.index, result);
}

// The two were written independently, and only one of them is fast.
void LogChecker::CheckOracle(const raft::Entry& entry, const state::Batch* batch,
                             const state::ApplyResult& result) {
  const state::ApplyResult expected = oracle_.Apply(entry.time, batch);
  bool alike = expected.events == result.events &&
               expected.results.size() == result.results.size() &&
               oracle_.session_count() == reference_->session_count() &&
               oracle_.lock_count() == reference_->lock_count() &&
               oracle_.waiter_count() == reference_->waiter_count() &&
               oracle_.NextDeadline() == reference_->NextDeadline();
  for (size_t i = 0; alike && i < result.results.size(); ++i) {
    alike = expected.results[i].refusal == result.results[i].refusal &&
            expected.results[i].value == result.results[i].value;
  }
  if (alike) return;
  std::string text;
  for (const auto* side : {&expected, &result}) {
    absl::StrAppend(&text, side == &expected ? "the oracle says:" : "; the database says:");
    for (const state::CommandResult& r : side->results) {
      absl::StrAppend(&text, " ", state::Describe(r), ",");
    }
    for (const state::Event& event : side->events) {
      absl::StrAppend(&text, " ", state::Describe(event), ",");
    }
  }
  LOCKD_CHECK(false, "OracleAgrees: at index ", entry.index, " ", text);
}

void LogChecker::NoteAcquires(const state::Batch& batch) {
  for (const state::Command& command : batch.commands) {
    const auto* acquire = std::get_if<state::Acquire>(&command);
    if (acquire == nullptr) continue;
    locks_.try_emplace({acquire->mutation.session, acquire->mutation.sequence}, acquire->name);
    owners_.try_emplace(acquire->name);
  }
}

// Events of clean-up come before the results of commands, and a grant's token says itself where it
// stands: all tokens of an entry are above those of the entries before.
void LogChecker::CheckGrants(const state::Batch* batch, const state::ApplyResult& result) {
  std::vector<std::pair<FencingToken, std::pair<SessionId, Sequence>>> grants;
  for (const state::Event& event : result.events) {
    const auto* done = std::get_if<state::AcquireDone>(&event);
    if (done != nullptr && done->result.kind == state::AcquireOutcomeKind::kGranted) {
      grants.push_back({done->result.grant.token, {done->session, done->acquire}});
    }
  }
  for (size_t i = 0; i < result.results.size(); ++i) {
    const auto* acquire = std::get_if<state::Acquire>(&batch->commands[i]);
    const auto* value = std::get_if<state::AcquireResult>(&result.results[i].value);
    if (acquire != nullptr && value != nullptr &&
        result.results[i].refusal == state::Refusal::kNone &&
        value->kind == state::AcquireOutcomeKind::kGranted) {
      grants.push_back(
          {value->grant.token, {acquire->mutation.session, acquire->mutation.sequence}});
    }
  }
  std::sort(grants.begin(), grants.end());
  for (const auto& [token, holder] : grants) CheckGrant(holder.first, holder.second, token);
}

// A session's holds may be freed entries before its end is reported, so holds are looked up rather
// than concluded from events.
void LogChecker::TellEnds(raft::Index index, const state::ApplyResult& result) {
  for (auto& [lock, owner] : owners_) {
    const FencingToken now = reference_->GetLock(lock).token;
    if (owner != now) owners_since_[lock][index] = now;
    if (owner != now && !owner.is_zero()) listeners_.on_hold_ended(lock, owner);
    owner = now;
  }
  // Granted and gone within this entry.
  for (const auto& [token, lock] : std::exchange(granted_, {})) {
    if (owners_.at(lock) != token) listeners_.on_hold_ended(lock, token);
  }
  for (const state::Event& event : result.events) {
    const auto* ended = std::get_if<state::SessionEnded>(&event);
    if (ended != nullptr && ended->reason != state::SessionEndReason::kClosed) {
      listeners_.on_session_expired(ended->session);
    }
  }
}

void LogChecker::OnStaleRead(const std::string& lock, raft::Index applied,
                             FencingToken holder) const {
  // Of a blank disk: up to the backup, the log is that of the cluster before.
  if (before_ != nullptr && applied < base_.index) {
    before_->OnStaleRead(lock, applied, holder);
    return;
  }
  LOCKD_CHECK(applied <= last(), "StaleReadsTrue: entry ", applied,
              " is shown as applied and was never committed");
  FencingToken expected;
  if (const auto changes = owners_since_.find(lock); changes != owners_since_.end()) {
    const auto after = changes->second.upper_bound(applied);
    if (after != changes->second.begin()) expected = std::prev(after)->second;
  }
  LOCKD_CHECK(holder == expected, "StaleReadsTrue: a node shows token ", holder, " for ", lock,
              " after entry ", applied, ", there it was ", expected);
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
  granted_.emplace_back(token, locks_.at({session, acquire}));
}

}  // namespace lockd::sim
