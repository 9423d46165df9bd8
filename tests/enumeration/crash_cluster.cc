#include "tests/enumeration/crash_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::node {
namespace {

constexpr int kAttempts = 20;
constexpr int64_t kLeaderMsMax = 5'000;
constexpr int64_t kSessionTtlMs = 600'000;  // outlives every election of a test

}  // namespace

// ---- CrashCluster

CrashCluster::Disks CrashCluster::NewDisks() {
  Disks disks;
  for (std::unique_ptr<MemFileSystem>& disk : disks) disk = std::make_unique<MemFileSystem>();
  return disks;
}

CrashCluster::CrashCluster(Disks disks, uint64_t seed, const std::vector<int>& started)
    : disks_(std::move(disks)),
      env_(kCount, [seed](NodeOptions& options) { options.seed = options.seed * 1'000 + seed; }) {
  env_.on_log_write = [this](int id, const storage::LogWrite& write, bool is_durable) {
    LogLedger& ledger = ledgers_.at(static_cast<size_t>(id - 1));
    if (is_durable) {
      ledger.acknowledged = ledger.under_way;
    } else {
      ledger.under_way.Apply(write);
    }
  };
  for (int id = 1; id <= kCount; ++id) env_.UseDisk(id, &disk(id));
  for (int id : started) Start(id);
}

void CrashCluster::Start(int id) {
  env_.Start(id);
  if (!env_.IsUp(id)) return;
  LogLedger& ledger = ledgers_.at(static_cast<size_t>(id - 1));
  std::optional<storage::LogModel> found =
      ReadLog(id, disk(id).CrashClone(MemFileSystem::Unsynced::kKept, nullptr).get());
  if (found) ledger.acknowledged = ledger.under_way = *found;
}

void CrashCluster::Restart(int id) {
  const LogLedger before = ledger(id);
  Start(id);
  ASSERT_TRUE(env_.IsUp(id)) << env_.fatal(id)->message;
  ASSERT_TRUE(before.Allows(ledger(id).acknowledged))
      << "node " << id << " found  " << testing::PrintToString(ledger(id).acknowledged)
      << "\nafter  " << testing::PrintToString(before.acknowledged) << "\nor  "
      << testing::PrintToString(before.under_way);
}

std::optional<storage::LogModel> CrashCluster::ReadLog(int id, MemFileSystem* disk) const {
  absl::StatusOr<storage::OpenedLog> opened =
      storage::LogStore::Open(disk, env_.StorageOptionsOf(id).log);
  EXPECT_TRUE(opened.ok()) << opened.status();
  if (!opened.ok()) return std::nullopt;
  return storage::LogModel::Of(&*opened);
}

const std::vector<raft::Entry>& CrashCluster::committed() {
  uint64_t commit = 0;
  for (int id = 1; id <= kCount; ++id) {
    if (env_.IsUp(id)) commit = std::max(commit, env_.node(id).raft().commit_index().value());
  }
  while (committed_.size() < commit) {
    const size_t at = committed_.size();
    // The entry that a majority has acknowledged to have on disk.
    const raft::Entry* found = nullptr;
    for (const LogLedger& one : ledgers_) {
      const auto& entries = one.acknowledged.entries;
      if (at >= entries.size()) continue;
      const auto holds = [&](const LogLedger& ledger) {
        const auto& own = ledger.acknowledged.entries;
        return at < own.size() && own[at] == entries[at];
      };
      if (std::count_if(ledgers_.begin(), ledgers_.end(), holds) > kCount / 2) found = &entries[at];
    }
    EXPECT_NE(found, nullptr) << "entry " << at + 1 << " is committed and on no majority's disks";
    if (found == nullptr) break;
    committed_.push_back(*found);
  }
  return committed_;
}

void CrashCluster::ExpectConverged() {
  const auto is_at_rest = [this] {
    raft::Index last;
    for (int id = 1; id <= kCount; ++id) {
      if (env_.IsUp(id)) last = std::max(last, env_.node(id).raft().last_index());
    }
    for (int id = 1; id <= kCount; ++id) {
      if (env_.IsUp(id) && env_.node(id).raft().applied_index() != last) return false;
    }
    return env_.leader() != 0;
  };
  ASSERT_TRUE(env_.RunUntil(is_at_rest)) << "the nodes do not come to the same state";
  env_.ExpectSameState();
  const std::vector<raft::Entry>& all = committed();
  for (int id = 1; id <= kCount; ++id) {
    if (!env_.IsUp(id)) continue;
    const std::vector<raft::Entry>& own = ledger(id).acknowledged.entries;
    ASSERT_GE(own.size(), all.size()) << "node " << id;
    ASSERT_TRUE(std::equal(all.begin(), all.end(), own.begin())) << "node " << id;
  }
}

// ---- ScriptedClient

bool ScriptedClient::IsConnected() {
  NodeEnv& env = cluster_->env();
  return client_ && env.IsUp(node_) && !client_->WasClosed() && env.leader() == node_;
}

bool ScriptedClient::Connect(int node) {
  node_ = node;
  client_.emplace(cluster_->env(), node, TestClient::Raw{});
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  client_->SendFrame({.opcode = Opcode::kHello, .flags = 0, .group = {}, .request_id = 0},
                     hello.SerializeAsString());
  if (knowledge_.session_id == 0) return true;
  pb::AttachSessionRequest attach;
  attach.set_session_id(knowledge_.session_id);
  attach.set_nonce(knowledge_.nonce);
  const std::optional<Received> reply = AskOnce(Opcode::kAttachSession, attach);
  return reply && !reply->is_error();
}

std::optional<Received> ScriptedClient::AskOnce(Opcode opcode,
                                                const google::protobuf::MessageLite& message) {
  const uint32_t request_id = client_->Send(opcode, message);
  std::optional<Received> reply;
  (void)cluster_->env().RunUntil(
      [&] {
        reply = client_->ReplyTo(request_id);
        return reply.has_value() || !IsConnected();
      },
      3'000);
  return reply;
}

std::optional<Received> ScriptedClient::Ask(Opcode opcode,
                                            const google::protobuf::MessageLite& message) {
  NodeEnv& env = cluster_->env();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (env.RunUntil([&] { return env.leader() != 0; }, kLeaderMsMax) &&
        (IsConnected() || Connect(env.leader()))) {
      std::optional<Received> reply = AskOnce(opcode, message);
      if (reply && !reply->is_error()) return reply;
    }
    client_.reset();
    if (when_stuck_) when_stuck_();
    env.RunFor(100);
  }
  ADD_FAILURE() << "no answer to a " << OpcodeName(opcode);
  return std::nullopt;
}

void ScriptedClient::SendTo(int node, Opcode opcode, const google::protobuf::MessageLite& message) {
  if (!cluster_->env().IsUp(node)) return;
  (void)Connect(node);
  client_->Send(opcode, message);
}

void ScriptedClient::OpenSession() {
  knowledge_.nonce = "enumeration-4711";
  pb::OpenSessionRequest request;
  request.set_nonce(knowledge_.nonce);
  request.set_ttl_ms(kSessionTtlMs);
  request.set_owner_id("script");
  if (const std::optional<Received> reply = Ask(Opcode::kOpenSession, request)) {
    knowledge_.session_id = reply->As<pb::OpenSessionReply>().session_id();
  }
}

void ScriptedClient::Acquire(const std::string& name) {
  if (knowledge_.session_id == 0) OpenSession();
  TestClient::Session session;
  session.id = knowledge_.session_id;
  session.sequence = knowledge_.sequence;
  const pb::AcquireRequest request = TestClient::AcquireOf(session, name, 0);
  knowledge_.sequence = session.sequence;
  knowledge_.unsure.insert(name);
  const std::optional<Received> received = Ask(Opcode::kAcquire, request);
  if (!received) return;
  const auto reply = received->As<pb::AcquireReply>();
  ASSERT_EQ(reply.result(), pb::ACQUIRE_RESULT_GRANTED) << name;
  const uint64_t token = reply.grant().token();
  EXPECT_GT(token, knowledge_.token_max) << "tokens go up";
  knowledge_.token_max = token;
  knowledge_.held[name] = token;
  knowledge_.unsure.erase(name);
}

void ScriptedClient::Release(const std::string& name) {
  TestClient::Session session;
  session.id = knowledge_.session_id;
  session.sequence = knowledge_.sequence;
  const uint64_t token = knowledge_.held.at(name);
  const pb::ReleaseRequest request = TestClient::ReleaseOf(session, name, token);
  knowledge_.sequence = session.sequence;
  knowledge_.unsure.insert(name);
  knowledge_.held.erase(name);
  const std::optional<Received> received = Ask(Opcode::kRelease, request);
  if (!received) return;
  ASSERT_EQ(received->As<pb::ReleaseReply>().result(), pb::RELEASE_RESULT_RELEASED) << name;
  knowledge_.released[name].insert(token);
  knowledge_.unsure.erase(name);
}

void ScriptedClient::ExpectNothingForgotten() {
  pb::ListLocksRequest request;
  request.set_count_max(100);
  const std::optional<Received> received = Ask(Opcode::kListLocks, request);
  if (!received) return;
  std::map<std::string, uint64_t> found;
  const auto reply = received->As<pb::ListLocksReply>();
  for (const pb::LockRecord& lock : reply.locks()) {
    if (lock.status() == pb::LOCK_STATUS_HELD) found[lock.lock_id()] = lock.token();
  }
  for (const auto& [name, token] : knowledge_.held) {
    ASSERT_EQ(found[name], token) << name << " was granted";
  }
  for (const auto& [name, token] : found) {
    if (knowledge_.unsure.contains(name)) continue;
    ASSERT_TRUE(knowledge_.held.contains(name)) << name << " was released, or never asked for";
  }
  for (const auto& [name, tokens] : knowledge_.released) {
    ASSERT_FALSE(tokens.contains(found[name])) << name << " was released";
  }
}

}  // namespace lockd::node
