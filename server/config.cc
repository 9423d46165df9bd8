#include "server/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace lockd {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kNodeIdMax = 1'000'000;
constexpr size_t kClusterNameBytesMax = 64;
constexpr size_t kPeersMax = 9;

// "512", "64KiB", "16MiB", "1GiB".
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  uint64_t unit = 1;
  for (const auto& [suffix, size] :
       {std::pair<absl::string_view, uint64_t>{"KiB", kKiB}, {"MiB", kMiB}, {"GiB", kGiB}}) {
    if (absl::EndsWith(text, suffix)) {
      unit = size;
      text.remove_suffix(suffix.size());
      break;
    }
  }
  uint64_t count = 0;
  if (!absl::SimpleAtoi(text, &count) || count > (uint64_t{1} << 62) / unit) {
    return absl::InvalidArgumentError(
        "not a size: write a whole number, alone or with KiB, MiB or GiB");
  }
  return count * unit;
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes != 0 && bytes % kGiB == 0) return absl::StrCat(bytes / kGiB, "GiB");
  if (bytes != 0 && bytes % kMiB == 0) return absl::StrCat(bytes / kMiB, "MiB");
  if (bytes != 0 && bytes % kKiB == 0) return absl::StrCat(bytes / kKiB, "KiB");
  return absl::StrCat(bytes);
}

// Declares knobs: each under its flag, its environment variable and its name in the config file,
// with range and default in --help.
class Knobs {
 public:
  explicit Knobs(CLI::App* app) : app_(app) {}

  void Text(const std::string& name, std::string* value, const std::string& help) {
    Add(name, help, *value, [value](const std::string& text) {
      *value = text;
      return std::string();
    })->type_name("TEXT");
  }

  void Address(const std::string& name, HostPort* value, const std::string& help) {
    const std::string shown = value->host.empty() ? "" : value->ToString();
    Add(name, help, shown, [value](const std::string& text) {
      return Take(ParseHostPort(text), value);
    })->type_name("HOST:PORT");
  }

  void Duration(const std::string& name, int64_t* value, int64_t min_ms, int64_t max_ms,
                const std::string& help) {
    Add(name,
        absl::StrCat(help, " (", FormatDurationMs(min_ms), "..", FormatDurationMs(max_ms), ")"),
        FormatDurationMs(*value),
        [=](const std::string& text) {
          return TakeWithin(ParseDurationMs(text), min_ms, max_ms, FormatDurationMs, value);
        })
        ->type_name("DURATION");
  }

  void Count(const std::string& name, uint64_t* value, uint64_t min, uint64_t max,
             const std::string& help) {
    Add(name, absl::StrCat(help, " (", min, "..", max, ")"), absl::StrCat(*value),
        [=](const std::string& text) {
          uint64_t number = 0;
          absl::StatusOr<uint64_t> parsed = absl::InvalidArgumentError("not a whole number");
          if (absl::SimpleAtoi(text, &number)) parsed = number;
          return TakeWithin(
              std::move(parsed), min, max, [](uint64_t n) { return absl::StrCat(n); }, value);
        })
        ->type_name("N");
  }

  void Bytes(const std::string& name, uint64_t* value, uint64_t min, uint64_t max,
             const std::string& help) {
    Add(name, absl::StrCat(help, " (", FormatBytes(min), "..", FormatBytes(max), ")"),
        FormatBytes(*value),
        [=](const std::string& text) {
          return TakeWithin(ParseBytes(text), min, max, FormatBytes, value);
        })
        ->type_name("BYTES");
  }

