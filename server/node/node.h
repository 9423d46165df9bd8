// Node: the whole lockd node but its rim. Events in, actions out.
//
// The rim (server/net over Asio, or the simulator) owns sockets, threads, clocks and files; it
// feeds the node and carries out what comes back. A turn:
//
//   for each thing that happened:   node.On...(...)          // frames are already split by
//   FrameDecoder, checked for length and CRC node.OnTime(monotonic now, wall now) // last, with
//   clocks read after the last receive of the turn NodeActions actions = node.TakeActions() //
//   carry out all; call again at actions.next_wakeup at the latest
//
// Peer links: every node dials every other one and sends its own messages on the link that it
// dialled; on a link that it accepted it only receives (and answers the hello). A link exists for
// the node from OnPeerDialed / OnPeerAccepted until OnPeerClosed or until the node closes it.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_NODE_H_
#define LOCKD_SERVER_NODE_NODE_H_
// (the private part is the implementation's)
namespace lockd::node {

// Names of connections within one node; the rim counts up and never re-uses one.
using ConnectionId = StrongInt<struct ConnectionIdTag>;
using PeerLinkId = StrongInt<struct PeerLinkIdTag>;

struct NodeOptions {
  NodeId node_id;
  std::string cluster_name;
  std::string client_address;  // advertised
  std::string peer_address;    // advertised
  Incarnation incarnation;     // of the data directory
  ClusterId cluster_id;        // as recovered from the directory; zero: not learned yet
  // Members to form a cluster with when the directory is empty (node_id included; incarnations
  // zero).
  std::vector<state::Member> bootstrap_members;
  ClusterId
      cluster_id_draw;  // random; becomes the cluster's id if this node is the one that forms it
  state::Settings bootstrap_settings;
  std::string version;  // shown in status
  uint64_t seed = 0;

  int64_t heartbeat_ms = 50;
  int64_t election_ms_min = 300;
  int64_t election_ms_max = 600;
  int64_t time_entry_ms = 500;        // while a deadline is armed
  int64_t keep_alive_window_ms = 50;  // keep-alives are collected this long into one command
  int64_t suppress_ms =
      500;  // cluster time stands still while the oldest uncommitted entry is older
  int64_t turn_advance_ms_max = 500;  // most cluster time that one turn adds

  // Local limits; what is above them is answered with a typed error and retry-after, or a reason
  // frame and close.
  int64_t hello_timeout_ms = 5'000;
  uint32_t requests_in_flight_max = 4'096;  // per connection
  uint64_t sessions_per_connection_max = 65'536;
  size_t batch_bytes_max = 256 * 1024;                  // commands of one log entry
  size_t pending_command_bytes_max = 16 * 1024 * 1024;  // accepted and not yet proposed
  size_t uncommitted_bytes_max = 16 * 1024 * 1024;
  uint32_t retry_after_ms = 100;
};

struct ClientOutput {
  ConnectionId connection;
  std::string bytes;   // whole frames, one send; may be empty
  bool close = false;  // after the bytes have been sent (within reason)
};
struct PeerOutput {
  PeerLinkId link;
  std::string bytes;
  bool close = false;
};
using DiskJob = std::variant<storage::LogWrite, storage::LogRead>;

// The node cannot go on: the rim logs the message and leaves with the exit status (INTERFACE: 17
// removed or wiped, 11 wrong cluster).
struct Fatal {
  int exit_status = 0;
  std::string message;
};

// What a log line or a trace may be made of; never changes behaviour.
struct NodeNote {
  bool warning = false;
  std::string text;
};

struct NodeActions {
  std::vector<ClientOutput> clients;  // at most one for each connection
  std::vector<PeerOutput> peers;      // at most one for each link
  std::vector<DiskJob> disk;          // start in this order
  std::vector<NodeNote> notes;
  std::optional<Fatal> fatal;
  LocalTime next_wakeup = kNeverLocal;
};

// What the rim knows and the status reply shows.
struct RimStatus {
  uint64_t longest_turn_cpu_us = 0;
  uint64_t longest_turn_wall_us = 0;
  uint64_t rss_bytes = 0;
  uint64_t process_cpu_us = 0;
};

class Node {
 public:
  Node(NodeOptions options, raft::RecoveredLog recovered, LocalTime now);
  ~Node();

  // -- client port --
  void OnClientConnected(ConnectionId connection);
  void OnClientFrame(ConnectionId connection, const FrameView& frame);
  // The byte stream was not frames (FrameDecoder's error): answered with a reason frame and close.
  void OnClientGarbage(ConnectionId connection, const absl::Status& error);
  // Closed by the other side, broken, or dropped by the rim. Not called for connections that the
  // node itself closed.
  void OnClientClosed(ConnectionId connection);
  // Largest frame that the decoder of this connection may accept now (hello first).
  [[nodiscard]] size_t ClientFrameBytesMax(ConnectionId connection) const;

  // -- peer port --
  // Other members to keep a link to, ascending; changes only inside other calls.
  [[nodiscard]] const std::vector<state::Member>& peers() const;
  void OnPeerDialed(NodeId peer, PeerLinkId link);
  void OnPeerAccepted(PeerLinkId link);
  void OnPeerFrame(PeerLinkId link, const FrameView& frame);
  void OnPeerClosed(PeerLinkId link);
  [[nodiscard]] size_t PeerFrameBytesMax(PeerLinkId link) const;

  // -- disk --
  void OnWriteDone(storage::LogWriteDone done);
  void OnReadDone(storage::LogReadDone done);

  // -- time, last in each turn --
  void OnTime(LocalTime now, WallTime wall_now);
  // An orderly stop begins: no new work; connections are told to go elsewhere.
  void OnStop();

  [[nodiscard]] NodeActions TakeActions();

  void set_rim_status(const RimStatus& status);

  // -- for checks (simulator, tests) and the rim's health line --
  [[nodiscard]] const raft::Raft& raft() const;
  [[nodiscard]] const state::LockDatabase& database() const;
  [[nodiscard]] bool is_forming() const;  // has not been part of a cluster yet
};

}  // namespace lockd::node
#endif  // LOCKD_SERVER_NODE_NODE_H_
