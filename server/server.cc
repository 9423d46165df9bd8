#include "server/server.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/start.h"
#include "protocol/base/check.h"
#include "server/descriptor_budget.h"
#include "server/draw_id.h"
#include "server/known_log.h"
#include "server/log.h"
#include "server/rejoin.h"

namespace lockd {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitPortInUse = 13;
constexpr int kExitDamaged = 14;

// Who has the directory, for people who find it locked.
std::string Holder() {
  return absl::StrCat("process ", getpid());
}

Exit StorageExit(const absl::Status& status) {
  return {storage::ExitStatusOf(status), std::string(status.message())};
}

// Shares out the descriptors that the process may have, and says so when they are fewer than
// wanted.
absl::StatusOr<DescriptorBudget> BudgetDescriptors(const Config& config) {
  rlimit limit{};
  LOCKD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit on descriptors cannot be read");
  if (limit.rlim_cur < kDescriptorsMin) {
    return absl::FailedPreconditionError(absl::StrCat("this process may open only ", limit.rlim_cur,
                                                      " files; lockd needs at least ",
                                                      kDescriptorsMin, " (ulimit -n)"));
  }
  const DescriptorBudget budget = ShareDescriptors(limit.rlim_cur, config.client_connections_max);
  if (budget.client_connections < config.client_connections_max) {
    LogWarning(absl::StrCat("at most ", budget.client_connections,
                            " client connections instead of ", config.client_connections_max,
                            ": this process may open only ", limit.rlim_cur, " files (ulimit -n)"));
  }
  return budget;
}

net::RunnerOptions MakeRunnerOptions(const Config& config, const DescriptorBudget& descriptors) {
  net::RunnerOptions options;
  options.client_listen = config.client_listen;
  options.peer_listen = config.peer_listen;
  options.client_limits.connections_max = descriptors.client_connections;
  options.client_limits.lingering_max = descriptors.client_lingering;
  options.client_limits.output_bytes_max = config.output_bytes_max;
  options.peer_limits.accepted_links_max = descriptors.peer_links;
  options.seed = DrawId();
  options.data_directory = config.data_dir;
  // The node gives a hand-over the longest election timeout; this is for one that is stuck.
  options.stop_ms_max = 2 * config.election_ms_max;
  return options;
}

}  // namespace

Server::Server(boost::asio::io_context* io, Config config, OnFatal on_fatal)
    : io_(io), config_(std::move(config)), on_fatal_(std::move(on_fatal)) {}

Server::~Server() = default;

std::optional<Exit> Server::Start() {
  if (config_.rejoin) {
    if (std::optional<Exit> exit = MakeRoom()) return exit;
  }
  // The directory's lock first: two processes never recover the same log.
  absl::StatusOr<storage::DataDirectory> directory =
      storage::DataDirectory::Open(&file_system_, config_.data_dir, Holder());
  if (!directory.ok()) return StorageExit(directory.status());
  directory_.emplace(*std::move(directory));

  const absl::StatusOr<DescriptorBudget> descriptors = BudgetDescriptors(config_);
  if (!descriptors.ok()) return Exit{kExitUsage, std::string(descriptors.status().message())};
  runner_ =
      std::make_unique<net::NodeRunner>(io_, MakeRunnerOptions(config_, *descriptors),
                                        net::NodeRunner::Callbacks{
                                            .on_note =
                                                [](const node::NodeNote& note) {
                                                  if (note.warning) {
                                                    LogWarning(note.text);
                                                  } else {
                                                    LogInfo(note.text);
                                                  }
                                                },
                                            .on_fatal =
                                                [this](const node::Fatal& fatal) {
                                                  if (fatal.last_right) SetAside(*fatal.last_right);
                                                  on_fatal_({fatal.exit_status, fatal.message});
                                                },
                                        });
  const absl::Status listening = runner_->Listen();
  if (!listening.ok()) {
    return Exit{absl::IsUnavailable(listening) ? kExitPortInUse : kExitUsage,
                std::string(listening.message())};
  }

  storage::StorageOptions options;
  options.log.directory = directory_->wal_path();
  options.log.node_id = config_.node_id;
  options.log.cluster_name = config_.cluster_name;
  options.log.incarnation_draw = Incarnation(DrawId());
  options.log.segment_bytes = config_.segment_bytes;
  options.log.tail_bytes_max = config_.tail_bytes_max;
  options.snapshot_directory = directory_->snapshots_path();
  absl::StatusOr<storage::OpenedStorage> opened = storage::OpenStorage(&file_system_, options);
  if (!opened.ok()) return StorageExit(opened.status());
  const absl::Status known = CheckMembersAreKnown(opened->log.log, directory_->wal_path());
  if (!known.ok()) return StorageExit(known);
  for (const std::string& note : opened->log.notes) LogInfo(note);
  for (const std::string& note : opened->notes) LogInfo(note);
  if (opened->log.tail_was_torn)
    LogWarning("the last write before the stop was cut off; it had not been acknowledged");

  absl::StatusOr<Origin> origin = StartingOrigin(opened->log);
  if (!origin.ok()) {
    return absl::IsDataLoss(origin.status())
               ? Exit{kExitDamaged, std::string(origin.status().message())}
               : StorageExit(origin.status());
  }
  auto node = std::make_unique<node::Node>(
      MakeNodeOptions(*opened, *std::move(origin)), std::move(opened->log.log),
      net::NodeRunner::Now(),
      node::RecoveredSnapshots{.to_load = opened->snapshot, .kept = std::move(opened->kept)});
  runner_->Start(std::move(node), &file_system_, std::move(opened->log.store),
                 std::move(opened->snapshots));
  LogInfo(absl::StrCat("node ", config_.node_id, " of cluster ", config_.cluster_name,
                       ": clients at ", config_.client_listen.host, ":", runner_->client_port(),
                       ", peers at ", config_.peer_listen.host, ":", runner_->peer_port(),
                       ", data in ", config_.data_dir));
  return std::nullopt;
}

