// How a snapshot becomes the state, at a start and from a leader, and who works on snapshots when.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/node/membership.h"
#include "server/node/node_impl.h"
#include "server/state/lock_database.h"

namespace lockd::node {
namespace {

constexpr int kExitUnknownVersion = 12;
constexpr int kExitDamaged = 14;

}  // namespace

void Node::Impl::OnSnapshotJobDone(const storage::SnapshotJobDone& done) {
  if (load_) {
    OnLoadJobDone(done);
    return;
  }
  // What nobody waits for was given up.
  if (taker_.OnJobDone(done) || receiver_.OnJobDone(done)) return;
  if (sender_.OnJobDone(done)) return;
  (void)backup_.OnJobDone(done);
}

// ---- At a start

void Node::Impl::OnLoadJobDone(const storage::SnapshotJobDone& done) {
  const raft::SnapshotId snapshot = load_->snapshot();
  if (absl::Status status = load_->OnJobDone(done); !status.ok()) {
    const bool is_newer = absl::IsFailedPrecondition(status);
    context.outbox.Die(is_newer ? kExitUnknownVersion : kExitDamaged,
                       absl::StrCat("the snapshot of entry ", snapshot.base.index,
                                    " cannot be loaded: ", std::string(status.message()),
                                    is_newer ? "; run a newer version of lockd" : ""));
    return;
  }
  if (!load_->is_done()) return;
  context.database = load_->Take();
  context.applied = snapshot.base;
  context.is_loading = false;
  load_.reset();
  context.outbox.Note(absl::StrCat("state after entry ", snapshot.base.index,
                                   " loaded: ", context.database->lock_count(), " locks, ",
                                   context.database->session_count(), " sessions"));
  if (context.database->cluster_id().is_zero()) {
    // Made from a backup: what has become of it since stands in the log. For other nodes this one
    // is of no use.
    context.snapshots.Forget(snapshot);
    log_membership_.Start(*recovered_);
    SearchMembership();
  } else if (TakeOverMembers()) {
    FinishRecovery();
  }
}

// ---- In a turn

void Node::Impl::CarryOutSnapshots(raft::Ready& ready) {
  for (raft::ReceivedChunk& received : ready.snapshot_chunks) {
    receiver_.OnChunk(received.from, std::move(received.chunk));
    // The leader's is ahead of anything that could be taken here.
    if (receiver_.is_busy()) taker_.Cancel();
  }
  for (const raft::ReceivedChunkReply& received : ready.snapshot_replies) {
    sender_.OnReply(received.from, received.reply);
  }
}

// Nobody waits for anything here: a node that follows has no requests of clients under way, and
// what is asked about the state meanwhile is answered from the old one.
void Node::Impl::InstallReceived() {
  if (!receiver_.has_loaded()) return;
  const raft::LogBase base = receiver_.snapshot().base;
  // A candidate waits until it is known who leads.
  if (!raft().RestoreSnapshot(base, ConfigurationOf(receiver_.loaded().members()))) return;
  to_apply_.clear();
  taker_.OnStateReplaced();
  digest_watch_.OnStateReplaced();
  context.applied = base;
  context.outbox.Discard(std::exchange(context.database, receiver_.TakeLoaded()));
  context.outbox.Note(absl::StrCat("state after entry ", base.index,
                                   " taken over from the leader: ", context.database->lock_count(),
                                   " locks, ", context.database->session_count(), " sessions"));
  AdoptMembership();
}

// After everything that is applied in this turn, so that a snapshot begins with the newest state.
void Node::Impl::RunSnapshots() {
  if (sender_.needs_snapshot() && !taker_.is_taking()) taker_.Ask();
  backup_.OnTime(now_);
  taker_.OnTime(now_, /*may_begin=*/!receiver_.is_busy() && !context.outbox.is_dying());
}

}  // namespace lockd::node