  void Choice(const std::string& name, std::string* value, const std::vector<std::string>& choices,
              const std::string& help) {
    const std::string allowed = absl::StrJoin(choices, "|");
    Add(name, help, *value, [=](const std::string& text) -> std::string {
      if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
        return absl::StrCat("\"", EscapeName(text), "\" is not one of ", allowed);
      }
      *value = text;
      return "";
    })->type_name(allowed);
  }

  // Of the command line only: it is meant for one start.
  void Flag(const std::string& name, bool* value, const std::string& help) {
    app_->add_flag(absl::StrCat("--", name), *value, help)->configurable(false);
  }

  // `take` returns what is wrong with the text, or nothing.
  CLI::Option* Add(const std::string& name, const std::string& help,
                   const std::string& shown_default,
                   std::function<std::string(const std::string&)> take) {
    const std::string flag = absl::StrCat("--", name);
    const std::string variable =
        absl::StrCat("LOCKD_", absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})));
    CLI::Option* option = app_->add_option_function<std::string>(
        flag,
        [flag, take = std::move(take)](const std::string& text) {
          const std::string wrong = take(text);
          if (!wrong.empty()) throw CLI::ValidationError(flag, wrong);
        },
        help);
    option->envname(variable);  // shown by --help
    if (const char* value = std::getenv(variable.c_str())) environment_.emplace_back(flag, value);
    if (!shown_default.empty()) option->default_str(shown_default);
    return option;
  }

  // The arguments, and behind them the environment as if it had been typed, but for the flags that
  // were: CLI11 by itself would let the config file win over the environment. Last first, as CLI11
  // wants it.
  [[nodiscard]] std::vector<std::string> WithEnvironment(int argc, const char* const* argv) const {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    for (const auto& setting : environment_) {
      const std::string& flag = setting.first;
      const bool is_typed = std::any_of(argv + 1, argv + argc, [&flag](absl::string_view argument) {
        return argument == flag || absl::StartsWith(argument, flag + "=");
      });
      if (!is_typed) arguments.push_back(absl::StrCat(flag, "=", setting.second));
    }
    std::reverse(arguments.begin(), arguments.end());
    return arguments;
  }

 private:
  template <typename T>
  static std::string Take(absl::StatusOr<T> parsed, T* value) {
    if (!parsed.ok()) return std::string(parsed.status().message());
    *value = *std::move(parsed);
    return "";
  }

  template <typename T, typename Format>
  static std::string TakeWithin(absl::StatusOr<T> parsed, T min, T max, Format format, T* value) {
    const std::string range = absl::StrCat("allowed: ", format(min), "..", format(max));
    if (!parsed.ok()) return absl::StrCat(std::string(parsed.status().message()), "; ", range);
    if (*parsed < min || *parsed > max) {
      return absl::StrCat(format(*parsed), " is out of range; ", range);
    }
    *value = *parsed;
    return "";
  }

  CLI::App* const app_;
  std::vector<std::pair<std::string, std::string>> environment_;  // flag and value
};

// What the command line says before it is looked at as a whole.
struct Typed {
  uint64_t node_id = 1;
  std::string peers{};  // empty: not given
  HostPort join{};      // no host: not given
  bool rejoin = false;
};

void DeclareIdentity(Knobs& knobs, Config& config, Typed& typed) {
  knobs.Count("node-id", &typed.node_id, 1, kNodeIdMax, "this node's number within its cluster");
  knobs.Text("cluster-name", &config.cluster_name,
             "the cluster's name; nodes of another name are refused");
  knobs.Text("data-dir", &config.data_dir, "directory of this node's log; made if missing");
  knobs.Address("client-listen", &config.client_listen, "where clients connect");
  knobs.Address("peer-listen", &config.peer_listen, "where the other nodes connect");
  knobs.Address("client-advertise", &config.client_advertise,
                "address told to clients; default: the listen address");
  knobs.Address("peer-advertise", &config.peer_advertise,
                "address told to other nodes; default: the listen address");
  knobs.Text("peers", &typed.peers,
             "all nodes as ID=HOST:PORT,... (peer addresses, this node too), used once, to form a "
             "cluster from empty "
             "directories; default: this node alone");
  knobs.Address("join", &typed.join,
                "peer address of a member of the cluster that has added this node (lockctl member "
                "add); needs --node-id, "
                "used until the cluster has been joined");
  knobs.Flag("rejoin", &typed.rejoin,
             "with --join and the id of a new member: a data directory of an old one, damaged or "
             "not, is first moved aside whole, to DATA-DIR.old-<time>");
}

