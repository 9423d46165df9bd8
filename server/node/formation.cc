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
      "as a new member, with a new id (lockd --rejoin moves this directory aside)");
}

std::string Name(const std::optional<raft::SnapshotId>& backup) {
  if (!backup) return "no backup";
  return absl::StrCat("the backup of entry ", backup->base.index, " (", backup->bytes,
                      " bytes, checksum ", absl::Hex(backup->checksum, absl::kZeroPad8), ")");
}

std::string Removed(NodeId node, ClusterId cluster) {
  return absl::StrCat(
      "node ", node, " was removed from cluster ", cluster,
      "; its data directory is of no use to it any more. To run a node here again, "
      "add a new one (lockctl member add) and start it with an empty directory, or with "
      "--rejoin, which moves this one aside");
}

}  // namespace

Formation::Formation(const NodeOptions& options, const raft::RecoveredLog& recovered)
    : self_(options.node_id),
      incarnation_(options.incarnation),
      cluster_name_(options.cluster_name),
      client_address_(options.client_address),
      joins_(options.joins),
      contact_address_(options.contact_address),
      restored_from_(options.restored_from),
      cluster_id_(options.cluster_id) {
  SetMembers(options.bootstrap_members);
  const bool is_untouched = IsUntouched(recovered.last_index, recovered.hard_state.term);
  // A directory with a cluster id is a registered one: it was learned by rule (a) or applied.
  participates_ = !is_untouched || !cluster_id_.is_zero() || (peers_.empty() && !joins_);
}

bool Formation::IsUntouched(raft::Index last_index, raft::Term term) const {
  const raft::LogBase beginning = restored_from_ ? restored_from_->base : raft::LogBase{};
  return last_index == beginning.index && term == beginning.term;
}

void Formation::SetMembers(std::vector<state::Member> members) {
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.node_id < b.node_id; });
  members_ = std::move(members);
  RefreshPeers();
}

void Formation::RefreshPeers() {
  std::map<NodeId, state::Member> peers;
  for (const state::Member& member : members_) peers.emplace(member.node_id, member);
  for (const state::Member& member : added_) peers.emplace(member.node_id, member);
  for (const auto& [node, heard] : heard_) {
    if (!ListensTo(node)) continue;
    peers.emplace(node, state::Member{.node_id = node,
                                      .peer_address = heard.claim.peer_address,
                                      .client_address = heard.claim.client_address});
  }
  peers.erase(self_);
  if (peers.empty() && !contact_address_.empty()) {
    peers.emplace(NodeId{0}, state::Member{.node_id = {}, .peer_address = contact_address_});
  }
  peers_.clear();
  for (auto& [node, member] : peers) peers_.push_back(std::move(member));
}

void Formation::SetAddedInLog(std::vector<state::Member> added) {
  if (added == added_) return;
  added_ = std::move(added);
  RefreshPeers();
}

void Formation::SetMembersOfLog(const state::Bootstrap& bootstrap) {
  SetMembers(bootstrap.members);
}

