// NodeEnv: one to five nodes run by hand: time, frames, disks and clients, without sockets.
//
//   NodeEnv env(3);
//   env.StartAll();
//   const int leader = env.AwaitLeader();
//   TestClient client(env, leader);
//   const auto session = client.Open();
//
// Everything that crosses a connection does so as encoded bytes through FrameDecoder, with the
// limits that the node asks for. Logs are vectors in memory; what was not completed is lost at a
// crash. A node that was given a disk (UseDisk) keeps the shipping LogStore and SnapshotStore on it
// instead; only such a node can have snapshots.
// Time passes only in Run... and Settle lets none pass.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SERVER_NODE_NODE_ENV_H_
#define LOCKD_TESTS_SERVER_NODE_NODE_ENV_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_store.h"
#include "consensus/storage/start.h"
#include "gtest/gtest.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "server/node/node.h"

namespace lockd::node {

// A frame as a client received it.
struct Received {
  FrameHeader header;
  std::string payload;

  [[nodiscard]] bool is_error() const { return (header.flags & kFlagError) != 0; }
  template <typename Message>
  [[nodiscard]] Message As() const {
    Message message;
    EXPECT_TRUE(message.ParseFromString(payload));
    return message;
  }
};

class NodeEnv {
 public:
  using Tweak = std::function<void(NodeOptions&)>;

  explicit NodeEnv(int count, Tweak tweak = {});

  // -- nodes; numbered from 1, as their node ids --
  void Start(int id);
  void StartAll();
  // One machine more, with an empty directory, whose node is to join a cluster: it asks at the
  // peer address of `contact`. To be started.
  void AddJoiner(int id, int contact);
  // The process ends; what its disk has not completed is lost, its connections break.
  void Crash(int id);
  // An orderly stop begins.
  void Stop(int id);
  [[nodiscard]] bool has_stopped(int id) const { return machines_.at(id).has_stopped; }
  // The data directory is lost, and a new one will be made.
  void Wipe(int id);
  [[nodiscard]] bool IsUp(int id) const { return machines_.at(id).node != nullptr; }
  [[nodiscard]] Node& node(int id) { return *machines_.at(id).node; }
  [[nodiscard]] NodeOptions& options(int id) { return machines_.at(id).options; }
  [[nodiscard]] int count() const { return static_cast<int>(machines_.size()); }

  // -- network --
  // Both directions; links break.
  void Cut(int a, int b);
  void Heal(int a, int b);
  void Isolate(int id);
  void Rejoin(int id);

  // -- disks --
  // Before the first Start: log and snapshots of this node are on `disk`, which must outlive the
  // env. Start then opens it; what it says when it refuses stands in fatal(id), as does what a
  // failed write or read of the log says, which ends the process.
  void UseDisk(int id, storage::FileSystem* disk) { machines_.at(id).disk = disk; }
  [[nodiscard]] storage::StorageOptions StorageOptionsOf(int id) const;
  // Called before each write to a LogStore (false), and after it has become durable (true).
  std::function<void(int, const storage::LogWrite&, bool)> on_log_write;
  // While held, started writes are not carried out.
  void HoldDisk(int id) { machines_.at(id).disk_is_held = true; }
  void ReleaseDisk(int id);
  // So many more snapshot jobs are carried out, then no more.
  void AllowSnapshotJobs(int id, int count) { machines_.at(id).snapshot_jobs_allowed = count; }
  void ReleaseSnapshotJobs(int id) { machines_.at(id).snapshot_jobs_allowed.reset(); }
  // Called before each snapshot job is begun; not OK: that is its answer, and it is not carried
  // out.
  std::function<absl::Status(int, const storage::SnapshotJob&)> on_snapshot_job;
  [[nodiscard]] const std::vector<raft::Entry>& log(int id) const { return machines_.at(id).log; }
  // What a restart finds; to be changed while the node is down.
  [[nodiscard]] raft::HardState& hard_state(int id) { return machines_.at(id).hard_state; }
  [[nodiscard]] ClusterId directory_cluster(int id) const {
    return machines_.at(id).options.cluster_id;
  }
  [[nodiscard]] int writes_started(int id) const { return machines_.at(id).writes_started; }

