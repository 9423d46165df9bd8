#include "server/node/node.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/node/client_connections.h"
#include "server/node/cluster_clock.h"
#include "server/node/context.h"
#include "server/node/freshness.h"
#include "server/node/group_commit.h"
#include "server/node/keep_alive_collector.h"
#include "server/node/lock_manager.h"
#include "server/node/log_membership.h"
#include "server/node/peer_links.h"
#include "server/node/pending_requests.h"
#include "server/node/reads.h"
#include "server/node/timing.h"
#include "server/state/command.h"

namespace lockd::node {
namespace {

// Disk jobs of the node itself, told from the core's by this bit.
constexpr uint64_t kOwnJobBit = uint64_t{1} << 63;
// Entries applied in one turn, by their size: a node that catches up still hears its sockets.
constexpr size_t kApplyBytesPerTurn = 512 * 1024;

}  // namespace

class Node::Impl {
 public:
  Impl(NodeOptions options, raft::RecoveredLog recovered, LocalTime now);

  void OnClientFrame(ConnectionId connection, const FrameView& frame);
  void OnPeerFrame(PeerLinkId link, const FrameView& frame);
  void OnPeerRefused(NodeId peer);
  void OnWriteDone(const storage::LogWriteDone& done);
  void OnReadDone(storage::LogReadDone done);
  void OnTime(LocalTime now, WallTime wall_now);
  void OnStop();
  [[nodiscard]] NodeActions TakeActions();

  NodeContext context;
  ClientConnections connections{context};
  PeerLinks peer_links{context.options, context.formation, context.outbox};
  [[nodiscard]] int64_t suppressed_ms() const { return clock_.suppressed_ms(); }

 private:
  struct Write {
    uint64_t id = 0;
    std::vector<raft::Message> messages_once_durable;
  };

  [[nodiscard]] raft::Raft& raft() { return *context.raft; }
  [[nodiscard]] const raft::Raft& raft() const { return *context.raft; }
  [[nodiscard]] bool leads() const { return !led_term_.is_zero(); }

  // -- start --
  void MakeRaft(raft::RecoveredLog recovered);
  void FinishSearch();
  void Participate();

  // -- a turn --
  void Pump();
  void CheckStillLeads();
  void CheckLeadership();
  void BeginLeading();
  void StopLeading();
  void CarryOut(raft::Ready ready);
  void StartWrite(raft::WriteRequest write);
  void SaveClusterId();
  void ApplyCommitted();
  void AdoptMembership();
  void Propose();
  void ProposeBootstrap();
  [[nodiscard]] bool IsTimeEntryDue() const;
  [[nodiscard]] LocalTime NextTimeEntry() const;
  void ProposeEntry(GroupCommit::Draft draft);
  [[nodiscard]] LocalTime NextWakeup() const;
  [[nodiscard]] LocalTime NextLeaderWakeup() const;
  void NoteWaiting();

  const Timing timing_{context.options};
  ClusterClock clock_{context.options.suppress_ms, context.options.turn_advance_ms_max};
  KeepAliveCollector keep_alives_{context.options.keep_alive_window_ms};
  GroupCommit group_commit_{context.options};
  PendingRequests pending_;
  Freshness freshness_;
  Reads reads_{context, connections};
  LockManager lock_manager_{context, connections, group_commit_, keep_alives_, reads_};

  // The log's own membership is looked for first; until it is known, the core is idle.
  LogMembership log_membership_;
  std::optional<raft::RecoveredLog> recovered_;  // while the search reads from disk

  LocalTime now_;
  WallTime wall_now_;
  LocalTime ticked_;  // up to here, time has been given to the core

  raft::Term led_term_;                    // the term in which this node leads; zero: none
  std::optional<raft::Index> serve_from_;  // serves once this is applied
  LocalTime proposed_at_;                  // when an entry was last proposed