absl::StatusOr<Origin> Server::StartingOrigin(const storage::OpenedLog& opened) {
  const bool is_unused =
      opened.log.last_index.is_zero() && opened.log.hard_state == raft::HardState{};
  absl::StatusOr<Origin> origin =
      ChooseOrigin(config_, ReadMembersFile(&file_system_, directory_->path()), is_unused);
  if (!origin.ok()) return origin;
  if (is_unused) {
    const absl::Status status = WriteMembersFile(&file_system_, directory_->path(), *origin);
    if (!status.ok()) return status;
  } else if (config_.join && !origin->joins()) {
    LogInfo(
        "--join is ignored: this directory belongs to a cluster already, which it helped to form");
  } else if (config_.peers_given && origin->founders != config_.peers) {
    LogInfo(absl::StrCat("--peers is ignored: this directory ",
                         origin->joins() ? std::string("has joined a cluster")
                                         : absl::StrCat("formed a cluster with the nodes ",
                                                        FormatPeers(origin->founders))));
  }
  return origin;
}

node::NodeOptions Server::MakeNodeOptions(const storage::OpenedStorage& opened,
                                          Origin origin) const {
  node::NodeOptions options;
  options.node_id = config_.node_id;
  options.cluster_name = config_.cluster_name;
  options.client_address = config_.client_advertise.ToString();
  options.peer_address = config_.peer_advertise.ToString();
  options.incarnation = opened.log.identity.incarnation;
  options.cluster_id = opened.log.identity.cluster_id;
  options.is_restored = origin.is_restored;
  if (origin.is_restored && options.cluster_id.is_zero()) options.restored_from = opened.snapshot;
  options.joins = origin.joins();
  options.bootstrap_members = std::move(origin.founders);
  options.contact_address = std::move(origin.contact_address);
  options.cluster_id_draw = ClusterId(DrawId());
  options.bootstrap_settings = config_.settings;
  options.version = kVersion;
  options.seed = DrawId();
  options.heartbeat_ms = config_.heartbeat_ms;
  options.election_ms_min = config_.election_ms_min;
  options.election_ms_max = config_.election_ms_max;
  options.hello_timeout_ms = config_.hello_timeout_ms;
  options.client_frame_timeout_ms = config_.frame_timeout_ms;
  options.requests_in_flight_max = static_cast<uint32_t>(config_.requests_in_flight_max);
  options.pending_command_bytes_max = config_.pending_bytes_max;
  options.uncommitted_bytes_max = config_.uncommitted_bytes_max;
  options.retry_after_ms = static_cast<uint32_t>(config_.retry_after_ms);
  options.disk_reserve_bytes = config_.disk_reserve_bytes;
  options.snapshot_log_bytes = config_.snapshot_log_bytes;
  options.snapshot_bytes_per_s = config_.snapshot_bytes_per_s;
  return options;
}

std::optional<Exit> Server::MakeRoom() {
  const absl::StatusOr<MovedAside> moved =
      MoveAside(&file_system_, config_.data_dir, config_.node_id, config_.cluster_name,
                absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone()), Holder());
  if (absl::IsInvalidArgument(moved.status())) {
    return Exit{kExitUsage, std::string(moved.status().message())};
  }
  if (!moved.ok()) return StorageExit(moved.status());
  LogWarning(absl::StrCat("--rejoin: ", config_.data_dir, " is now ", moved->to, " (", moved->owner,
                          "); node ", config_.node_id, " begins with an empty one"));
  return std::nullopt;
}

// Not done: the next start may use a wrong state once more, and be stopped once more.
void Server::SetAside(raft::Index last_right) {
  const absl::StatusOr<std::vector<std::string>> paths =
      storage::SetAsideSnapshots(&file_system_, directory_->snapshots_path(), last_right);
  if (!paths.ok()) LogWarning(std::string(paths.status().message()));
  for (const std::string& path : paths.value_or(std::vector<std::string>())) {
    LogWarning(absl::StrCat("set aside, as the state in it may be wrong: ", path));
  }
}

void Server::Stop(std::function<void()> done) {
  runner_->Stop(std::move(done));
}

}  // namespace lockd