void DeclareTiming(Knobs& knobs, Config& config) {
  knobs.Duration("heartbeat", &config.heartbeat_ms, 5, 60'000, "a leader's heartbeat interval");
  knobs.Duration("election-timeout-min", &config.election_ms_min, 20, 600'000,
                 "shortest election timeout, at least 3 heartbeats");
  knobs.Duration("election-timeout-max", &config.election_ms_max, 20, 600'000,
                 "longest election timeout, at least 4/3 of the shortest");
}

void DeclareLimits(Knobs& knobs, Config& config) {
  knobs.Count("client-connections-max", &config.client_connections_max, 1, 1'000'000,
              "client connections at a time");
  knobs.Bytes("output-bytes-max", &config.output_bytes_max, 64 * kKiB, 1 * kGiB,
              "output that may wait for one client; a slower reader is dropped");
  knobs.Duration("hello-timeout", &config.hello_timeout_ms, 10, 600'000,
                 "how long a new connection may take to say hello");
  knobs.Duration("frame-timeout", &config.frame_timeout_ms, 100, 3'600'000,
                 "how long a client may take for the rest of a frame that it has begun");
  knobs.Count("requests-in-flight-max", &config.requests_in_flight_max, 1, 1'000'000,
              "unanswered requests on one connection");
  knobs.Bytes("pending-bytes-max", &config.pending_bytes_max, 64 * kKiB, 1 * kGiB,
              "requests accepted and not yet in the log");
  knobs.Bytes("uncommitted-bytes-max", &config.uncommitted_bytes_max, 1 * kMiB, 4 * kGiB,
              "log entries that are not yet committed");
  knobs.Duration("retry-after", &config.retry_after_ms, 1, 60'000,
                 "what a client is told to wait when a limit is reached");
  knobs.Bytes("segment-bytes", &config.segment_bytes, 64 * kKiB, 4 * kGiB, "size of one log file");
  knobs.Bytes("tail-bytes-max", &config.tail_bytes_max, 1 * kMiB, 16 * kGiB,
              "newest log entries kept in memory");
  knobs.Bytes("snapshot-log-bytes", &config.snapshot_log_bytes, 64 * kKiB, 1024 * kGiB,
              "a snapshot is taken whenever the log has grown by this much; the log keeps what two "
              "snapshots do not cover");
  knobs.Bytes("snapshot-bytes-per-s", &config.snapshot_bytes_per_s, 1 * kMiB, 64 * kGiB,
              "how fast a snapshot is written, and how fast one is sent to followers");
  knobs.Bytes("disk-reserve", &config.disk_reserve_bytes, 0, 1024 * kGiB,
              "with less free disk space a leader refuses new sessions and acquires; releases and "
              "keep-alives go on; 0: never");
}

void DeclareSettings(Knobs& knobs, state::Settings& settings) {
  const std::string when = "; taken when the cluster forms";
  knobs.Count("sessions-max", &settings.sessions_max, 1, 10'000'000,
              "sessions in the cluster" + when);
  knobs.Count("locks-max", &settings.locks_max, 1, 1'000'000'000,
              "held locks in the cluster" + when);
  knobs.Count("waiters-max", &settings.waiters_max, 1, 1'000'000'000,
              "queued acquires in the cluster" + when);
  knobs.Count("locks-per-session-max", &settings.locks_per_session_max, 1, 1'000'000'000,
              "held locks of one session" + when);
  knobs.Count("waiters-per-session-max", &settings.waiters_per_session_max, 1, 1'000'000'000,
              "queued acquires of one session" + when);
}

absl::Status Invalid(absl::string_view flag, absl::string_view wrong) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", wrong));
}

// An advertised address stands in for a listen address that others cannot dial.
absl::Status CompleteAdvertised(absl::string_view flag, const HostPort& listen,
                                HostPort* advertise) {
  if (!advertise->host.empty()) {
    if (!advertise->is_dialable()) {
      return Invalid(flag, "others cannot dial a wildcard address or port 0; give a real one");
    }
    return absl::OkStatus();
  }
  if (listen.is_wildcard()) {
    return Invalid(flag, absl::StrCat("required when listening on the wildcard ", listen.ToString(),
                                      "; give the address under which others reach this node"));
  }
  *advertise = listen;
  return absl::OkStatus();
}

absl::Status CompleteJoin(const HostPort& join, const CLI::App& app, Config& config) {
  if (config.peers_given) {
    return Invalid("--join",
                   "not together with --peers: a node joins a cluster, or it helps to form one");
  }
  if (app.count("--node-id") == 0) {
    return Invalid("--join", "needs --node-id; lockctl member add says which");
  }
  if (!join.is_dialable() || join == config.peer_advertise) {
    return Invalid("--join", absl::StrCat(join.ToString(), " is ",
                                          join.is_dialable() ? "this node's own address"
                                                             : "no address that can be dialled",
                                          "; give the peer address of a member of the cluster"));
  }
  config.join = join;
  return absl::OkStatus();
}