  std::deque<Write> writes_;  // under way, in order
  uint64_t own_jobs_ = 0;
  ClusterId saved_cluster_id_;  // in the directory, or on its way there
  std::deque<raft::Entry> to_apply_;
  size_t apply_bytes_left_ = 0;  // in this turn
  std::vector<state::Member> adopted_members_;
  std::string noted_;
};

Node::Impl::Impl(NodeOptions options, raft::RecoveredLog recovered, LocalTime now)
    : context(std::move(options), recovered), now_(now), ticked_(now) {
  saved_cluster_id_ = context.options.cluster_id;
  log_membership_.Start(recovered);
  if (!log_membership_.is_done()) {
    recovered_ = recovered;
    context.outbox.StartDisk(log_membership_.NextRead(kOwnJobBit | ++own_jobs_));
  }
  MakeRaft(std::move(recovered));
  if (log_membership_.is_done()) FinishSearch();
  peer_links.SetOwnProgress(!raft().last_index().is_zero(), raft().term());
}

void Node::Impl::MakeRaft(raft::RecoveredLog recovered) {
  if (log_membership_.found()) context.formation.SetMembersOfLog(*log_membership_.found());
  raft::Options options = timing_.RaftOptions(context.options);
  for (const state::Member& member : context.formation.members()) {
    options.configuration.voters.push_back(member.node_id);
  }
  context.raft = std::make_unique<raft::Raft>(options, std::move(recovered));
}

void Node::Impl::FinishSearch() {
  if (recovered_) {
    MakeRaft(*std::move(recovered_));
    recovered_.reset();
  }
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
  std::optional<raft::Message> message = peer_links.OnFrame(link, frame);
  if (!log_membership_.is_done()) return;
  if (!took_part && context.formation.participates()) Participate();
  if (!message) return;
  const Freshness::Sign sign = Freshness::SignOf(*message);
  raft().Step(*std::move(message));
  freshness_.OnStepped(sign, raft());
  CheckStillLeads();
}

void Node::Impl::OnPeerRefused(NodeId peer) {
  if (raft().leader_id() == peer) raft().SuspectLeader();
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
  if (log_membership_.is_done()) {
    FinishSearch();
  } else {
    context.outbox.StartDisk(log_membership_.NextRead(kOwnJobBit | ++own_jobs_));
  }
}

void Node::Impl::OnStop() {
  if (context.is_stopping) return;
  context.is_stopping = true;
  context.is_serving = false;
  lock_manager_.FailAll(pending_.TakeAll());
  lock_manager_.FailAll(group_commit_.TakeAllWaiters());
  lock_manager_.FailAll({keep_alives_.TakeAllWaiters()});
  reads_.FailAll();
  connections.UnbindAll();
  connections.RefuseAll(pb::ERROR_CODE_UNAVAILABLE, "this node is stopping");
}

// ---- A turn

void Node::Impl::OnTime(LocalTime now, WallTime wall_now) {
  LOCKD_CHECK(now >= now_, "the monotonic clock went back from ", now_.value(), " to ",
              now.value());
  now_ = now;
  wall_now_ = wall_now;
  if (leads()) clock_.Advance(now);
  connections.OnTime(now);
  keep_alives_.OnTime(now);
  if (log_membership_.is_done() && context.formation.participates()) {
    const Timing::Ticks ticks = timing_.TicksBetween(ticked_, now);
    ticked_ = ticks.until;
    if (ticks.count > 0) raft().Tick(ticks.count);
    Pump();
  }
  peer_links.SetOwnProgress(!raft().last_index().is_zero(), raft().term());
  peer_links.OnTime(now);
  if (leads()) clock_.EndTurn(raft().last_index(), raft().commit_index());
  freshness_.OnTime(now, raft());
  reads_.AnswerStale(freshness_.AgeMs(now));
  NoteWaiting();
}

NodeActions Node::Impl::TakeActions() {
  return context.outbox.Take(NextWakeup());
}

void Node::Impl::Pump() {
  apply_bytes_left_ = kApplyBytesPerTurn;
  for (;;) {
    CheckLeadership();
    ApplyCommitted();
    CheckLeadership();  // what was applied may have made it serve
    lock_manager_.ReportDisconnects();
    Propose();
    const auto take_write = writes_.empty() ? raft::TakeWrite::kYes : raft::TakeWrite::kNo;
    if (!raft().HasReady(take_write)) break;
    CarryOut(raft().TakeReady(take_write));
  }
  SaveClusterId();
}

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
      !context.database.cluster_id().is_zero()) {
    context.is_serving = true;
    context.outbox.Note(
        absl::StrCat("serving as leader of term ", led_term_, " from entry ", *serve_from_));
  }
}

void Node::Impl::BeginLeading() {
  led_term_ = raft().term();
  clock_.Start(raft().last_time(), now_);
  proposed_at_ = now_;
  context.outbox.Note(absl::StrCat("elected leader of term ", led_term_));
}

void Node::Impl::StopLeading() {
  context.outbox.Note(
      absl::StrCat("no longer leader of term ", led_term_, ", now in term ", raft().term()));
  led_term_ = raft::Term{0};
  serve_from_.reset();
  context.is_serving = false;
  lock_manager_.FailAll(pending_.TakeAll());
  lock_manager_.FailAll(group_commit_.TakeAllWaiters());
  lock_manager_.FailAll({keep_alives_.TakeAllWaiters()});
  reads_.FailAll();
  connections.UnbindAll();
}

