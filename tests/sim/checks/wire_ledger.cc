#include "tests/sim/checks/wire_ledger.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"

namespace lockd::sim {

std::string WireLedger::Sent(const raft::Message& message) {
  if (const auto* append = std::get_if<raft::AppendRequest>(&message.body)) {
    return OnAppend(message, *append);
  }
  if (const auto* ack = std::get_if<raft::AppendReply>(&message.body)) return OnAck(message, *ack);
  if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
    return OnHeartbeat(message, *heartbeat);
  }
  if (const auto* reply = std::get_if<raft::HeartbeatReply>(&message.body)) {
    return OnHeartbeatReply(message, *reply);
  }
  if (const auto* vote = std::get_if<raft::VoteReply>(&message.body)) {
    return OnVote(message, *vote);
  }
  if (const auto* reply = std::get_if<raft::SnapshotChunkReply>(&message.body)) {
    return OnChunkReply(message, *reply);
  }
  const auto* request = std::get_if<raft::VoteRequest>(&message.body);
  if (request != nullptr && !request->pre_vote) {
    campaigns_.insert({request->campaign_term, message.from, message.to});
  }
  return "";
}

std::string WireLedger::OnAppend(const raft::Message& message, const raft::AppendRequest& append) {
  Traffic& traffic = traffic_[{message.term, message.from, message.to}];
  traffic.sent = std::max(traffic.sent, append.prev_index + append.entries.size());
  traffic.round = std::max(traffic.round, append.round);
  if (append.commit < traffic.commit) {
    return absl::StrCat("CommitNeverBack: leader ", message.from, " of term ", message.term,
                        " tells ", message.to, " commit ", append.commit, " after ",
                        traffic.commit);
  }
  traffic.commit = append.commit;
  return "";
}

std::string WireLedger::OnAck(const raft::Message& message, const raft::AppendReply& ack) {
  // A refusal says nothing about entries, and may answer a leader of an earlier term.
  if (!ack.accepted) return "";
  Traffic& traffic = traffic_[{message.term, message.to, message.from}];
  if (ack.match_index > traffic.sent) {
    return absl::StrCat("AckWithinSent: node ", message.from, " acknowledges ", ack.match_index,
                        " to leader ", message.to, " of term ", message.term, ", which sent up to ",
                        traffic.sent);
  }
  if (ack.round > traffic.round) {
    return absl::StrCat("RoundWithinSent: node ", message.from, " echoes round ", ack.round,
                        " to leader ", message.to, ", which is in ", traffic.round);
  }
  traffic.acknowledged = std::max(traffic.acknowledged, ack.match_index);
  return "";
}

// An installed snapshot acknowledges what it covers.
std::string WireLedger::OnChunkReply(const raft::Message& message,
                                     const raft::SnapshotChunkReply& reply) {
  if (!reply.installed) return "";
  Traffic& traffic = traffic_[{message.term, message.to, message.from}];
  traffic.acknowledged = std::max(traffic.acknowledged, reply.snapshot.base.index);
  return "";
}

std::string WireLedger::OnHeartbeat(const raft::Message& message,
                                    const raft::Heartbeat& heartbeat) {
  Traffic& traffic = traffic_[{message.term, message.from, message.to}];
  traffic.round = std::max(traffic.round, heartbeat.round);
  if (heartbeat.commit <= traffic.acknowledged) return "";
  return absl::StrCat("HeartbeatWithinAck: leader ", message.from, " of term ", message.term,
                      " tells ", message.to, " commit ", heartbeat.commit, ", acknowledged was ",
                      traffic.acknowledged);
}

std::string WireLedger::OnHeartbeatReply(const raft::Message& message,
                                         const raft::HeartbeatReply& reply) const {
  const auto found = traffic_.find({message.term, message.to, message.from});
  // Nothing in this term: it answers a leader of an earlier one, to depose it.
  if (found == traffic_.end() || reply.round <= found->second.round) return "";
  return absl::StrCat("RoundWithinSent: node ", message.from, " echoes round ", reply.round,
                      " to leader ", message.to, ", which is in ", found->second.round);
}

std::string WireLedger::OnVote(const raft::Message& message, const raft::VoteReply& reply) const {
  if (reply.pre_vote || !reply.granted ||
      campaigns_.contains({reply.campaign_term, message.to, message.from})) {
    return "";
  }
  return absl::StrCat("VoteAnswersRequest: node ", message.from, " votes for ", message.to,
                      " in term ", reply.campaign_term, ", unasked");
}

}  // namespace lockd::sim