// Subcommands; without one the node runs.
void DeclareTasks(CLI::App& app, ParsedCommandLine& parsed, bool& accepts_lost_grants) {
  CLI::App* restore = app.add_subcommand(
      "restore",
      "make the data directory of one node of a new cluster from a backup (lockctl snapshot save), "
      "and leave.\n\n"
      "  lockd restore FILE --data-dir D --node-id N --cluster-name C --peers "
      "1=HOST:PORT,2=HOST:PORT,...\n\n"
      "D must be empty or missing. Do this with the same file for every node that --peers names, "
      "then start them all. The new cluster has an id of its own; all sessions have ended; locks "
      "that were held can be acquired after the longest TTL; fencing tokens go on above all that "
      "were ever granted, as far as the clocks of the machines are right");
  restore->add_option("FILE", parsed.restore_file, "the backup")->required();
  restore->fallthrough();
  CLI::App* salvage = app.add_subcommand(
      "salvage",
      "save what one stopped node has as a backup, when the majority of its cluster is lost for "
      "good, and leave.\n\n"
      "  lockd salvage DIR FILE --accept-lost-grants\n\n"
      "Grants and releases that the others acknowledged and this node never got are lost. If more "
      "than one node is left, save each and restore the one with the highest term and entry. Then "
      "make a new cluster: lockd restore --help");
  salvage->add_option("DIR", parsed.salvage_directory, "the node's data directory")->required();
  salvage->add_option("FILE", parsed.salvage_file, "the backup to write")->required();
  salvage->add_flag("--accept-lost-grants", accepts_lost_grants,
                    "yes: what was acknowledged may be lost");
  salvage->add_flag("--force", parsed.replaces_salvage_file, "replace FILE if it exists");
  salvage->fallthrough();  // what the environment says is put behind what was typed
}

absl::Status Complete(Config& config, const Typed& typed, const CLI::App& app) {
  config.node_id = NodeId(typed.node_id);
  absl::Status status =
      CompleteAdvertised("--client-advertise", config.client_listen, &config.client_advertise);
  if (!status.ok()) return status;
  status = CompleteAdvertised("--peer-advertise", config.peer_listen, &config.peer_advertise);
  if (!status.ok()) return status;
  config.peers_given = !typed.peers.empty();
  config.rejoin = typed.rejoin;
  if (config.rejoin && typed.join.host.empty()) {
    return Invalid("--rejoin", "needs --join and --node-id; lockctl member add prints both");
  }
  if (!typed.join.host.empty()) {
    status = CompleteJoin(typed.join, app, config);
    if (!status.ok()) return status;
  } else if (config.peers_given) {
    absl::StatusOr<std::vector<state::Member>> parsed = ParsePeers(typed.peers);
    if (!parsed.ok()) return Invalid("--peers", parsed.status().message());
    config.peers = *std::move(parsed);
  } else {
    config.peers = {
        state::Member{.node_id = config.node_id, .peer_address = config.peer_advertise.ToString()}};
  }
  return ValidateConfig(config);
}

}  // namespace

absl::StatusOr<std::vector<state::Member>> ParsePeers(absl::string_view text) {
  std::vector<state::Member> peers;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> fields =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    uint64_t id = 0;
    if (part.find('=') == absl::string_view::npos || !absl::SimpleAtoi(fields.first, &id) ||
        id == 0 || id > kNodeIdMax) {
      return absl::InvalidArgumentError(absl::StrCat("\"", EscapeName(part),
                                                     "\" is not ID=HOST:PORT with an id from 1 to ",
                                                     kNodeIdMax, ", such as 1=127.0.0.1:7421"));
    }
    const absl::StatusOr<HostPort> address = ParseHostPort(fields.second);
    if (!address.ok()) return address.status();
    if (!address->is_dialable()) {
      return absl::InvalidArgumentError(
          absl::StrCat("node ", id, ": others cannot dial ", address->ToString()));
    }
    peers.push_back({.node_id = NodeId(id), .peer_address = address->ToString()});
  }
  std::sort(peers.begin(), peers.end(),
            [](const auto& a, const auto& b) { return a.node_id < b.node_id; });
  for (size_t i = 1; i < peers.size(); ++i) {
    if (peers[i].node_id == peers[i - 1].node_id) {
      return absl::InvalidArgumentError(absl::StrCat("node ", peers[i].node_id, " is named twice"));
    }
  }
  if (peers.size() > kPeersMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(peers.size(), " nodes; a cluster has 1 to ", kPeersMax));
  }
  return peers;
}

std::string FormatPeers(const std::vector<state::Member>& peers) {
  return absl::StrJoin(peers, ",", [](std::string* out, const state::Member& member) {
    absl::StrAppend(out, member.node_id, "=", member.peer_address);
  });
}

