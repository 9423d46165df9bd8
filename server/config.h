// Every knob of a lockd process: name, unit, range, default. Flags, environment (LOCKD_...) and a
// config file say the same things under the same names; a flag wins over the environment, which
// wins over the file.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_CONFIG_H_
#define LOCKD_SERVER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "protocol/base/ids.h"
#include "protocol/base/text.h"
#include "server/state/types.h"

namespace lockd {

inline constexpr char kVersion[] = "0.1.0";

struct Config {
  NodeId node_id{1};
  std::string cluster_name = "lockd";
  std::string data_dir = "./lockd-data";
  HostPort client_listen{"127.0.0.1", 7420};
  HostPort peer_listen{"127.0.0.1", 7421};
  HostPort client_advertise;  // after parsing: always set
  HostPort peer_advertise;
  // How a directory that is empty comes to a cluster; a used one knows (members_file.h). Founders:
  // ascending by id, with this node, client addresses not known here. This node alone when neither
  // --peers nor --join is given; empty with --join.
  std::vector<state::Member> peers;
  bool peers_given = false;      // by --peers
  std::optional<HostPort> join;  // the peer address of a member, which may be of no other use
  bool rejoin = false;           // what is in data_dir is moved aside first (rejoin.h)

  bool log_json = false;
  std::string log_level = "info";

  int64_t heartbeat_ms = 50;
  int64_t election_ms_min = 300;
  int64_t election_ms_max = 600;

  uint64_t segment_bytes = 64 * 1024 * 1024;
  uint64_t tail_bytes_max = 64 * 1024 * 1024;
  uint64_t snapshot_log_bytes = 256 * 1024 * 1024;
  uint64_t snapshot_bytes_per_s = 16 * 1024 * 1024;
  // With less free space than this the node takes no new work (server/node/disk_space.h); 0: never.
  uint64_t disk_reserve_bytes = 256 * 1024 * 1024;

  // Local limits.
  uint64_t client_connections_max = 10'000;
  uint64_t output_bytes_max = 4 * 1024 * 1024;
  int64_t hello_timeout_ms = 5'000;
  int64_t frame_timeout_ms = 30'000;
  uint64_t requests_in_flight_max = 4'096;
  uint64_t pending_bytes_max = 16 * 1024 * 1024;
  uint64_t uncommitted_bytes_max = 16 * 1024 * 1024;
  int64_t retry_after_ms = 100;

  // Replicated limits: taken when the cluster forms, afterwards the replicated ones win.
  state::Settings settings;
};

// What a command line asks for: to run with this configuration, or to print `text` and leave with
// `exit_status`.
struct ParsedCommandLine {
  bool run = false;
  // Not to run, but to make a directory of this backup.
  std::optional<std::string> restore_file{};
  // Not to run, but to save what this directory has in this file.
  std::string salvage_directory{};
  std::optional<std::string> salvage_file{};
  bool replaces_salvage_file = false;
  Config config;
  int exit_status = 0;
  std::string
      text;  // to stdout when exit_status is 0 (--help, --version), else one line for stderr
};

[[nodiscard]] ParsedCommandLine ParseCommandLine(int argc, const char* const* argv);

// What no single knob shows: those that must fit together. ParseCommandLine has called it.
[[nodiscard]] absl::Status ValidateConfig(const Config& config);

// "1=10.0.0.1:7421,2=10.0.0.2:7421": ascending ids come out, whatever the order.
[[nodiscard]] absl::StatusOr<std::vector<state::Member>> ParsePeers(absl::string_view text);
[[nodiscard]] std::string FormatPeers(const std::vector<state::Member>& peers);

}  // namespace lockd

#endif  // LOCKD_SERVER_CONFIG_H_
