#include "server/node/node_impl.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "consensus/raft/membership.h"
#include "protocol/base/check.h"
#include "server/node/membership.h"
#include "server/state/lock_database.h"

namespace lockd::node {
namespace {

// Disk jobs of the node itself, told from the core's by this bit.
constexpr uint64_t kOwnJobBit = uint64_t{1} << 63;

// How soon a leader looks again whether the clock on the wall lets it found its cluster.
constexpr int64_t kAskClockMs = 100;

}  // namespace

Node::Impl::Impl(NodeOptions options, raft::RecoveredLog recovered, LocalTime now,
                 RecoveredSnapshots snapshots)
    : context(std::move(options), recovered, std::move(snapshots.kept)),
      recovered_(std::move(recovered)),
      now_(now),
      ticked_(now) {
  saved_cluster_id_ = context.options.cluster_id;
  if (!snapshots.to_load) log_membership_.Start(*recovered_);
  if (!log_membership_.is_done()) MakeIdleRaft();
  if (snapshots.to_load) {
    LOCKD_CHECK(snapshots.to_load->base.index == recovered_->applied_index,
                "the snapshot of entry ", snapshots.to_load->base.index, " to load, and ",
                recovered_->applied_index, " entries applied");
    context.is_loading = true;
    load_.emplace(context.snapshots, *snapshots.to_load, context.hash_key(),
                  /*is_backup=*/context.options.is_restored);
  } else {
    SearchMembership();
  }
  SayProgress();
}

// The backup that a directory was made from is no promise of its own.
void Node::Impl::SayProgress() {
  const std::optional<raft::SnapshotId>& backup = context.options.restored_from;
  const bool is_untouched = context.formation.IsUntouched(raft().last_index(), raft().term());
  peer_links.SetOwnProgress(raft().last_index() > (backup ? backup->base.index : raft::Index{0}),
                            is_untouched ? raft::Term{0} : raft().term());
}

// For what the node says of itself while it recovers: all that is true of its log, with as little
// of it in memory as can be. (A copy of the rest would be made, and destroyed in a turn, for
// nothing.)
void Node::Impl::MakeIdleRaft() {
  raft::RecoveredLog idle{.hard_state = recovered_->hard_state,
                          .base_index = recovered_->base_index,
                          .base_term = recovered_->base_term,
                          .base_time = recovered_->base_time,
                          .last_index = recovered_->last_index,
                          .applied_index = recovered_->applied_index,
                          .tail = {},
                          .configurations = recovered_->configurations};
  const raft::Index needed_from = std::max(idle.hard_state.commit, idle.applied_index);
  for (const raft::Entry& entry : recovered_->tail) {
    if (entry.index >= needed_from) idle.tail.push_back(entry);
  }
  MakeRaft(std::move(idle));
}

void Node::Impl::SearchMembership() {
  if (!log_membership_.is_done()) {
    context.outbox.StartDisk(log_membership_.NextRead(kOwnJobBit | ++own_jobs_));
    return;
  }
  if (log_membership_.found()) context.formation.SetMembersOfLog(*log_membership_.found());
  FinishRecovery();
}

void Node::Impl::MakeRaft(raft::RecoveredLog recovered) {
  raft::Options options = timing_.RaftOptions(context.options);
  options.configuration = ConfigurationOf(context.formation.members());
  context.raft = std::make_unique<raft::Raft>(options, std::move(recovered));
}

void Node::Impl::FinishRecovery() {
  MakeRaft(*std::move(recovered_));
  recovered_.reset();
  FollowConfigurations();
  if (context.formation.participates()) Participate();
}

// This node may vote from here on. One that is alone need not wait for anybody else to campaign.
void Node::Impl::Participate() {
  ticked_ = now_;
  const raft::Term floor = context.formation.term_floor();
  if (!floor.is_zero()) {
    // Told as news of a higher term, which every member follows (thesis 3.3).
    raft().Step(
        {.from = context.formation.peers().front().node_id,
         .to = context.options.node_id,
         .term = floor,
         .body = raft::VoteReply{.pre_vote = false, .campaign_term = floor, .granted = false}});
  }
  if (context.formation.peers().empty()) raft().Campaign();
}

// ---- Inputs

void Node::Impl::OnClientFrame(ConnectionId connection, const FrameView& frame) {
  if (connections.OnFrame(connection, frame)) lock_manager_.OnRequest(connection, frame);
}

void Node::Impl::OnPeerFrame(PeerLinkId link, const FrameView& frame) {
  const bool took_part = context.formation.participates();
  std::optional<PeerMessage> received = peer_links.OnFrame(link, frame);
  if (!is_recovered()) return;
  if (!took_part && context.formation.participates()) Participate();
  if (!received) return;
  if (const auto* digest = std::get_if<DigestMessage>(&*received)) {
    OnDigestMessage(*digest);
    return;
  }
  auto& message = std::get<raft::Message>(*received);
  const Freshness::Sign sign = Freshness::SignOf(message);
  raft().Step(std::move(message));
  freshness_.OnStepped(sign, raft());
  CheckStillLeads();
}

void Node::Impl::OnPeerClosed(PeerLinkId link) {
  peer_links.OnClosed(link);
  CheckLeaderIsThere();
}

void Node::Impl::OnPeerRefused(NodeId peer) {
  peer_links.OnRefused(peer);
  CheckLeaderIsThere();
}

void Node::Impl::CheckLeaderIsThere() {
  if (peer_links.IsGone(raft().leader_id())) raft().SuspectLeader();
}

void Node::Impl::OnWriteDone(const storage::LogWriteDone& done) {
  LOCKD_CHECK(!writes_.empty() && writes_.front().id == done.id, "write ", done.id,
              " is done, but is not the one under way");
  const Write write = std::move(writes_.front());
  writes_.pop_front();
  if ((write.id & kOwnJobBit) != 0) return;
  for (const raft::Message& message : write.messages_once_durable) peer_links.Send(message);
  raft().WriteCompleted(write.id);
}

void Node::Impl::OnReadDone(storage::LogReadDone done) {
  if ((done.id & kOwnJobBit) == 0) {
    raft().ReadCompleted(done.id, std::move(done.entries));
    return;
  }
  log_membership_.Look(done.entries);
  SearchMembership();
}

void Node::Impl::OnStop() {
  if (std::exchange(stop_is_asked_, true)) return;
  // FinishStop follows at the end of the turn in which that is over.
  if (!hand_over_.Begin()) FinishStop();
}

void Node::Impl::FinishStop() {
  context.is_stopping = true;
  context.is_serving = false;
  TellClients();
  connections.RefuseAll(pb::ERROR_CODE_UNAVAILABLE, "this node is stopping");
}

// ---- A turn

void Node::Impl::OnTime(LocalTime now, WallTime wall_now) {
  LOCKD_CHECK(now >= now_, "the monotonic clock went back from ", now_.value(), " to ",
              now.value());
  now_ = now;
  wall_now_ = wall_now;
  LeaveIfRemoved();
  if (leads()) clock_.Advance(now);
  connections.OnTime(now);
  keep_alives_.OnTime(now);
  if (is_recovered() && context.formation.participates()) {
    const Timing::Ticks ticks = timing_.TicksBetween(ticked_, now);
    ticked_ = ticks.until;
    if (ticks.count > 0) raft().Tick(ticks.count);
    receiver_.OnTime(now);
    InstallReceived();
    Pump();
    RunSnapshots();
    WatchDigests();
  }
  SayProgress();
  peer_links.OnTime(now);
  if (leads()) clock_.EndTurn(raft().last_index(), raft().commit_index());
  hand_over_.OnTime(now);
  if (owes_clients_ && !hand_over_.is_under_way()) TellClients();
  if (stop_is_asked_ && !context.is_stopping && !hand_over_.is_under_way()) FinishStop();
  freshness_.OnTime(now, raft(), std::max(raft().commit_index(), receiver_.known_committed()));
  reads_.AnswerStale(freshness_.AgeMs(now));
  NoteWaiting();
}

NodeActions Node::Impl::TakeActions() {
  NodeActions actions = context.outbox.Take(NextWakeup());
  actions.has_stopped = context.is_stopping;
  return actions;
}

void Node::Impl::Pump() {
  applied_bytes_ = 0;
  is_cut_short_ = false;
  while (!is_cut_short_) {
    CheckLeadership();
    ApplyCommitted();
    FollowConfigurations();
    CheckLeadership();  // what was applied may have made it serve
    lock_manager_.ReportDisconnects();
    sender_.OnTime(now_);
    Propose();
    const auto take_write = writes_.empty() ? raft::TakeWrite::kYes : raft::TakeWrite::kNo;
    if (!raft().HasReady(take_write)) break;
    CarryOut(raft().TakeReady(take_write));
    is_cut_short_ = context.outbox.peer_bytes() >= kSendBytesPerTurn;
  }
  SaveClusterId();
}

void Node::Impl::CarryOut(raft::Ready ready) {
  for (const raft::Message& message : ready.messages) peer_links.Send(message);
  if (ready.write) StartWrite(*std::move(ready.write));
  for (const raft::ReadRequest& read : ready.reads) {
    context.outbox.StartDisk(storage::LogRead{
        .id = read.id, .first = read.first, .last = read.last, .bytes_max = read.bytes_max});
  }
  for (raft::Entry& entry : ready.committed) to_apply_.push_back(std::move(entry));
  CarryOutSnapshots(ready);
  for (const raft::ReleasedRead& read : ready.released_reads) reads_.OnReleased(read);
}

void Node::Impl::StartWrite(raft::WriteRequest write) {
  storage::LogWrite job{.id = write.id,
                        .hard_state = write.hard_state,
                        .entries = std::move(write.entries),
                        .cluster_id = {},
                        .base = write.base};
  if (saved_cluster_id_ != context.formation.cluster_id()) {
    saved_cluster_id_ = context.formation.cluster_id();
    job.cluster_id = saved_cluster_id_;
  }
  writes_.push_back({write.id, std::move(write.messages_once_durable)});
  context.outbox.StartDisk(std::move(job));
}

// The directory learns its cluster with the next write, or with one of its own when none is due.
void Node::Impl::SaveClusterId() {
  if (saved_cluster_id_ == context.formation.cluster_id() || !writes_.empty()) return;
  StartWrite({.id = kOwnJobBit | ++own_jobs_,
              .hard_state = {},
              .entries = {},
              .messages_once_durable = {}});
}

void Node::Impl::ApplyCommitted() {
  if (to_apply_.empty()) return;
  while (!to_apply_.empty() && HasTimeToApply(to_apply_.front())) {
    const raft::Entry entry = std::move(to_apply_.front());
    to_apply_.pop_front();
    applied_bytes_ += entry.size_bytes();
    Apply(entry);
  }
  AdoptMembership();
  reads_.OnApplied();
}

// A node that catches up still hears its sockets. One entry is always applied, whatever its size.
bool Node::Impl::HasTimeToApply(const raft::Entry& next) const {
  return applied_bytes_ == 0 || applied_bytes_ + next.size_bytes() <= kApplyBytesPerTurn;
}

void Node::Impl::Apply(const raft::Entry& entry) {
  std::string batch;
  if (entry.kind == raft::EntryKind::kConfiguration) {
    batch = raft::DecodeConfigurationChange(entry.payload)->particulars;  // the core has checked it
  }
  const bool is_command = entry.kind == raft::EntryKind::kCommand;
  const state::ApplyResult result = context.database->Apply(
      entry.time, is_command ? absl::string_view(entry.payload) : absl::string_view(batch));
  applied_bytes_ += result.cleaned_up * kCleanUpBytes;
  LOCKD_CHECK(batch.empty() || result.results.front().refusal == state::Refusal::kNone,
              "the state refuses the change of members of entry ", entry.index);
  const raft::LogBase before = std::exchange(
      context.applied, {.index = entry.index, .term = entry.term, .time = entry.time});
  digest_watch_.OnApplied(before, context.applied, context.database->digest());
  raft().Applied(entry.index);
  taker_.OnApplied(entry.size_bytes());
  std::vector<Waiter> superseded;
  const std::vector<Waiter> waiters = pending_.Take(entry.term, entry.index, &superseded);
  lock_manager_.FailAll(superseded);
  lock_manager_.OnApplied(waiters, result);
}

// ---- Waking up

LocalTime Node::Impl::NextWakeup() const {
  if (!to_apply_.empty() || leaving_ || is_cut_short_) return now_;
  LocalTime next =
      std::min({connections.NextDeadline(), peer_links.NextDeadline(), hand_over_.NextDeadline()});
  if (is_recovered() && context.formation.participates()) {
    next = std::min({next, timing_.TickAfter(ticked_, raft().TicksUntilDue()), taker_.NextWakeup(),
                     sender_.NextWakeup(), backup_.NextWakeup()});
  }
  if (context.is_serving) next = std::min(next, NextLeaderWakeup());
  if (!founding_waits_for_.empty()) next = std::min(next, now_ + kAskClockMs * kNanosPerMilli);
  return next;
}

void Node::Impl::NoteWaiting() {
  std::string waits_for = context.formation.WaitsFor();
  if (waits_for.empty()) waits_for = founding_waits_for_;
  if (waits_for == noted_) return;
  noted_ = std::move(waits_for);
  if (!noted_.empty()) {
    context.outbox.Note(noted_);
  } else {
    context.outbox.Note("this node takes part in its cluster now");
  }
}

}  // namespace lockd::node