void Node::Impl::CarryOut(raft::Ready ready) {
  for (const raft::Message& message : ready.messages) peer_links.Send(message);
  if (ready.write) StartWrite(*std::move(ready.write));
  for (const raft::ReadRequest& read : ready.reads) {
    context.outbox.StartDisk(storage::LogRead{
        .id = read.id, .first = read.first, .last = read.last, .bytes_max = read.bytes_max});
  }
  for (raft::Entry& entry : ready.committed) to_apply_.push_back(std::move(entry));
  for (const raft::ReleasedRead& read : ready.released_reads) reads_.OnReleased(read);
}

void Node::Impl::StartWrite(raft::WriteRequest write) {
  storage::LogWrite job{.id = write.id,
                        .hard_state = write.hard_state,
                        .entries = std::move(write.entries),
                        .cluster_id = {},
                        .base = {}};
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
  while (!to_apply_.empty() && apply_bytes_left_ > 0) {
    const raft::Entry entry = std::move(to_apply_.front());
    to_apply_.pop_front();
    apply_bytes_left_ -= std::min(apply_bytes_left_, entry.size_bytes());
    const bool is_command = entry.kind == raft::EntryKind::kCommand;
    const state::ApplyResult result = context.database.Apply(
        entry.time, is_command ? absl::string_view(entry.payload) : absl::string_view());
    raft().Applied(entry.index);
    std::vector<Waiter> superseded;
    const std::vector<Waiter> waiters = pending_.Take(entry.term, entry.index, &superseded);
    lock_manager_.FailAll(superseded);
    lock_manager_.OnApplied(waiters, result);
  }
  AdoptMembership();
  reads_.OnApplied();
}

void Node::Impl::AdoptMembership() {
  const ClusterId cluster_id = context.database.cluster_id();
  const std::vector<state::Member>& members = context.database.members();
  if (cluster_id.is_zero() ||
      (cluster_id == context.formation.cluster_id() && members == adopted_members_)) {
    return;
  }
  adopted_members_ = members;
  const Verdict verdict = context.formation.SetApplied(cluster_id, members);
  if (verdict.kind == Verdict::Kind::kFatal) {
    context.outbox.Die(17, verdict.message);
    return;
  }
  std::vector<NodeId> voters;
  for (const state::Member& member : context.formation.members()) voters.push_back(member.node_id);
  if (voters != raft().configuration().voters) {
    context.outbox.Die(
        11, absl::StrCat("this node was started with other members than cluster ", cluster_id,
                         " was formed with; start it again, it now uses those"));
  }
}

// ---- The leader's entries

// At most one entry for each write, and none while one is under way: what comes meanwhile is the
// next one.
void Node::Impl::Propose() {
  if (!leads() || !writes_.empty() || context.outbox.is_dying()) return;
  if (context.database.cluster_id().is_zero()) {
    ProposeBootstrap();
    return;
  }
  if (!context.is_serving) return;
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
  state::BatchBuilder builder;
  builder.Add(state::Bootstrap{.cluster_id = context.options.cluster_id_draw,
                               .feature_level = context.formation.CommonFeatureLevel(),
                               .settings = context.options.bootstrap_settings,
                               .members = *std::move(founders)});
  ProposeEntry({.payload = builder.Take(wall_now_), .waiters = {Nobody{}}});
}

bool Node::Impl::IsTimeEntryDue() const {
  // A backlog is worked off entry by entry, each proposed when the one before is applied.
  if (context.database.HasBacklog()) return raft().applied_index() == raft().last_index();
  return NextTimeEntry() <= now_;
}

