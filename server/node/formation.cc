#include "server/node/formation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockd::node {
namespace {

Verdict WrongIdentity(std::string message) {
  return {Verdict::Kind::kWrongIdentity, std::move(message)};
}
Verdict WrongCluster(std::string message) {
  return {Verdict::Kind::kWrongCluster, std::move(message)};
}

std::string DirectoryLost(NodeId node, ClusterId cluster) {
  return absl::StrCat(
      "cluster ", cluster, " knows node ", node,
      " with another data directory: the one used now is new, or was made for something else. "
      "Start the node with the directory it had, or remove the node from the cluster and add it "
      "as a new member");
}

}  // namespace

Formation::Formation(const NodeOptions& options, const raft::RecoveredLog& recovered)
    : self_(options.node_id),
      incarnation_(options.incarnation),
      cluster_name_(options.cluster_name),
      client_address_(options.client_address),
      cluster_id_(options.cluster_id) {
  SetMembers(options.bootstrap_members);
  const bool is_untouched = recovered.last_index.is_zero() && recovered.hard_state.term.is_zero();
  // A directory with a cluster id is a registered one: it was learned by rule (a) or applied.
  participates_ = !is_untouched || !cluster_id_.is_zero() || peers_.empty();
}

void Formation::SetMembers(std::vector<state::Member> members) {
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.node_id < b.node_id; });
  members_ = std::move(members);
  peers_.clear();
  for (const state::Member& member : members_) {
    if (member.node_id != self_) peers_.push_back(member);
  }
}

void Formation::SetMembersOfLog(const state::Bootstrap& bootstrap) {
  SetMembers(bootstrap.members);
}

Verdict Formation::SetApplied(ClusterId cluster_id, const std::vector<state::Member>& members) {
  if (!cluster_id_.is_zero() && cluster_id_ != cluster_id) {
    return {Verdict::Kind::kFatal, absl::StrCat("the data directory belongs to cluster ",
                                                cluster_id_, ", its log to cluster ", cluster_id)};
  }
  cluster_id_ = cluster_id;
  SetMembers(members);
  if (peers_.size() == members_.size()) {
    return {Verdict::Kind::kFatal,
            absl::StrCat("node ", self_, " is not a member of cluster ", cluster_id)};
  }
  const Incarnation own = RegisteredIncarnation(self_);
  if (!own.is_zero() && own != incarnation_) {
    return {Verdict::Kind::kFatal, DirectoryLost(self_, cluster_id)};
  }
  return {};
}

Verdict Formation::OnHello(const PeerClaim& claim) {
  Verdict verdict = Judge(claim);
  if (verdict.kind != Verdict::Kind::kAccepted) return verdict;
  Heard& heard = heard_[claim.node_id];
  heard.claim = claim;
  heard.was_empty |= !claim.has_log && claim.cluster_id.is_zero();
  if (!participates_) MaybeParticipate(claim);
  return verdict;
}

Verdict Formation::Judge(const PeerClaim& claim) const {
  if (claim.cluster_name != cluster_name_) {
    return WrongCluster(absl::StrCat("node ", claim.node_id, " belongs to a cluster named '",
                                     claim.cluster_name, "', node ", self_, " to '", cluster_name_,
                                     "'"));
  }
  if (!cluster_id_.is_zero() && !claim.cluster_id.is_zero() && claim.cluster_id != cluster_id_) {
    return WrongCluster(absl::StrCat("node ", claim.node_id, " belongs to cluster ",
                                     claim.cluster_id, ", node ", self_, " to cluster ",
                                     cluster_id_));
  }
  if (!IsPeer(claim.node_id)) {
    return WrongIdentity(absl::StrCat(
        "node ", claim.node_id,
        claim.node_id == self_ ? " is this node's own id" : " is not a member", "; members are ",
        absl::StrJoin(members_, ", ", [](std::string* out, const state::Member& member) {
          absl::StrAppend(out, member.node_id, " at ", member.peer_address);
        })));
  }
  Verdict verdict = JudgeIncarnation(claim);
  if (verdict.kind != Verdict::Kind::kAccepted) return verdict;
  if (!claim.cluster_id.is_zero() && !claim.your_incarnation.is_zero() &&
      claim.your_incarnation != incarnation_) {
    // Anybody can say a hello. A node whose own log has it registered does not leave for one.
    if (RegisteredIncarnation(self_) == incarnation_) {
      return WrongIdentity(absl::StrCat("node ", claim.node_id, " takes node ", self_,
                                        " for another one than its log says"));
    }
    return {Verdict::Kind::kFatal, DirectoryLost(self_, claim.cluster_id)};
  }
  return {};
}

