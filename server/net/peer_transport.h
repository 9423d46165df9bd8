// PeerTransport: links to and from the other members.
//
// Keeps one dialled link to each other member, dialling again after a break with growing, jittered
// pauses, but at once after a link that was of use, and when a link that the member had dialled
// comes or goes: a refusal then tells the node in time that its process is gone. Accepts the links
// that the others dial. A node sends its own Raft messages on the link that it dialled. What a link
// cannot take is bounded: a peer that does not read has its link reset, and Raft sends again what
// it misses. When all places for accepted links are taken, the oldest one that has not said a good
// hello makes room: strangers who connect and say nothing do not keep a member out.
//
// Threading: loop only.
#ifndef LOCKD_SERVER_NET_PEER_TRANSPORT_H_
#define LOCKD_SERVER_NET_PEER_TRANSPORT_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "protocol/base/random.h"
#include "server/net/frame_connection.h"
#include "server/node/node.h"

namespace lockd::net {

struct PeerLimits {
  // Accepted links; and as many again that were refused and linger over their reason frame.
  size_t accepted_links_max = 64;
  size_t output_bytes_max = 32 * 1024 * 1024;  // waiting to be sent, for each link
  int64_t dial_timeout_ms = 1'000;
  int64_t redial_ms_min = 20;
  int64_t redial_ms_max = 500;
};

class PeerTransport final : public FrameConnectionHandler {
 public:
  // All pointers outlive this object. `seed` jitters the pauses.
  PeerTransport(boost::asio::io_context* io, const PeerLimits& limits, uint64_t seed,
                node::Node* node, std::vector<char>* read_buffer, std::function<void()> on_input);
  ~PeerTransport();

  // Cheap when nothing changed. Begins to dial the members that Node::peers() names and are not
  // dialled yet; stops dialling those it no longer names.
  void FollowMembers();
  void Accept(boost::asio::ip::tcp::socket socket);
  void Carry(node::PeerOutput output);
  void CloseAll();

 private:
  // One other member's dialled link: resolving, connecting, up, or resting before the next try.
  struct Dial {
    Dial(boost::asio::io_context* io, state::Member peer);
    state::Member member;
    boost::asio::ip::tcp::resolver resolver;
    boost::asio::ip::tcp::socket socket;  // while connecting
    boost::asio::steady_timer timer;      // connect deadline, or rest
    std::optional<uint64_t> link;         // while up
    std::chrono::steady_clock::time_point up_since;
    std::chrono::steady_clock::time_point tried_at;
    int64_t rest_ms = 0;
    bool is_resting = false;  // the timer runs until the next try
    bool is_stopped = false;
  };
  using DialPtr = std::shared_ptr<Dial>;  // outstanding handlers need it

  void OnConnectionFrame(FrameConnection& connection, const FrameView& frame) override;
  void OnConnectionPartial(FrameConnection& connection) override;
  void OnConnectionGarbage(FrameConnection& connection, const absl::Status& error) override;
  void OnConnectionClosed(FrameConnection& connection) override;
  size_t FrameBytesMax(FrameConnection& connection) override;

  void BeginDial(const DialPtr& dial);
  void Connect(const DialPtr& dial, const boost::asio::ip::tcp::endpoint& endpoint);
  void Connected(const DialPtr& dial);
  void Rest(const DialPtr& dial);
  // There is news of this member: the rest before the next try ends.
  void DialAtOnce(NodeId peer);
  void StopDial(Dial& dial);
  [[nodiscard]] size_t accepted_links() const { return links_.size() - dialled_links_.size(); }
  // False: every accepted link is a member's.
  bool DropOldestStranger();
  // Removes the link; if it was a dialled one, dials again after a rest.
  void Forget(uint64_t link);

  boost::asio::io_context* const io_;
  const PeerLimits limits_;
  node::Node* const node_;
  std::vector<char>* const read_buffer_;
  const std::function<void()> on_input_;
  Random random_;

  uint64_t next_link_ = 1;
  std::vector<state::Member> followed_;  // what dials_ was made from
  std::map<NodeId, DialPtr> dials_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<FrameConnection>> links_;
  absl::flat_hash_map<uint64_t, NodeId> dialled_links_;
  std::shared_ptr<size_t> open_sockets_ = std::make_shared<size_t>(0);
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_PEER_TRANSPORT_H_
