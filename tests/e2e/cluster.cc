#include "tests/e2e/cluster.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "consensus/storage/wal_format.h"
#include "protocol/base/check.h"

namespace lockd::e2e {
namespace {

constexpr uint16_t kPortFirst = 10'000;
constexpr uint16_t kPortCount = 20'000;

// Against other test processes, until this one ends: a socket that nobody else can have, in the
// kernel's own name space. The port itself is free while its node is down.
bool Reserve(uint16_t port) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = absl::StrCat("lockd-e2e-port-", port);
  name.copy(address.sun_path + 1, name.size());
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) == 0) return true;
  close(fd);
  return false;
}

bool CanListen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool can = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return can;
}

}  // namespace

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lockd_e2e_XXXXXX").string();
  LOCKD_CHECK(mkdtemp(pattern.data()) != nullptr, "no temporary directory");
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

uint16_t PickPort() {
  // Each test process begins elsewhere, so that tests beside each other do not meet.
  static uint32_t next = static_cast<uint32_t>(getpid()) * 61;
  for (int tries = 0; tries < kPortCount; ++tries) {
    const auto port = static_cast<uint16_t>(kPortFirst + next++ % kPortCount);
    if (Reserve(port) && CanListen(port)) return port;
  }
  LOCKD_UNREACHABLE("no free port");
}

bool Eventually(const std::function<bool()>& done) {
  const auto deadline = Clock::now() + kPatience;
  while (!done()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

std::vector<std::string> SteadyElections() {
  return {"--election-timeout-min", "2s", "--election-timeout-max", "3s"};
}

Cluster::Cluster(size_t nodes, std::vector<std::string> flags)
    : flags_(std::move(flags)), founders_(nodes) {
  for (size_t i = 0; i < nodes; ++i) AddNode();
}

size_t Cluster::AddNode() {
  client_ports_.push_back(PickPort());
  peer_ports_.push_back(PickPort());
  processes_.emplace_back();
  return size() - 1;
}

void Cluster::StartAll() {
  for (size_t node = 0; node < founders_; ++node) Start(node);
}

size_t Cluster::StartAllAlike() {
  StartAll();
  WaitForLeader();
  WaitUntilAlike();
  return WaitForLeader();
}

void Cluster::Start(size_t node) {
  processes_.at(node) =
      std::make_unique<Process>(Process::Start("lockd", Flags(node),
                                               {.environment = environments_[node],
                                                .error_path = log_path(node),
                                                .descriptors_max = descriptors_max_}));
}

void Cluster::Kill(size_t node) {
  process(node).Signal(SIGKILL);
  process(node).Await();
}

int Cluster::Stop(size_t node) {
  process(node).Signal(SIGTERM);
  return process(node).Await();
}

std::string Cluster::endpoint(size_t node) const {
  return absl::StrCat("127.0.0.1:", client_ports_[node]);
}

std::string Cluster::peer_address(size_t node) const {
  return absl::StrCat("127.0.0.1:", peer_ports_[node]);
}

std::string Cluster::endpoints() const {
  return absl::StrJoin(client_options().endpoints, ",");
}

std::filesystem::path Cluster::data_dir(size_t node) const {
  return directory_.path() / absl::StrCat("node-", node + 1);
}

void Cluster::DamageLog(size_t node) {
  const std::filesystem::path segment = data_dir(node) / "wal" / "wal-000000000001";
  std::stringstream text;
  text << std::ifstream(segment, std::ios::binary).rdbuf();
  const size_t last = text.str().find_last_not_of('\0');
  ASSERT_GT(last, 8u * 1024);
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  // All batches of the first half, however long each is: a copy that stays whole mends the other.
  // The last one's copy stays, so this is no tail that a crash cut off.
  constexpr size_t kHead = storage::kSectorBytes;
  file.seekp(kHead);
  file << std::string(last / 2 - kHead, '\x40');
}

std::string Cluster::log_path(size_t node) const {
  return (directory_.path() / absl::StrCat("node-", node + 1, ".log")).string();
}

std::string Cluster::ReadLog(size_t node) const {
  std::stringstream text;
  text << std::ifstream(log_path(node)).rdbuf();
  return text.str();
}

std::vector<std::string> Cluster::Flags(size_t node) const {
  std::vector<std::string> flags =
      start_lines_.count(node) > 0 ? FlagsOfLine(node) : FlagsOfFounder(node);
  const bool has_segment_bytes =
      std::find(flags_.begin(), flags_.end(), "--segment-bytes") != flags_.end();
  if (!has_segment_bytes) flags.insert(flags.end(), {"--segment-bytes", "1MiB"});
  flags.insert(flags.end(), flags_.begin(), flags_.end());
  return flags;
}

std::vector<std::string> Cluster::FlagsOfFounder(size_t node) const {
  LOCKD_CHECK(node < founders_, "node ", node + 1, " was added, and has no line to start it with");
  std::vector<std::string> peers;
  for (size_t i = 0; i < founders_; ++i) {
    peers.push_back(absl::StrCat(i + 1, "=", peer_address(i)));
  }
  return {"--node-id",       absl::StrCat(node + 1),   "--data-dir",    data_dir(node).string(),
          "--client-listen", endpoint(node),           "--peer-listen", peer_address(node),
          "--peers",         absl::StrJoin(peers, ",")};
}

std::vector<std::string> Cluster::FlagsOfLine(size_t node) const {
  const testing::Words& line = start_lines_.at(node);
  std::vector<std::string> flags(line.begin() + 1, line.end());
  const std::pair<std::string, std::string> own[] = {{"--client-listen", endpoint(node)},
                                                     {"--data-dir", data_dir(node).string()}};
  for (const auto& [flag, value] : own) {
    const auto at = std::find(flags.begin(), flags.end(), flag);
    if (at != flags.end()) flags.erase(at, at + 2);
    flags.insert(flags.end(), {flag, value});
  }
  return flags;
}

ClientOptions Cluster::client_options() const {
  ClientOptions options;
  options.endpoints.clear();
  for (size_t node = 0; node < size(); ++node) options.endpoints.push_back(endpoint(node));
  return options;
}

size_t Cluster::WaitForLeader() {
  BlockingClient client(client_options());
  size_t leader = size();
  const bool found = Eventually([&] {
    for (size_t node = 0; node < size(); ++node) {
      if (processes_[node] == nullptr || !processes_[node]->is_running()) continue;
      const auto status = client.GetStatus(endpoint(node), {.timeout = milliseconds(1'000)});
      // A read that the leader answers proves that it serves.
      if (status.ok() && status->role == "leader" &&
          client.GetLock("anything", {.timeout = milliseconds(1'000)}).ok()) {
        leader = node;
        return true;
      }
    }
    return false;
  });
  EXPECT_TRUE(found) << "no leader; log of node 1:\n" << ReadLog(0);
  return leader;
}

void Cluster::WaitUntilAlike() {
  BlockingClient client(client_options());
  std::string seen;
  const bool alike = Eventually([&] {
    std::set<std::pair<uint64_t, std::string>> states;
    seen.clear();
    for (size_t node = 0; node < size(); ++node) {
      if (processes_[node] == nullptr || !processes_[node]->is_running()) continue;
      const auto status = client.GetStatus(endpoint(node));
      if (!status.ok()) return false;
      states.insert({status->applied_index, status->digest});
      absl::StrAppend(&seen, node + 1, ": ", status->applied_index, " ", status->digest, "\n");
    }
    return states.size() == 1;
  });
  EXPECT_TRUE(alike) << seen;
}

}  // namespace lockd::e2e