absl::Status ValidateConfig(const Config& config) {
  if (config.cluster_name.empty() || config.cluster_name.size() > kClusterNameBytesMax) {
    return Invalid("--cluster-name",
                   absl::StrCat(config.cluster_name.size(), " bytes long; allowed: 1..",
                                kClusterNameBytesMax));
  }
  if (config.data_dir.empty()) return Invalid("--data-dir", "is empty; give a directory");
  if (config.election_ms_min < 3 * config.heartbeat_ms) {
    return Invalid("--election-timeout-min",
                   absl::StrCat(FormatDurationMs(config.election_ms_min),
                                " is too short; allowed: at least 3 heartbeats, ",
                                FormatDurationMs(3 * config.heartbeat_ms)));
  }
  if (config.election_ms_max * 3 < config.election_ms_min * 4) {
    return Invalid("--election-timeout-max",
                   absl::StrCat(FormatDurationMs(config.election_ms_max),
                                " is too short; allowed: at least 4/3 of --election-timeout-min, ",
                                FormatDurationMs((config.election_ms_min * 4 + 2) / 3)));
  }
  if (config.segment_bytes % 512 != 0) {
    return Invalid("--segment-bytes",
                   absl::StrCat(config.segment_bytes, " is not a multiple of 512"));
  }
  const bool holds_self =
      config.join.has_value() ||
      std::any_of(config.peers.begin(), config.peers.end(),
                  [&](const auto& peer) { return peer.node_id == config.node_id; });
  if (!holds_self) {
    return Invalid("--peers", absl::StrCat("does not name this node, ", config.node_id,
                                           "; list all nodes of the cluster, this one too"));
  }
  return absl::OkStatus();
}

ParsedCommandLine ParseCommandLine(int argc, const char* const* argv) {
  ParsedCommandLine parsed;
  Config& config = parsed.config;
  CLI::App app(
      "lockd: one node of a replicated lock service.\n\n"
      "With no flags: a durable single node on loopback in ./lockd-data. Three nodes:\n"
      "  lockd --node-id 1 --data-dir d1 --client-listen 127.0.0.1:7420 --peer-listen "
      "127.0.0.1:7421 "
      "--peers 1=127.0.0.1:7421,2=127.0.0.1:7431,3=127.0.0.1:7441\n"
      "and likewise for 2 and 3. The first start of a cluster needs all its nodes, later ones a "
      "majority. A fourth one:\n"
      "  lockctl member add --peer 127.0.0.1:7451\n"
      "prints the line to start it with: lockd --join 127.0.0.1:7421 --node-id 4 ... The directory "
      "remembers how it came to its cluster: later starts need neither --peers nor --join.\n\n"
      "A cluster that is lost begins anew from a backup: lockd restore --help.\n\n"
      "Each flag may also be an environment variable (LOCKD_NODE_ID) or a line of the config file "
      "(node-id = 1).\n"
      "Exit status: 0 orderly stop, 2 bad flag or configuration, 10 directory in use, 11 directory "
      "of another node or cluster, "
      "12 directory not usable, 13 port in use, 14 damaged log, 15 write or sync failed, 16 broken "
      "invariant, 17 removed from the "
      "cluster or wiped",
      "lockd");
  app.set_version_flag("--version", absl::StrCat("lockd ", kVersion));
  app.set_config("--config", "", "file with the same settings, as `name = value` lines")
      ->envname("LOCKD_CONFIG");
  app.allow_config_extras(false);

  Typed typed{.node_id = config.node_id.value()};
  std::string log_format = "text";
  bool accepts_lost_grants = false;
  DeclareTasks(app, parsed, accepts_lost_grants);
  Knobs knobs(&app);
  DeclareIdentity(knobs, config, typed);
  DeclareTiming(knobs, config);
  DeclareLimits(knobs, config);
  DeclareSettings(knobs, config.settings);
  knobs.Choice("log-format", &log_format, {"text", "json"}, "how log lines look");
  knobs.Choice("log-level", &config.log_level, {"debug", "info", "warning", "error"},
               "the least important lines that are written");
  try {
    app.parse(knobs.WithEnvironment(argc, argv));
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::CallForVersion&) {
    parsed.text = absl::StrCat("lockd ", kVersion, "\n");
    return parsed;
  } catch (const CLI::Error& error) {
    parsed.exit_status = 2;
    parsed.text = absl::StrCat("lockd: ", error.what(), " (lockd --help lists all flags)");
    return parsed;
  }
  config.log_json = log_format == "json";
  absl::Status status = Complete(config, typed, app);
  if (status.ok() && parsed.restore_file && config.join) {
    status =
        Invalid("--join", "not with restore: a node that joins gets the state from the others");
  }
  if (status.ok() && parsed.salvage_file && !accepts_lost_grants) {
    status = Invalid("salvage",
                     "grants that the lost nodes acknowledged may be lost, and nobody can tell "
                     "which; say --accept-lost-grants if there is no other way, such as starting a "
                     "majority of the nodes or restoring a newer backup");
  }
  if (!status.ok()) {
    parsed.exit_status = 2;
    parsed.text = absl::StrCat("lockd: ", std::string(status.message()));
    return parsed;
  }
  parsed.run = true;
  return parsed;
}

}  // namespace lockd
