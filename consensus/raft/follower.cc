#include "consensus/raft/follower.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

Follower::Follower(Core& core, NodeId leader)
    : leader_id_(leader), heard_at_(core.now()), election_at_(core.DrawElectionTick()) {}

Transition Follower::OnTick(const Core& core) const {
  if (core.now() < election_at_ || !core.MayCampaign()) return Transition::kNone;
  return Transition::kPreVote;
}

bool Follower::HasLiveLeader(const Core& core) const {
  return !leader_id_.is_zero() && core.now() - heard_at_ < core.options().election_ticks_min;
}

void Follower::SuspectLeader(Core& core) {
  LOCKD_REACH(kDeadLeaderSuspected);
  leader_id_ = NodeId{0};
  election_at_ = std::min(election_at_, core.DrawEarlyElectionTick());
}

void Follower::HeardLeader(Core& core, NodeId leader) {
  LOCKD_CHECK(leader_id_.is_zero() || leader_id_ == leader, "two leaders in term ", core.term(),
              ": ", leader_id_, " and ", leader);
  leader_id_ = leader;
  heard_at_ = core.now();
  election_at_ = core.DrawElectionTick();
}

void Follower::OnAppendRequest(Core& core, NodeId from, AppendRequest request) {
  HeardLeader(core, from);
  RaftLog& log = core.log();
  AppendReply reply;
  reply.prev_index = request.prev_index;
  reply.round = request.round;
  if (!log.Matches(request.prev_index, request.prev_term)) {
    // All below a term of ours that is above the leader's conflicts with it: skip whole terms. Up
    // to the commit index the logs are known to meet.
    reply.hint_index =
        log.GreatestWithTermAtMost(request.prev_index, request.prev_term, log.commit_index());
    reply.hint_term = log.TermAt(reply.hint_index).value_or(request.prev_term);
    core.Send(from, reply);
    return;
  }
  // What this message proves to be the leader's, and nothing beyond it: entries of ours may
  // follow that no leader of this term has.
  const Index match_index = request.prev_index + request.entries.size();
  log.Merge(std::move(request.entries));
  log.CommitTo(std::min(request.commit, match_index));
  reply.accepted = true;
  reply.match_index = match_index;
  core.SendOnceDurable(from, reply, match_index);
}

void Follower::OnHeartbeat(Core& core, NodeId from, const Heartbeat& heartbeat) {
  HeardLeader(core, from);
  core.log().CommitTo(heartbeat.commit);
  core.Send(from, HeartbeatReply{heartbeat.round});
}

void Follower::OnSnapshotChunk(Core& core, NodeId from, SnapshotChunk chunk) {
  HeardLeader(core, from);
  core.Hand(ReceivedChunk{from, std::move(chunk)});
}

void Follower::ReplySnapshotChunk(Core& core, NodeId to, SnapshotChunkReply reply) const {
  if (to.is_zero() || to != leader_id_) return;
  if (!reply.installed) {
    core.Send(to, std::move(reply));
    return;
  }
  // It acknowledges all entries up to the base, so it waits as an acknowledgement does: for the
  // write that tells the disk of the base, or of the entries that this member has got otherwise.
  const Index base = reply.snapshot.base.index;
  LOCKD_CHECK(base <= core.log().commit_index(), "entry ", base, " is not committed here, and its ",
              "snapshot not restored: commit ", core.log().commit_index());
  core.SendOnceDurable(to, std::move(reply), base);
}

}  // namespace lockd::raft
