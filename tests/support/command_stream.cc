#include "tests/support/command_stream.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace lockd::state {
namespace {

constexpr size_t kClientsMax = 6;
constexpr size_t kRememberedMax = 12;

template <typename T>
void Remember(std::vector<T>& list, T item) {
  list.push_back(std::move(item));
  if (list.size() > kRememberedMax) list.erase(list.begin());
}

std::string NonceOf(uint64_t number) {
  std::string nonce = absl::StrCat("nonce-", number);
  nonce.resize(kNonceBytes, '.');
  return nonce;
}

}  // namespace

CommandStream::CommandStream(Choose choose) : choose_(std::move(choose)) {}

const std::vector<std::string>& CommandStream::Names() {
  static const auto* const names =
      new std::vector<std::string>{"a", "ab", "b", std::string("\0\xff", 2)};
  return *names;
}

LogEntry CommandStream::Next() {
  // Mostly standing still or small steps; now and then beyond every TTL, and beyond what is kept of
  // an ended session.
  time_ms_ +=
      Duration({0, 0, 0, 1, 2, 5, 10, 30, 100, OneIn(8) ? 1'000 : 3,
                OneIn(8) ? kEndedSessionKeptMs : 7, OneIn(4) ? kEndedSessionKeptMs / 2 : 7});
  LogEntry entry;
  entry.time = ClusterTime(time_ms_);
  if (OneIn(12)) return entry;
  entry.batch.emplace();
  entry.batch->wall_time =
      WallTime(1'700'000'000'000 + time_ms_ + static_cast<int64_t>(choose_(50)));
  for (uint64_t count = choose_(4); count > 0; --count) {
    entry.batch->commands.push_back(SomeCommand());
  }
  return entry;
}

int64_t CommandStream::Duration(std::initializer_list<int64_t> choices) {
  return *(choices.begin() + choose_(choices.size()));
}

CommandStream::Client& CommandStream::SomeClient() {
  // The newest ones more often: the others tend to be dead.
  const size_t last = clients_.size() - 1;
  return clients_[OneIn(4) ? choose_(clients_.size())
                           : last - choose_(std::min<size_t>(3, last + 1))];
}

ConnectionEpoch CommandStream::SomeEpoch(const Client& client) {
  if (!OneIn(12)) return client.epoch;
  return ConnectionEpoch(choose_(client.epoch.value() + 2));
}

Sequence CommandStream::SomeAcquire(const Client& client) {
  if (client.acquires.empty() || OneIn(8)) return Sequence(choose_(client.last.value() + 5));
  const size_t count = client.acquires.size();
  const size_t back = choose_(OneIn(3) ? count : std::min<size_t>(count, 3));  // mostly a new one
  return client.acquires[count - 1 - back].first;
}

std::vector<Sequence> CommandStream::SomeAcquires(const Client& client) {
  std::vector<Sequence> acquires;
  if (OneIn(3)) {
    for (uint64_t count = choose_(4); count > 0; --count) acquires.push_back(SomeAcquire(client));
  }
  return acquires;
}

Sequence CommandStream::NextSequence(Client& client) {
  if (!OneIn(10)) return ++client.last;
  switch (choose_(6)) {
    case 0:  // a hole
      client.last += 1 + choose_(3);
      return client.last;
    case 1:  // into a hole, or one that was used
      return Sequence(choose_(client.last.value() + 1));
    case 2:
      return client.acknowledged_through;
    case 3:  // the last of the window; what comes next is outside until X rises
      client.last = client.acknowledged_through + kSequenceWindow;
      return client.last;
    case 4:
      return client.acknowledged_through + kSequenceWindow + 1;
    default:
      return Sequence(OneIn(2) ? 0 : uint64_t{1} << 62);
  }
}

