// Formation: who belongs to the cluster, and whether this node may take part yet.
//
// Raft is safe only as long as a node remembers what it promised. A node that lost its data
// directory and comes back under its old id would vote twice, or deny entries that it acknowledged
// (catalogue R-42). So members are known by (node id, incarnation), the incarnation being made with
// the data directory, and every peer hello carries it.
//
// A node whose directory has never taken part in anything (no term, no log) waits, neither voting
// nor acknowledging, until one of these holds:
//   a) a member of a cluster has this very incarnation registered: nothing was lost, because
//      nothing had been written yet;
//   b) in this run of the process, every bootstrap member has been heard and had an empty log and
//      no cluster: the cluster forms now, and needs all its nodes this once. Members that already
//      have a term took part in an interrupted attempt; this node may have voted in it before its
//      directory was lost, so it starts above all their terms. (A lost acknowledgement would show:
//      what was acknowledged by a majority is in some other member's log.)
// A single bootstrap member forms at once. A node that was made to join a cluster has no bootstrap
// members: for it only rule (a) counts. It is let in when an operator has added it to the cluster;
// then the leader dials it, hears its incarnation, and registers it.
//
// Later the members change (server/node/member_changes.h), and not everybody knows so at the same
// time. Whom this node deals with:
//
//   a member, by what is applied or by a change that stands in its log    yes
//   an id above all that are known here, that has this node registered    yes, as a guest: it came
//                                                later than what is applied here, and may be the
//                                                leader who brings the news
//   an id that was given once, and is no member's any more                no: it is told so, and
//                                                stops
//   anybody else                                                          no: it is told how to be
//                                                added
//
// The founders of a cluster that is made from a backup (server/state/refounding.h) have a log that
// is empty but does not begin with entry 1, and it counts as no log. They must come from one
// backup.
//
// The first leader registers all incarnations that it has heard in the cluster's first command, so
// a directory lost later is told from one that never was. Until a member is registered, the first
// incarnation heard in this run of the process is pinned.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_FORMATION_H_
#define LOCKD_SERVER_NODE_FORMATION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "server/node/types.h"
#include "server/state/types.h"

namespace lockd::node {

// What a peer says of itself in its hello.
struct PeerClaim {
  NodeId node_id;
  std::string cluster_name;
  ClusterId cluster_id;  // zero: it knows none
  Incarnation incarnation;
  bool has_log = false;
  raft::Term term;
  Incarnation your_incarnation;  // what it has registered for this node; zero: nothing
  std::string client_address;
  std::string peer_address;
  uint32_t feature_level_max = 1;                   // the highest that its code understands
  bool removed_you = false;                         // it says that this node was a member once
  std::optional<raft::SnapshotId> restored_from{};  // as in NodeOptions

  // Its directory has never taken part in anything.
  [[nodiscard]] bool is_untouched() const { return !has_log && term.is_zero(); }
};

struct Verdict {
  enum class Kind : uint8_t {
    kAccepted,
    kWrongIdentity,  // refuse the link
    kWrongCluster,   // refuse the link
    kFatal,          // this node's directory is the wrong one: leave with exit status 17
    kRemoved,        // this node is a member no more: leave, with the same status
  };
  Kind kind = Kind::kAccepted;
  std::string message;
};

class Formation {
 public:
  Formation(const NodeOptions& options, const raft::RecoveredLog& recovered);

  // A membership that stands in this node's log, applied or not.
  void SetMembersOfLog(const state::Bootstrap& bootstrap);
  // The applied membership, and the highest id that a member ever had. kFatal: this
  // directory does not belong to it; kRemoved: no more.
  [[nodiscard]] Verdict SetApplied(ClusterId cluster_id, const std::vector<state::Member>& members,
                                   NodeId last_node_id);
  // Members that come with changes in this node's log which are not applied yet.
  void SetAddedInLog(std::vector<state::Member> added);

  [[nodiscard]] Verdict OnHello(const PeerClaim& claim);

  // A directory whose log ends here and which is in this term has never taken part in anything:
  // both are zero, or those of the backup that it was made from.
  [[nodiscard]] bool IsUntouched(raft::Index last_index, raft::Term term) const;

  // May this node vote, campaign and acknowledge?
  [[nodiscard]] bool participates() const { return participates_; }
  // Whether Raft messages of this peer count. Re-asked for each: the answer changes with what is
  // applied.
  [[nodiscard]] bool ListensTo(NodeId peer) const;
  // Above which term this node starts, when it has just been allowed to take part.
  [[nodiscard]] raft::Term term_floor() const { return term_floor_; }

  [[nodiscard]] ClusterId cluster_id() const { return cluster_id_; }
  // As applied; before that, as this node was started with.
  [[nodiscard]] const std::vector<state::Member>& members() const { return members_; }
  // Whom to keep a link to, ascending: members that are applied or stand in the log, and guests. Of
  // a node that joins and knows nobody yet: the address it was given, under the id zero.
  [[nodiscard]] const std::vector<state::Member>& peers() const { return peers_; }
  // This node was made to join a cluster, not to form one.
  [[nodiscard]] bool joins() const { return joins_; }
  // It had a member's id once, and is none any more.
  [[nodiscard]] bool IsRemoved(NodeId node) const;
  // What it said last, if that was acceptable; nullptr: nothing was heard in this run.
  [[nodiscard]] const PeerClaim* ClaimOf(NodeId node) const;
  // Zero: none registered, or no such member.
  [[nodiscard]] Incarnation RegisteredIncarnation(NodeId node) const;
  // The members with the incarnations heard; nothing while one has not been heard.
  [[nodiscard]] std::optional<std::vector<state::Member>> Founders() const;
  // The highest feature level that this node and all members it has heard understand.
  [[nodiscard]] uint32_t CommonFeatureLevel() const;
  // host:port to send clients to, as last announced; empty: unknown.
  [[nodiscard]] std::string ClientAddressOf(NodeId node) const;

  // What a node that does not participate waits for, for people; empty when it does.
  [[nodiscard]] std::string WaitsFor() const;

 private:
  struct Heard {
    PeerClaim claim;         // the newest
    bool was_empty = false;  // in this run it once had no log and no cluster
  };

  // So many nodes that are no members may be heard at a time.
  static constexpr size_t kStrangersMax = 64;

  void SetMembers(std::vector<state::Member> members);
  void RefreshPeers();
  // By what is applied or by a change in the log.
  [[nodiscard]] bool IsMember(NodeId node) const;
  [[nodiscard]] Verdict Judge(const PeerClaim& claim) const;
  [[nodiscard]] Verdict JudgeStranger(const PeerClaim& claim) const;
  [[nodiscard]] bool SaysRemoved(const PeerClaim& claim) const;
  [[nodiscard]] Verdict JudgeIncarnation(const PeerClaim& claim) const;
  void MaybeParticipate(const PeerClaim& claim);

  const NodeId self_;
  const Incarnation incarnation_;
  const std::string cluster_name_;
  const std::string client_address_;
  const bool joins_;
  const std::string contact_address_;
  const std::optional<raft::SnapshotId> restored_from_;
  ClusterId cluster_id_;
  NodeId last_node_id_;                 // the highest that a member ever had, as applied
  std::vector<state::Member> members_;  // ascending
  std::vector<state::Member> added_;    // by changes in the log
  std::vector<state::Member> peers_;    // ascending
  std::map<NodeId, Heard> heard_;       // in this run; the incarnation is pinned
  bool participates_ = false;
  bool formed_here_ = false;  // by rule (b): all that were heard formed the cluster with this node
  raft::Term term_floor_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_FORMATION_H_
