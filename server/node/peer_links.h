// PeerLinks: the connections between nodes: who is at the other end, and may it be listened to.
//
// Every node dials every other one and sends its Raft messages on the link that it dialled; on a
// link that it accepted it listens. Both ends say hello, again whenever what they would say has
// changed. Formation judges every hello; a refused link gets a Reason and is closed. A newer link
// of the same kind and node replaces the older one, so that frames of a dead connection cannot
// arrive behind those of its successor.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_PEER_LINKS_H_
#define LOCKD_SERVER_NODE_PEER_LINKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "consensus/raft/types.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "protocol/raft.pb.h"
#include "server/node/digest_wire.h"
#include "server/node/formation.h"
#include "server/node/frame_deadlines.h"
#include "server/node/outbox.h"
#include "server/node/types.h"

namespace lockd::node {

// What nodes say to each other when they know each other.
using PeerMessage = std::variant<raft::Message, DigestMessage>;

class PeerLinks {
 public:
  // All must outlive this.
  PeerLinks(const NodeOptions& options, Formation& formation, Outbox& outbox)
      : options_(options),
        formation_(formation),
        outbox_(outbox),
        frame_deadlines_(options.peer_frame_timeout_ms) {}

  void OnDialed(NodeId peer, PeerLinkId link);
  void OnAccepted(PeerLinkId link);
  // The message in the frame, if it is one that counts.
  [[nodiscard]] std::optional<PeerMessage> OnFrame(PeerLinkId link, const FrameView& frame);
  void OnGarbage(PeerLinkId link, const absl::Status& error);
  void OnClosed(PeerLinkId link) { Forget(link); }
  // Dialling it was refused. (Zero: an address whose node is not known.)
  void OnRefused(NodeId peer) {
    if (!peer.is_zero()) refused_.insert(peer);
  }
  // There is no link with this node, in either direction, and since there was one the last attempt
  // to dial it was refused: nobody is there. A link that breaks says nothing by itself.
  [[nodiscard]] bool IsGone(NodeId peer) const;
  [[nodiscard]] NodeId PeerOf(PeerLinkId id) const;
  // A piece of a frame was left.
  void OnPartial(PeerLinkId link) {
    if (links_.contains(link)) frame_deadlines_.OnPartial(link);
  }
  [[nodiscard]] bool IsGreeted(PeerLinkId id) const;
  [[nodiscard]] size_t FrameBytesMax(PeerLinkId link) const;

  // What the hellos say of this node's log.
  void SetOwnProgress(bool has_log, raft::Term term);
  // Closes links that did not say hello, or did not finish a frame, in time, and says hello anew
  // where it would be another one.
  void OnTime(LocalTime now);
  // When OnTime has something to do; kNeverLocal: nothing.
  [[nodiscard]] LocalTime NextDeadline() const;

  // Dropped when there is no good link: the core expects messages to be lost, and so does the
  // digest watch. Its messages are dropped too when one side does not know them.
  void Send(const raft::Message& message);
  void Send(const DigestMessage& message);

 private:
  // What may change in a hello during a run. A term alone is not news, only that there is one.
  struct News {
    ClusterId cluster_id;
    Incarnation your_incarnation;
    bool has_log = false;
    bool has_term = false;
    bool removed_you = false;
    friend bool operator==(const News&, const News&) = default;
  };
  struct Link {
    bool is_dialed = false;
    NodeId peer;               // dialled: from the start; accepted: from its hello on
    bool is_greeted = false;   // its hello has been accepted
    uint64_t features = 0;     // as its hello named them
    std::optional<News> said;  // by the hello last sent
    std::optional<LocalTime> hello_deadline;
  };

  // The frame is of a link that may carry messages.
  [[nodiscard]] std::optional<PeerMessage> ReadMessage(PeerLinkId id, const Link& link,
                                                       const FrameView& frame);
  void OnHello(PeerLinkId id, Link& link, const FrameView& frame);
  void OnReason(PeerLinkId id, const Link& link, const FrameView& frame);
  [[nodiscard]] News NewsFor(const Link& link) const;
  // The good link to this node that messages leave on, as a place in links_.
  [[nodiscard]] absl::btree_map<PeerLinkId, Link>::const_iterator LinkTo(NodeId peer) const;
  // Unless it would say the same as the last one.
  void SayHello(PeerLinkId id, Link& link);
  void Refuse(PeerLinkId id, pb::ErrorCode code, const std::string& message);
  void CloseOlder(PeerLinkId id, const Link& link);
  void Forget(PeerLinkId id);
  // Once, not at every attempt to connect. About strangers, whose number nobody bounds: one in
  // kStrangerWarningMs, with the number of others since.
  void Warn(const Link& link, const std::string& text);

  static constexpr int64_t kStrangerWarningMs = 10'000;

  const NodeOptions& options_;
  Formation& formation_;
  Outbox& outbox_;
  bool has_log_ = false;
  raft::Term term_;
  absl::btree_map<PeerLinkId, Link> links_;
  std::set<NodeId> refused_;  // when dialled last; not since a link with it came up
  FrameDeadlines<PeerLinkId> frame_deadlines_;
  std::map<NodeId, std::string> warned_;  // last text, by member
  struct {
    std::string last;
    LocalTime next_at;
    uint64_t passed_over = 0;
  } strangers_;
  LocalTime now_;  // as of the last OnTime
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_PEER_LINKS_H_
