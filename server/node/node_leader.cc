// What a node does as the leader: office, entries, and when to wake for them.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/node/node_impl.h"
#include "server/state/command.h"
#include "server/state/refounding.h"

namespace lockd::node {

// ---- Office

// Between turns only a loss matters: to begin leading takes the time of a turn.
void Node::Impl::CheckStillLeads() {
  if (leads() && (!raft().is_leader() || raft().term() != led_term_)) StopLeading();
}

void Node::Impl::CheckLeadership() {
  CheckStillLeads();
  if (!raft().is_leader()) return;
  if (!leads()) BeginLeading();
  if (context.is_serving || context.is_stopping) return;
  if (!serve_from_ && raft().has_committed_in_term()) serve_from_ = raft().commit_index();
  if (serve_from_ && raft().applied_index() >= *serve_from_ &&
      !context.database->cluster_id().is_zero()) {
    context.is_serving = true;
    context.outbox.Note(
        absl::StrCat("serving as leader of term ", led_term_, " from entry ", *serve_from_));
  }
}

void Node::Impl::BeginLeading() {
  if (owes_clients_) TellClients();
  led_term_ = raft().term();
  clock_.Start(raft().last_time(), now_);
  proposed_at_ = now_;
  digest_watch_.BeginOffice();
  context.outbox.Note(absl::StrCat("elected leader of term ", led_term_));
}

void Node::Impl::StopLeading() {
  founding_waits_for_.clear();
  context.outbox.Note(
      absl::StrCat("no longer leader of term ", led_term_, ", now in term ", raft().term()));
  led_term_ = raft::Term{0};
  serve_from_.reset();
  context.is_serving = false;
  owes_clients_ = true;
  if (!hand_over_.is_under_way()) TellClients();
}

// Whoever waits is to look for the next leader, with a hint when one is known.
void Node::Impl::TellClients() {
  owes_clients_ = false;
  lock_manager_.FailAll(pending_.TakeAll());
  lock_manager_.FailAll(group_commit_.TakeAllWaiters());
  lock_manager_.FailAll({keep_alives_.TakeAllWaiters()});
  reads_.FailAll();
  member_changes_.FailAll();
  connections.UnbindAll();
}

// ---- Its entries

// At most one entry for each write, and none while one is under way: what comes meanwhile is the
// next one.
void Node::Impl::Propose() {
  if (!leads() || !writes_.empty() || context.outbox.is_dying()) return;
  if (!raft().transfer_target().is_zero()) return;  // what is waiting goes on waiting
  if (context.database->cluster_id().is_zero()) {
    ProposeBootstrap();
    return;
  }
  if (!context.is_serving || ProposeMembers()) return;
  if (!raft().transfer_target().is_zero()) return;  // from just now on
  const bool has_work = !group_commit_.empty() || keep_alives_.due_at() <= now_ || IsTimeEntryDue();
  if (!has_work) return;
  const size_t uncommitted = raft().uncommitted_bytes();
  if (uncommitted > 2 * context.options.uncommitted_bytes_max) return;
  ProposeEntry(group_commit_.Take(keep_alives_, wall_now_));
}

// The first leader of a forming cluster founds it, once every member has been heard: so all
// incarnations are registered from the first command on. Everything before must be applied, which
// makes sure that the log holds no Bootstrap yet.
void Node::Impl::ProposeBootstrap() {
  if (!raft().has_committed_in_term() || raft().applied_index() != raft().last_index()) return;
  std::optional<std::vector<state::Member>> founders = context.formation.Founders();
  if (!founders) return;
  state::Bootstrap founding{.cluster_id = context.options.cluster_id_draw,
                            .feature_level = context.formation.CommonFeatureLevel(),
                            .settings = context.options.bootstrap_settings,
                            .members = *std::move(founders)};
  if (context.options.restored_from) {
    ProposeRefound(std::move(founding));
    return;
  }
  state::BatchBuilder builder;
  builder.Add(std::move(founding));
  ProposeEntry({.payload = builder.Take(wall_now_), .waiters = {Nobody{}}});
}

void Node::Impl::ProposeRefound(state::Bootstrap founding) {
  const uint64_t last = context.database->last_number();
  const std::optional<uint64_t> numbers_from = state::NumbersFrom(last, wall_now_);
  if (!numbers_from) {
    founding_waits_for_ = absl::StrCat(
        "the cluster is not founded yet: its backup has numbers up to ", last,
        ", which are of this minute or a later one by this node's clock. If the clock is wrong, "
        "set it; else this takes a minute at most");
    return;
  }
  founding_waits_for_.clear();
  founding.settings = context.database->settings();
  state::BatchBuilder builder;
  builder.Add(state::Refound{.bootstrap = std::move(founding), .numbers_from = *numbers_from});
  ProposeEntry({.payload = builder.Take(wall_now_), .waiters = {Nobody{}}});
}

bool Node::Impl::IsTimeEntryDue() const {
  // A backlog is worked off entry by entry, each proposed when the one before is applied.
  if (context.database->HasBacklog()) return raft().applied_index() == raft().last_index();
  return NextTimeEntry() <= now_;
}

// When the next time entry is due if nothing else is proposed: soon after a deadline, and often
// enough for a new leader to know how much time has passed. Deadlines close to each other share
// one.
LocalTime Node::Impl::NextTimeEntry() const {
  const ClusterTime deadline = context.database->NextDeadline();
  if (deadline == kNeverCluster) return kNeverLocal;
  const int64_t interval_ns = context.options.time_entry_ms * kNanosPerMilli;
  const LocalTime regular = proposed_at_ + interval_ns;
  // Until an entry with the deadline's time is applied, the deadline stays armed; one is enough.
  if (raft().last_time() >= deadline || clock_.is_suppressed()) return regular;
  const int64_t missing_ms = std::max<int64_t>(deadline - clock_.Now(), 0);
  if (missing_ms >= context.options.time_entry_ms) return regular;
  const LocalTime at_deadline = now_ + missing_ms * kNanosPerMilli;
  return std::min(regular, std::max(at_deadline, proposed_at_ + interval_ns / 10));
}

void Node::Impl::ProposeEntry(GroupCommit::Draft draft) {
  raft::Index index;
  const raft::ProposeOutcome outcome =
      raft().Propose(clock_.Now(), std::move(draft.payload), &index);
  LOCKD_CHECK(outcome == raft::ProposeOutcome::kAccepted,
              "a leader's own entry was refused: ", static_cast<int>(outcome),
              ", uncommitted bytes ", raft().uncommitted_bytes());
  pending_.Add(led_term_, index, std::move(draft.waiters));
  proposed_at_ = now_;
}

LocalTime Node::Impl::NextLeaderWakeup() const {
  LocalTime next = kNeverLocal;
  if (context.database->NextDeadline() != kNeverCluster) {
    // Often enough for no turn to be longer than what one may add to the cluster's time.
    const int64_t turn_ms =
        std::min(context.options.turn_advance_ms_max, context.options.suppress_ms) / 2;
    next = now_ + turn_ms * kNanosPerMilli;
  }
  // While a write or a hand-over is under way nothing is proposed; its end is a turn of its own.
  const bool may_propose = writes_.empty() && raft().transfer_target().is_zero();
  if (may_propose) next = std::min({next, keep_alives_.due_at(), NextTimeEntry()});
  // What could not be proposed in this turn cannot be proposed sooner than something happens.
  return std::max(next, now_ + kNanosPerMilli);
}

}  // namespace lockd::node