// When the next time entry is due if nothing else is proposed: soon after a deadline, and often
// enough for a new leader to know how much time has passed. Deadlines close to each other share
// one.
LocalTime Node::Impl::NextTimeEntry() const {
  const ClusterTime deadline = context.database.NextDeadline();
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

// ---- Waking up

LocalTime Node::Impl::NextWakeup() const {
  if (!to_apply_.empty()) return now_;
  LocalTime next = std::min(connections.NextDeadline(), peer_links.NextDeadline());
  if (log_membership_.is_done() && context.formation.participates()) {
    next = std::min(next, timing_.TickAfter(ticked_, raft().TicksUntilDue()));
  }
  if (context.is_serving) next = std::min(next, NextLeaderWakeup());
  return next;
}

LocalTime Node::Impl::NextLeaderWakeup() const {
  LocalTime next = kNeverLocal;
  if (context.database.NextDeadline() != kNeverCluster) {
    // Often enough for no turn to be longer than what one may add to the cluster's time.
    const int64_t turn_ms =
        std::min(context.options.turn_advance_ms_max, context.options.suppress_ms) / 2;
    next = now_ + turn_ms * kNanosPerMilli;
  }
  // While a write is under way nothing is proposed, and its end is a turn of its own.
  if (writes_.empty()) next = std::min({next, keep_alives_.due_at(), NextTimeEntry()});
  // What could not be proposed in this turn cannot be proposed sooner than something happens.
  return std::max(next, now_ + kNanosPerMilli);
}

void Node::Impl::NoteWaiting() {
  std::string waits_for = context.formation.WaitsFor();
  if (waits_for == noted_) return;
  noted_ = std::move(waits_for);
  if (!noted_.empty()) {
    context.outbox.Note(noted_);
  } else {
    context.outbox.Note("this node takes part in its cluster now");
  }
}

// ---- The facade

Node::Node(NodeOptions options, raft::RecoveredLog recovered, LocalTime now)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(recovered), now)) {}
Node::~Node() = default;

void Node::OnClientConnected(ConnectionId connection) {
  impl_->connections.OnConnected(connection);
}
void Node::OnClientFrame(ConnectionId connection, const FrameView& frame) {
  impl_->OnClientFrame(connection, frame);
}
void Node::OnClientPartial(ConnectionId connection) {
  impl_->connections.OnPartial(connection);
}
void Node::OnClientGarbage(ConnectionId connection, const absl::Status& error) {
  if (impl_->connections.IsOpen(connection)) {
    impl_->connections.Refuse(connection, pb::ERROR_CODE_PROTOCOL, error.message());
  }
}
void Node::OnClientClosed(ConnectionId connection) {
  impl_->connections.OnClosed(connection);
}
size_t Node::ClientFrameBytesMax(ConnectionId connection) const {
  return impl_->connections.FrameBytesMax(connection);
}

const std::vector<state::Member>& Node::peers() const {
  return impl_->context.formation.peers();
}
void Node::OnPeerDialed(NodeId peer, PeerLinkId link) {
  impl_->peer_links.OnDialed(peer, link);
}
void Node::OnPeerAccepted(PeerLinkId link) {
  impl_->peer_links.OnAccepted(link);
}
void Node::OnPeerFrame(PeerLinkId link, const FrameView& frame) {
  impl_->OnPeerFrame(link, frame);
}
void Node::OnPeerPartial(PeerLinkId link) {
  impl_->peer_links.OnPartial(link);
}
bool Node::PeerIsGreeted(PeerLinkId link) const {
  return impl_->peer_links.IsGreeted(link);
}
void Node::OnPeerGarbage(PeerLinkId link, const absl::Status& error) {
  impl_->peer_links.OnGarbage(link, error);
}
void Node::OnPeerClosed(PeerLinkId link) {
  impl_->peer_links.OnClosed(link);
}
void Node::OnPeerRefused(NodeId peer) {
  impl_->OnPeerRefused(peer);
}
size_t Node::PeerFrameBytesMax(PeerLinkId link) const {
  return impl_->peer_links.FrameBytesMax(link);
}

void Node::OnWriteDone(storage::LogWriteDone done) {
  impl_->OnWriteDone(done);
}
void Node::OnReadDone(storage::LogReadDone done) {
  impl_->OnReadDone(std::move(done));
}
void Node::OnFreeBytes(uint64_t free_bytes) {
  impl_->context.disk_space.OnFreeBytes(free_bytes, &impl_->context.outbox);
}
void Node::OnTime(LocalTime now, WallTime wall_now) {
  impl_->OnTime(now, wall_now);
}
void Node::OnStop() {
  impl_->OnStop();
}
NodeActions Node::TakeActions() {
  return impl_->TakeActions();
}
void Node::set_rim_status(const RimStatus& status) {
  impl_->context.rim = status;
}

const raft::Raft& Node::raft() const {
  return *impl_->context.raft;
}
const state::LockDatabase& Node::database() const {
  return impl_->context.database;
}
bool Node::is_forming() const {
  return impl_->context.is_forming();
}
bool Node::is_serving() const {
  return impl_->context.is_serving;
}
int64_t Node::suppressed_ms() const {
  return impl_->suppressed_ms();
}

}  // namespace lockd::node
