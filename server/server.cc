#include "server/server.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/log_store.h"
#include "protocol/base/check.h"
#include "server/descriptor_budget.h"
#include "server/log.h"
#include "server/members_file.h"

namespace lockd {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitPortInUse = 13;
constexpr int kExitDamaged = 14;

// 63 random bits from the operating system, never zero.
uint64_t DrawId() {
  uint64_t id = 0;
  while (id == 0) {
    LOCKD_CHECK(getrandom(&id, sizeof(id), 0) == sizeof(id), "no randomness from the kernel");
    id >>= 1;
  }
  return id;
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
  return options;
}

}  // namespace

Server::Server(boost::asio::io_context* io, Config config, OnFatal on_fatal)
    : io_(io), config_(std::move(config)), on_fatal_(std::move(on_fatal)) {}

Server::~Server() = default;

std::optional<Exit> Server::Start() {
  // The directory's lock first: two processes never recover the same log.
  absl::StatusOr<storage::DataDirectory> directory = storage::DataDirectory::Open(
      &file_system_, config_.data_dir, absl::StrCat("process ", getpid()));
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
                                                [this](int status, const std::string& message) {
                                                  on_fatal_({status, message});
                                                },
                                        });
  const absl::Status listening = runner_->Listen();
  if (!listening.ok()) {
    return Exit{absl::IsUnavailable(listening) ? kExitPortInUse : kExitUsage,
                std::string(listening.message())};
  }

  storage::LogStoreOptions options;
  options.directory = directory_->wal_path();
  options.node_id = config_.node_id;
  options.cluster_name = config_.cluster_name;
  options.incarnation_draw = Incarnation(DrawId());
  options.segment_bytes = config_.segment_bytes;
  options.tail_bytes_max = config_.tail_bytes_max;
  absl::StatusOr<storage::OpenedLog> opened = storage::LogStore::Open(&file_system_, options);
  if (!opened.ok()) return StorageExit(opened.status());
  for (const std::string& note : opened->notes) LogInfo(note);
  if (opened->tail_was_torn)
    LogWarning("the last write before the stop was cut off; it had not been acknowledged");

  absl::StatusOr<std::vector<state::Member>> members = StartingMembers(*opened);
  if (!members.ok()) {
    return absl::IsDataLoss(members.status())
               ? Exit{kExitDamaged, std::string(members.status().message())}
               : StorageExit(members.status());
  }
  auto node = std::make_unique<node::Node>(MakeNodeOptions(*opened, *std::move(members)),
                                           std::move(opened->log), net::NodeRunner::Now());
  runner_->Start(std::move(node), &file_system_, std::move(opened->store));
  LogInfo(absl::StrCat("node ", config_.node_id, " of cluster ", config_.cluster_name,
                       ": clients at ", config_.client_listen.host, ":", runner_->client_port(),
                       ", peers at ", config_.peer_listen.host, ":", runner_->peer_port(),
                       ", data in ", config_.data_dir));
  return std::nullopt;
}

absl::StatusOr<std::vector<state::Member>> Server::StartingMembers(
    const storage::OpenedLog& opened) {
  const bool is_empty =
      opened.log.last_index.is_zero() && opened.log.hard_state == raft::HardState{};
  if (is_empty) {
    const absl::Status status = WriteMembersFile(&file_system_, directory_->path(), config_.peers);
    if (!status.ok()) return status;
    return config_.peers;
  }
  absl::StatusOr<std::vector<state::Member>> members =
      ReadMembersFile(&file_system_, directory_->path());
  if (absl::IsNotFound(members.status())) {
    return absl::DataLossError(absl::StrCat(
        storage::JoinPath(directory_->path(), "members"),
        " at offset 0: missing beside a log that is not empty; write back the --peers of the "
        "cluster's first start as one line"));
  }
  if (members.ok() && FormatPeers(*members) != FormatPeers(config_.peers)) {
    LogInfo(absl::StrCat("--peers is ignored: this directory's cluster has the members ",
                         FormatPeers(*members)));
  }
  return members;
}

node::NodeOptions Server::MakeNodeOptions(const storage::OpenedLog& opened,
                                          std::vector<state::Member> members) const {
  node::NodeOptions options;
  options.node_id = config_.node_id;
  options.cluster_name = config_.cluster_name;
  options.client_address = config_.client_advertise.ToString();
  options.peer_address = config_.peer_advertise.ToString();
  options.incarnation = opened.identity.incarnation;
  options.cluster_id = opened.identity.cluster_id;
  options.bootstrap_members = std::move(members);
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
  return options;
}

void Server::Stop(std::function<void()> done) {
  runner_->Stop(std::move(done));
}

}  // namespace lockd