  // -- time --
  // All turns and deliveries that can happen without time passing.
  void Settle();
  void RunFor(int64_t ms);
  // The nodes are stopped for so long (a pause of the machine), then run on.
  void Jump(int64_t ms);
  // False: it did not become true in that time.
  [[nodiscard]] bool RunUntil(const std::function<bool()>& condition, int64_t ms_max = 10'000);
  // Somebody sets this node's wall clock.
  void StepWallClock(int id, int64_t ms) { machines_.at(id).wall_offset_ms += ms; }
  // The serving leader.
  int AwaitLeader();
  [[nodiscard]] int leader() const;  // serving; 0: none
  // Called after each turn of a node, before its actions are carried out.
  std::function<void(int)> after_turn;
  // The same, with what is to be carried out.
  std::function<void(int, const NodeActions&)> on_actions;
  [[nodiscard]] LocalTime now() const { return now_; }
  [[nodiscard]] int64_t turns(int id) const { return machines_.at(id).turns; }

  [[nodiscard]] const std::optional<Fatal>& fatal(int id) const { return machines_.at(id).fatal; }
  [[nodiscard]] const std::vector<NodeNote>& notes(int id) const { return machines_.at(id).notes; }
  [[nodiscard]] bool Noted(int id, const std::string& part) const;
  // Digests of all nodes that have applied as much as the furthest one agree.
  void ExpectSameState();

  // -- client side, for TestClient --
  ConnectionId Connect(int id);
  void SendBytes(int id, ConnectionId connection, const std::string& bytes);
  void Disconnect(int id, ConnectionId connection);
  [[nodiscard]] std::vector<Received> TakeReceived(int id, ConnectionId connection);
  [[nodiscard]] bool WasClosed(int id, ConnectionId connection) const;

  // -- peer side, for a stranger on the peer port --
  PeerLinkId AcceptStranger(int id);
  void SendPeerBytes(int id, PeerLinkId link, const std::string& bytes);
  [[nodiscard]] std::vector<Received> TakePeerReceived(int id, PeerLinkId link);
  [[nodiscard]] bool PeerWasClosed(int id, PeerLinkId link) const;

 private:
  struct ClientSide {
    FrameDecoder to_node{kHelloFrameBytesMax};
    FrameDecoder to_client{kClientFrameBytesMax};
    std::vector<Received> received;
    bool closed = false;  // by the node
    bool garbage = false;
  };
  // One end of a link between nodes.
  struct LinkEnd {
    int other = 0;  // 0: a stranger
    PeerLinkId other_link;
    FrameDecoder to_node{kHelloFrameBytesMax};
    FrameDecoder to_stranger{kPeerFrameBytesMax};
    std::vector<Received> received;
    bool closed = false;
  };
  struct Machine {
    NodeOptions options;
    std::unique_ptr<Node> node;
    LocalTime wakeup = kNeverLocal;
    bool has_news = false;
    std::map<ConnectionId, ClientSide> clients;
    std::map<PeerLinkId, LinkEnd> links;
    std::set<int> dialed;                // nodes with a link from here
    std::map<int, LocalTime> redial_at;  // not before, after a link was closed
    // The log: in `store` when there is a disk, otherwise in the two behind `snapshots`.
    storage::FileSystem* disk = nullptr;
    std::unique_ptr<storage::LogStore> store;
    std::unique_ptr<storage::SnapshotStore> snapshots;
    raft::HardState hard_state;
    std::vector<raft::Entry> log;
    std::deque<DiskJob> disk_jobs;
    std::deque<storage::SnapshotJob> snapshot_jobs;
    std::optional<int> snapshot_jobs_allowed;
    bool disk_is_held = false;
    int writes_started = 0;
    std::optional<Fatal> fatal;
    bool has_stopped = false;
    std::vector<NodeNote> notes;
    int64_t turns = 0;
    int64_t wall_offset_ms = 0;
  };
  struct Delivery {
    int to;
    PeerLinkId link;
    std::string bytes;
  };

  struct Recovered {
    raft::RecoveredLog log;
    RecoveredSnapshots snapshots;
  };
  Machine& AddMachine(int id);
  // Whose peer address that is; 0: nobody's.
  [[nodiscard]] int MachineAt(const std::string& peer_address) const;
  // nullopt: what is on disk was refused.
  std::optional<Recovered> Recover(int id);
  absl::Status Write(int id, const storage::LogWrite& write);
  absl::StatusOr<std::vector<raft::Entry>> Read(const Machine& machine,
                                                const storage::LogRead& read) const;
  void DialMissing();
  void BreakLinks(int a, int b);
  void Turn(int id);
  void CompleteDisk(int id);
  // The first disk job; while the disk is held, the first that only reads.
  std::optional<DiskJob> TakeDiskJob(Machine& machine);
  void CompleteSnapshotJobs(int id);
  void Carry(int id, NodeActions actions);
  void FeedPeer(int id, PeerLinkId link, const std::string& bytes);

  const Tweak tweak_;
  std::map<int, Machine> machines_;
  std::set<std::pair<int, int>> cut_;
  std::deque<Delivery> deliveries_;
  LocalTime now_{int64_t{1'000'000'000'000}};
  uint64_t last_connection_ = 0;
  uint64_t last_link_ = 0;
  uint64_t last_incarnation_ = 1000;
};

// A client that keeps no state but its connection, and one helper for each request.
class TestClient {
 public:
  // Connects and says hello.
  TestClient(NodeEnv& env, int node);
  struct Raw {};  // connects only
  TestClient(NodeEnv& env, int node, Raw);