Verdict Formation::JudgeIncarnation(const PeerClaim& claim) const {
  if (claim.incarnation.is_zero()) {
    return WrongIdentity(absl::StrCat("node ", claim.node_id, " names no incarnation"));
  }
  if (const Incarnation registered = RegisteredIncarnation(claim.node_id); !registered.is_zero()) {
    if (registered == claim.incarnation) return {};
    return WrongIdentity(DirectoryLost(claim.node_id, cluster_id_));
  }
  const auto heard = heard_.find(claim.node_id);
  if (heard != heard_.end() && heard->second.claim.incarnation != claim.incarnation) {
    return WrongIdentity(absl::StrCat(
        "node ", claim.node_id, " has another data directory than when it was first heard by node ",
        self_, "; if that is intended and the cluster has not formed yet, restart node ", self_));
  }
  return {};
}

void Formation::MaybeParticipate(const PeerClaim& claim) {
  // Rule (a).
  if (!claim.cluster_id.is_zero()) {
    if (claim.your_incarnation == incarnation_) {
      cluster_id_ = claim.cluster_id;
      participates_ = true;
    }
    return;
  }
  // Rule (b).
  raft::Term highest;
  for (const state::Member& peer : peers_) {
    const auto heard = heard_.find(peer.node_id);
    if (heard == heard_.end() || !heard->second.was_empty) return;
    if (!heard->second.claim.cluster_id.is_zero()) return;  // rule (a) will speak
    highest = std::max(highest, heard->second.claim.term);
  }
  participates_ = true;
  formed_here_ = true;
  if (!highest.is_zero()) term_floor_ = highest + 1;
}

bool Formation::ListensTo(NodeId peer) const {
  const auto heard = heard_.find(peer);
  if (!participates_ || heard == heard_.end()) return false;
  const PeerClaim& claim = heard->second.claim;
  // What was acceptable at the hello may not be any more, now that more is applied.
  if (Judge(claim).kind != Verdict::Kind::kAccepted) return false;
  // A peer that has not taken part in anything waits, as this node would in its place.
  return !claim.is_untouched() || formed_here_ || RegisteredIncarnation(peer) == claim.incarnation;
}

bool Formation::IsPeer(NodeId node) const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [node](const state::Member& peer) { return peer.node_id == node; });
}

Incarnation Formation::RegisteredIncarnation(NodeId node) const {
  for (const state::Member& member : members_) {
    if (member.node_id == node) return member.incarnation;
  }
  return Incarnation{0};
}

std::optional<std::vector<state::Member>> Formation::Founders() const {
  std::vector<state::Member> founders = members_;
  for (state::Member& member : founders) {
    if (member.node_id == self_) {
      member.incarnation = incarnation_;
      member.client_address = client_address_;
      continue;
    }
    const auto heard = heard_.find(member.node_id);
    if (heard == heard_.end()) return std::nullopt;
    const PeerClaim& claim = heard->second.claim;
    member.incarnation = claim.incarnation;
    member.client_address = claim.client_address;
    if (!claim.peer_address.empty()) member.peer_address = claim.peer_address;
  }
  return founders;
}

uint32_t Formation::CommonFeatureLevel() const {
  uint32_t level = state::kFeatureLevelMax;
  for (const auto& [node, heard] : heard_) level = std::min(level, heard.claim.feature_level_max);
  return level;
}

std::string Formation::ClientAddressOf(NodeId node) const {
  if (node == self_) return client_address_;
  if (const auto heard = heard_.find(node);
      heard != heard_.end() && !heard->second.claim.client_address.empty()) {
    return heard->second.claim.client_address;
  }
  for (const state::Member& member : members_) {
    if (member.node_id == node) return member.client_address;
  }
  return {};
}

std::string Formation::WaitsFor() const {
  if (participates_) return {};
  std::vector<std::string> reasons;
  for (const state::Member& peer : peers_) {
    const auto heard = heard_.find(peer.node_id);
    if (heard == heard_.end()) {
      reasons.push_back(
          absl::StrCat("node ", peer.node_id, " at ", peer.peer_address, " has not been heard"));
    } else if (!heard->second.claim.cluster_id.is_zero()) {
      reasons.push_back(absl::StrCat("node ", peer.node_id, " belongs to cluster ",
                                     heard->second.claim.cluster_id,
                                     ", which does not know this node"));
    } else if (!heard->second.was_empty) {
      reasons.push_back(
          absl::StrCat("node ", peer.node_id, " has a log of a cluster that is about to form"));
    }
  }
  return absl::StrCat("this node's data directory is empty; it takes no part yet: ",
                      absl::StrJoin(reasons, "; "));
}

}  // namespace lockd::node
