// NodeRunner: the loop around a node. Feeds it, takes its actions once per turn, and carries them
// out.
//
// A turn begins with the first input (a frame, a completion, a timer) and ends after everything
// that was ready with it has been fed: then the clocks are read, the node gets the time, and its
// actions go out, peers first (a follower's sync runs beside the leader's own), then the disk, then
// clients, with one send for each connection. So all that arrives together becomes one batch.
//
// Threading: loop only.
#ifndef LOCKD_SERVER_NET_NODE_RUNNER_H_
#define LOCKD_SERVER_NET_NODE_RUNNER_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "consensus/storage/file_system.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_store.h"
#include "protocol/base/text.h"
#include "protocol/base/time.h"
#include "server/net/client_connections.h"
#include "server/net/disk_watch.h"
#include "server/net/listener.h"
#include "server/net/peer_transport.h"
#include "server/net/storage_executor.h"
#include "server/node/node.h"

namespace lockd::net {

struct RunnerOptions {
  HostPort client_listen;
  HostPort peer_listen;
  ClientLimits client_limits;
  PeerLimits peer_limits;
  uint64_t seed = 0;            // of the jitter in dialling
  std::string data_directory;   // whose free space is watched
  int64_t stop_ms_max = 1'000;  // how long the node may take to hand over when it is to stop
};

class NodeRunner {
 public:
  struct Callbacks {
    std::function<void(const node::NodeNote&)> on_note;
    // The process must end. From the loop (a node's Fatal) or the WAL thread (a failed write or
    // sync): does not return.
    // When a node's state was wrong, nothing touches its snapshots any more.
    std::function<void(const node::Fatal&)> on_fatal;
  };

  // `io` and `file_system` outlive the runner.
  NodeRunner(boost::asio::io_context* io, RunnerOptions options, Callbacks callbacks);
  ~NodeRunner();
  NodeRunner(const NodeRunner&) = delete;
  NodeRunner& operator=(const NodeRunner&) = delete;

  // Binds both ports. Before Start, so that a port in use is noticed before anything else happens.
  [[nodiscard]] absl::Status Listen();
  [[nodiscard]] uint16_t client_port() const { return client_listener_.port(); }
  [[nodiscard]] uint16_t peer_port() const { return peer_listener_.port(); }

  // Takes the node over and begins to serve.
  void Start(std::unique_ptr<node::Node> node, storage::FileSystem* file_system,
             std::unique_ptr<storage::LogStore> store,
             std::unique_ptr<storage::SnapshotStore> snapshots);
  // Orderly: a leader hands over, clients are told to go elsewhere; `done` is called when what they
  // are owed has been sent, or after a while.
  void Stop(std::function<void()> done);

  // The clock of all LocalTime in this process: CLOCK_MONOTONIC.
  [[nodiscard]] static LocalTime Now();
  [[nodiscard]] static WallTime WallNow();

 private:
  void ScheduleTurn();
  void RunTurn();
  void CarryOut(node::NodeActions actions);
  void ArmTimer(LocalTime wakeup);
  void MeasureTurn();
  void RefreshRimStatus();
  // What is owed to others leaves as far as their sockets take it; then `on_stopped_`.
  void Linger();
  void OnDiskMeasured(const absl::StatusOr<uint64_t>& free_bytes);

  static constexpr size_t kReadBufferBytes = 256 * 1024;
  static constexpr int64_t kStatusAgeMs = 200;
  static constexpr int kStopLingerMs = 100;

  boost::asio::io_context* const io_;
  const RunnerOptions options_;
  const Callbacks callbacks_;

  Listener client_listener_;
  Listener peer_listener_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer stop_timer_;  // the bound on the hand-over, then the lingering
  LocalTime timer_at_ = kNeverLocal;      // when timer_ is due; never: not armed
  std::vector<char> read_buffer_;

  // From Start on, in order of dependency.
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<StorageExecutor> executor_;
  std::unique_ptr<DiskWatch> disk_watch_;
  std::unique_ptr<ClientConnections> clients_;
  std::unique_ptr<PeerTransport> peers_;

  std::function<void()> on_stopped_;  // set while the node is stopping
  bool is_lingering_ = false;

  bool is_turn_scheduled_ = false;
  LocalTime turn_began_;
  int64_t turn_began_cpu_ns_ = 0;
  node::RimStatus rim_status_;
  LocalTime rim_status_at_;
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_NODE_RUNNER_H_