Mutation CommandStream::Head(Client& client) {
  Mutation head;
  head.session = OneIn(40) ? SessionId(choose_(40)) : client.session;
  head.epoch = SomeEpoch(client);
  head.sequence = NextSequence(client);
  const uint64_t through = client.acknowledged_through.value();
  if (OneIn(4) && client.last.value() > through) {
    const uint64_t raised = through + choose_(client.last.value() - through);
    if (!OneIn(8)) client.acknowledged_through = Sequence(raised);
    head.acknowledged_through = Sequence(raised);
  } else {
    head.acknowledged_through = Sequence(OneIn(12) ? choose_(through + 3) : through);
  }
  head.acknowledged_acquires = SomeAcquires(client);
  return head;
}

Command CommandStream::SomeCommand() {
  if (!std::exchange(started_, true) && !OneIn(8)) return SetSettings{SomeSettings()};
  const auto alive = std::count_if(clients_.begin(), clients_.end(),
                                   [](const Client& client) { return !client.is_over; });
  if (clients_.empty() || (alive < 2 && !OneIn(4))) return OpenCommand();
  if (OneIn(4)) return SessionCommand();
  if (OneIn(25)) return ClusterCommand();
  Client& client = SomeClient();
  if (!client.sent.empty() && OneIn(6)) {
    Command again = client.sent[choose_(client.sent.size())];
    // Usually on the connection that the session is attached to now.
    std::visit(
        [&](auto& command) {
          if constexpr (requires { command.mutation; }) {
            if (!OneIn(4)) command.mutation.epoch = client.epoch;
          }
        },
        again);
    return again;
  }
  Command command = MutatingCommand(client);
  Remember(client.sent, command);
  return command;
}