Verdict Formation::SetApplied(ClusterId cluster_id, const std::vector<state::Member>& members,
                              NodeId last_node_id) {
  if (!cluster_id_.is_zero() && cluster_id_ != cluster_id) {
    return {Verdict::Kind::kFatal, absl::StrCat("the data directory belongs to cluster ",
                                                cluster_id_, ", its log to cluster ", cluster_id)};
  }
  cluster_id_ = cluster_id;
  last_node_id_ = last_node_id;
  SetMembers(members);
  // Nobody listens to them ever again, and they shall not take a stranger's room.
  std::erase_if(heard_, [this](const auto& heard) { return IsRemoved(heard.first); });
  if (IsRemoved(self_)) return {Verdict::Kind::kRemoved, Removed(self_, cluster_id)};
  const bool is_member = std::any_of(members_.begin(), members_.end(),
                                     [this](const auto& m) { return m.node_id == self_; });
  // One that joins reads what was before it.
  if (!is_member && !joins_) {
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
  if (!IsMember(claim.node_id)) RefreshPeers();  // it may be a guest now
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
  const bool may_found = cluster_id_.is_zero() && claim.cluster_id.is_zero();
  if (may_found && claim.restored_from != restored_from_) {
    return WrongCluster(absl::StrCat(
        "node ", claim.node_id, " was made from ", Name(claim.restored_from), ", node ", self_,
        " from ", Name(restored_from_),
        ": to restore a cluster, run lockd restore with the same file for each of its nodes"));
  }
  if (claim.node_id == self_) {
    return WrongIdentity(absl::StrCat("node ", self_, " is this node's own id"));
  }
  if (!IsMember(claim.node_id)) return JudgeStranger(claim);
  Verdict verdict = JudgeIncarnation(claim);
  if (verdict.kind != Verdict::Kind::kAccepted) return verdict;
  if (SaysRemoved(claim)) return {Verdict::Kind::kRemoved, Removed(self_, claim.cluster_id)};
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

Verdict Formation::JudgeStranger(const PeerClaim& claim) const {
  const auto strangers = std::count_if(
      heard_.begin(), heard_.end(), [this](const auto& heard) { return !IsMember(heard.first); });
  const bool is_heard = heard_.contains(claim.node_id);
  const bool is_one_more = is_heard || static_cast<size_t>(strangers) < kStrangersMax;
  const bool has_cluster = !claim.cluster_id.is_zero() && !claim.incarnation.is_zero();
  // Known to each other only once it has this node registered; see ListensTo.
  const bool may_let_in = joins_ && members_.empty() && claim.your_incarnation.is_zero();
  const bool is_guest = claim.node_id > last_node_id_ && claim.your_incarnation == incarnation_;
  if (joins_ && members_.empty() && SaysRemoved(claim)) {
    return {Verdict::Kind::kRemoved, Removed(self_, claim.cluster_id)};
  }
  if (has_cluster && is_one_more && (may_let_in || is_guest)) return JudgeIncarnation(claim);
  if (has_cluster && joins_ && members_.empty() && !claim.your_incarnation.is_zero()) {
    return {Verdict::Kind::kFatal, DirectoryLost(self_, claim.cluster_id)};
  }
  if (IsRemoved(claim.node_id)) return WrongIdentity(Removed(claim.node_id, cluster_id_));
  if (!cluster_id_.is_zero() && !members_.empty()) {
    return WrongIdentity(absl::StrCat("node ", claim.node_id, " is not a member of cluster ",
                                      cluster_id_, ". Add it: lockctl member add --peer ",
                                      claim.peer_address, " --node-id ", claim.node_id));
  }
  return WrongIdentity(
      absl::StrCat("node ", claim.node_id, " is not a member; members are ",
                   absl::StrJoin(members_, ", ", [](std::string* out, const state::Member& member) {
                     absl::StrAppend(out, member.node_id, " at ", member.peer_address);
                   })));
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
  if (joins_) return;
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
  if (!IsMember(peer)) return claim.your_incarnation == incarnation_;
  // A peer that has not taken part in anything waits, as this node would in its place.
  return !claim.is_untouched() || formed_here_ || RegisteredIncarnation(peer) == claim.incarnation;
}

bool Formation::IsMember(NodeId node) const {
  const auto is_it = [node](const state::Member& member) { return member.node_id == node; };
  return std::any_of(members_.begin(), members_.end(), is_it) ||
         std::any_of(added_.begin(), added_.end(), is_it);
}

// Of this node's cluster, or of any as long as its directory has taken part in nothing.
bool Formation::SaysRemoved(const PeerClaim& claim) const {
  const bool is_its_cluster =
      cluster_id_.is_zero() ? !participates_ : claim.cluster_id == cluster_id_;
  return claim.removed_you && !claim.cluster_id.is_zero() && is_its_cluster;
}

bool Formation::IsRemoved(NodeId node) const {
  return !cluster_id_.is_zero() && node <= last_node_id_ && !IsMember(node);
}

const PeerClaim* Formation::ClaimOf(NodeId node) const {
  const auto heard = heard_.find(node);
  return heard == heard_.end() ? nullptr : &heard->second.claim;
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
  if (joins_) {
    return absl::StrCat(
        "this node's data directory is empty; it takes no part until the cluster "
        "lets it in",
        contact_address_.empty() ? "; give --join again if it does not come to that"
                                 : absl::StrCat(" (asking ", contact_address_, ")"));
  }
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
  return absl::StrCat("this node's data directory ",
                      restored_from_ ? "was made from a backup" : "is empty",
                      "; it takes no part yet: ", absl::StrJoin(reasons, "; "));
}

}  // namespace lockd::node