  // Sends, and returns the request id.
  uint32_t Send(Opcode opcode, const google::protobuf::MessageLite& message);
  void SendFrame(const FrameHeader& header, const std::string& payload);
  void Disconnect() { env_.Disconnect(node_, connection_); }
  // All that came and was not returned before, in order.
  std::vector<Received> Receive();
  // The reply to this request, if it came; other frames stay.
  std::optional<Received> ReplyTo(uint32_t request_id);
  // The first push of this kind, if one came; other frames stay.
  std::optional<Received> Push(Opcode opcode);
  [[nodiscard]] bool WasClosed() const { return env_.WasClosed(node_, connection_); }
  [[nodiscard]] ConnectionId connection() const { return connection_; }

  // Sends, lets everything happen that needs no time, and expects a reply (of apply: with up to a
  // second of time).
  template <typename Reply>
  Reply Call(Opcode opcode, const google::protobuf::MessageLite& message) {
    const Received received = CallAny(opcode, message);
    EXPECT_FALSE(received.is_error()) << received.As<pb::Error>().ShortDebugString();
    return received.As<Reply>();
  }
  pb::Error CallError(Opcode opcode, const google::protobuf::MessageLite& message) {
    const Received received = CallAny(opcode, message);
    EXPECT_TRUE(received.is_error());
    return received.As<pb::Error>();
  }
  Received CallAny(Opcode opcode, const google::protobuf::MessageLite& message);

  // -- requests --
  struct Session {
    uint64_t id = 0;
    uint64_t epoch = 0;
    std::string nonce;
    uint64_t sequence = 0;  // of the last mutation
  };
  Session Open(int64_t ttl_ms = 10'000, int64_t grace_ms = 0);
  void Attach(Session& session);
  pb::AcquireReply Acquire(Session& session, const std::string& name, int64_t wait_ms = 0);
  pb::ReleaseReply Release(Session& session, const std::string& name, uint64_t token);
  static pb::AcquireRequest AcquireOf(Session& session, const std::string& name, int64_t wait_ms);
  static pb::ReleaseRequest ReleaseOf(Session& session, const std::string& name, uint64_t token);
  pb::LockRecord Get(const std::string& name);

 private:
  NodeEnv& env_;
  int node_;
  ConnectionId connection_;
  uint32_t last_request_ = 0;
  std::vector<Received> received_;
  static uint64_t last_nonce_;
};

}  // namespace lockd::node

#endif  // LOCKD_TESTS_SERVER_NODE_NODE_ENV_H_