Command CommandStream::OpenCommand() {
  OpenSession open;
  open.nonce = NonceOf(OneIn(3) && nonces_ > 0 ? choose_(nonces_) + 1 : ++nonces_);
  open.ttl_ms = Duration({1, 5, 20, 60, 200, 200, 2'000, 100'000, 100'000, OneIn(4) ? 0 : 200});
  open.grace_ms = Duration({0, 0, 0, 1, 5, 20, 60, 100, 200});
  open.owner_id = absl::StrCat("owner-", nonces_);
  return open;
}

Command CommandStream::SessionCommand() {
  if (OneIn(8)) return OpenCommand();
  Client& client = SomeClient();
  switch (choose_(8)) {
    case 0:
    case 1:
      return AttachSession{client.session, OneIn(6) ? NonceOf(choose_(4)) : client.nonce};
    case 2:
      return CloseSession{client.session, SomeEpoch(client)};
    case 3:
    case 4:
      return Disconnect{client.session, SomeEpoch(client)};
    default: {
      KeepAlives keep_alives;
      for (uint64_t count = choose_(4); count > 0; --count) {
        const Client& one = SomeClient();
        keep_alives.sessions.push_back({one.session, SomeEpoch(one), SomeAcquires(one)});
      }
      return keep_alives;
    }
  }
}

Settings CommandStream::SomeSettings() {
  Settings settings;
  settings.session_ttl_ms_min = OneIn(4) ? 10 : 1;
  settings.session_ttl_ms_max = 1'000'000;
  settings.grace_ms_min = OneIn(4) ? 10 : 1;
  settings.sessions_max = OneIn(6) ? 1 + choose_(2) : 3 + choose_(20);
  settings.locks_max = 1 + choose_(6);
  settings.waiters_max = 1 + choose_(20);
  settings.locks_per_session_max = 1 + choose_(4);
  settings.waiters_per_session_max = 1 + choose_(8);
  settings.cleanup_holds_max = OneIn(3) ? 1'000 : 1 + choose_(4);
  return settings;
}

Command CommandStream::ClusterCommand() {
  switch (choose_(12)) {
    case 0:
      return FoundingCommand();
    case 1:
    case 2: {
      Member member;
      member.node_id = NodeId(choose_(6));
      if (OneIn(2)) member.peer_address = absl::StrCat("p", choose_(9));
      if (OneIn(2)) member.client_address = absl::StrCat("c", choose_(9));
      member.incarnation = Incarnation(choose_(3));
      return RegisterMember{member};
    }
    case 3:
      return SetFeatureLevel{static_cast<uint32_t>(choose_(kFeatureLevelMax + 1))};
    case 4:
    case 5:
    case 6:
    case 7:
      return members_.empty() && !OneIn(8) ? FoundingCommand() : MembersCommand();
    default:
      return SetSettings{SomeSettings()};
  }
}

Command CommandStream::FoundingCommand() {
  Bootstrap bootstrap;
  bootstrap.cluster_id = ClusterId(choose_(4));
  bootstrap.feature_level = kFeatureLevelMax;
  bootstrap.settings = SomeSettings();
  for (uint64_t id = 1; id <= 1 + choose_(3); ++id) {
    bootstrap.members.push_back(
        {NodeId(id), absl::StrCat("p", id), absl::StrCat("c", id), Incarnation(choose_(2))});
  }
  if (OneIn(4)) return Refound{bootstrap, choose_(1'000)};
  return bootstrap;
}

// Mostly one that makes sense: each member, and some new ones, get a role or go.
Command CommandStream::MembersCommand() {
  ChangeMembers change;
  const bool is_joint = OneIn(2);
  const auto give_role = [&](NodeId id, bool is_new) {
    const uint64_t role = choose_(8);
    if (role == 0 && !is_new) return;  // a member no longer
    if (role <= 1) {
      change.learners.push_back(id);
    } else if (is_joint && role == 2 && !is_new) {
      change.outgoing.push_back(id);
    } else {
      change.voters.push_back(id);
      if (is_joint && role >= 4 && !is_new) change.outgoing.push_back(id);
    }
  };
  for (const NodeId id : members_) give_role(id, false);
  NodeId id = last_node_id_;
  for (uint64_t count = members_.size() < 6 ? choose_(3) : 0; count > 0; --count) {
    id += 1 + choose_(2);
    give_role(id, true);
    change.added.push_back(
        {id, absl::StrCat("p", id), absl::StrCat("c", id), Incarnation(choose_(2))});
  }
  if (OneIn(8)) {
    for (auto* list : {&change.voters, &change.outgoing, &change.learners}) {
      if (OneIn(2)) list->push_back(NodeId(choose_(id.value() + 3)));
      if (!OneIn(4)) std::sort(list->begin(), list->end());
    }
    if (OneIn(3)) change.added.emplace_back().node_id = NodeId(choose_(id.value() + 3));
  }
  return change;
}

Command CommandStream::MutatingCommand(Client& client) {
  switch (choose_(12)) {
    case 0:
    case 1:
    case 2: {
      Release release;
      release.mutation = Head(client);
      if (client.tokens.empty() || OneIn(6)) {
        release.name = SomeName();
        release.token = FencingToken(choose_(40));
      } else {
        const auto& [name, token] = client.tokens[choose_(client.tokens.size())];
        release.name = name;
        release.token = OneIn(10) ? token + 1 : token;
      }
      return release;
    }
    case 3:
    case 4: {
      Cancel cancel;
      cancel.acquire = SomeAcquire(client);
      cancel.mutation = Head(client);
      if (OneIn(8)) cancel.acquire = cancel.mutation.sequence + choose_(3);
      if (OneIn(20))
        cancel.acquire = cancel.mutation.acknowledged_through + kSequenceWindow + choose_(2);
      return cancel;
    }
    case 5: {
      Reconcile reconcile;
      reconcile.mutation = Head(client);
      reconcile.watermark = OneIn(3) ? Sequence(choose_(client.last.value() + 2)) : client.last;
      reconcile.after = Sequence(!OneIn(4) ? 0 : choose_(reconcile.watermark.value() + 1));
      for (const auto& [acquire, name] : client.acquires) {
        if (OneIn(2)) reconcile.live_acquires.push_back(acquire);
      }
      if (!OneIn(6)) {
        auto& live = reconcile.live_acquires;
        std::sort(live.begin(), live.end());
        live.erase(std::unique(live.begin(), live.end()), live.end());
      }
      return reconcile;
    }
    default: {
      Acquire acquire;
      acquire.mutation = Head(client);
      acquire.name = SomeName();
      acquire.wait_ms =
          Duration({0, kWaitForever, kWaitForever, 1, 5, 30, 100, 2'000, OneIn(4) ? -2 : 20});
      acquire.max_hold_ms = Duration({0, 0, 0, 0, 1, 5, 30, 100, 2'000});
      if (OneIn(40)) acquire.name = "";
      Remember(client.acquires, {acquire.mutation.sequence, acquire.name});
      return acquire;
    }
  }
}

CommandStream::Client* CommandStream::Find(SessionId session) {
  const auto it = std::find_if(clients_.begin(), clients_.end(),
                               [&](const Client& client) { return client.session == session; });
  return it == clients_.end() ? nullptr : &*it;
}

void CommandStream::LearnToken(SessionId session, Sequence acquire, const AcquireResult& result) {
  Client* client = Find(session);
  if (client == nullptr || result.kind != AcquireOutcomeKind::kGranted) return;
  for (const auto& [sequence, name] : client->acquires) {
    if (sequence == acquire) Remember(client->tokens, {name, result.grant.token});
  }
}

void CommandStream::LearnMembers(const Command& accepted) {
  const auto* refound = std::get_if<Refound>(&accepted);
  const auto* bootstrap =
      refound != nullptr ? &refound->bootstrap : std::get_if<Bootstrap>(&accepted);
  if (bootstrap != nullptr) {
    for (const Member& member : bootstrap->members) members_.insert(member.node_id);
    last_node_id_ = bootstrap->members.back().node_id;
  }
  if (const auto* change = std::get_if<ChangeMembers>(&accepted)) {
    members_.clear();
    for (const auto* list : {&change->voters, &change->outgoing, &change->learners}) {
      members_.insert(list->begin(), list->end());
    }
    if (!change->added.empty()) last_node_id_ = change->added.back().node_id;
  }
}

void CommandStream::Learn(const LogEntry& entry, const ApplyResult& result) {
  for (size_t i = 0; i < result.results.size(); ++i) {
    const Command& command = entry.batch->commands[i];
    if (result.results[i].refusal == Refusal::kNone) LearnMembers(command);
    if (const auto* opened = std::get_if<SessionResult>(&result.results[i].value)) {
      Client* client = Find(opened->session);
      if (client == nullptr) {
        if (clients_.size() == kClientsMax) clients_.erase(clients_.begin());
        client = &clients_.emplace_back();
        client->session = opened->session;
        if (const auto* open = std::get_if<OpenSession>(&command)) client->nonce = open->nonce;
        if (const auto* a = std::get_if<AttachSession>(&command)) client->nonce = a->nonce;
      }
      client->epoch = opened->epoch;
    }
    if (const auto* acquired = std::get_if<AcquireResult>(&result.results[i].value)) {
      const Mutation& head = std::get<Acquire>(command).mutation;
      LearnToken(head.session, head.sequence, *acquired);
    }
  }
  for (const Event& event : result.events) {
    if (const auto* done = std::get_if<AcquireDone>(&event)) {
      LearnToken(done->session, done->acquire, done->result);
    }
    if (const auto* ended = std::get_if<SessionEnded>(&event)) {
      // The dead go to the front, where commands seldom find them.
      Client* client = Find(ended->session);
      if (client == nullptr) continue;
      client->is_over = true;
      std::rotate(clients_.data(), client, client + 1);
    }
  }
}

}  // namespace lockd::state
