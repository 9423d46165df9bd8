#include "tests/support/naive_lock_database.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "protocol/base/check.h"

namespace lockd::state {
namespace {

CommandResult Refused(Refusal refusal) {
  CommandResult result;
  result.refusal = refusal;
  return result;
}

template <typename Value>
CommandResult Gives(Value value) {
  CommandResult result;
  result.value = std::move(value);
  return result;
}

// What a command's reply looks like.
template <typename C>
struct ReplyOf;
template <>
struct ReplyOf<Acquire> {
  using type = AcquireResult;
};
template <>
struct ReplyOf<Release> {
  using type = ReleaseResult;
};
template <>
struct ReplyOf<Cancel> {
  using type = CancelResult;
};
template <>
struct ReplyOf<Reconcile> {
  using type = ReconcileResult;
};

template <typename Value>
CommandResult GivesReply(const Value& value) {
  CommandResult result = Gives(value);
  if constexpr (std::is_same_v<Value, AcquireResult>) result.limit = LimitName(value.limit);
  return result;
}

}  // namespace

// ---- Apply

ApplyResult NaiveLockDatabase::Apply(ClusterTime time, const Batch* batch) {
  LOCKD_CHECK(time >= time_);
  time_ = time;
  if (batch != nullptr) wall_time_ = batch->wall_time;
  events_.clear();
  ApplyResult result;
  CleanUp();
  if (batch != nullptr) {
    for (const Command& command : batch->commands) {
      result.results.push_back(ValidateCommand(command, settings_).ok()
                                   ? std::visit([this](const auto& c) { return Do(c); }, command)
                                   : Refused(Refusal::kInvalid));
      GrantFreed();
    }
  }
  result.events = std::move(events_);
  return result;
}

std::vector<NaiveLockDatabase::Due> NaiveLockDatabase::AllDeadlines() const {
  std::vector<Due> all;
  for (const auto& [id, session] : sessions_) {
    if (!session.end_deadline) {
      all.push_back({session.Deadline(), id.value(), Due::Kind::kSession, {}});
    } else if (!session.end_is_done) {
      all.push_back({*session.end_deadline, id.value(), Due::Kind::kSession, {}});
    } else {
      all.push_back({session.kept_until, id.value(), Due::Kind::kKeptSession, {}});
    }
  }
  for (const auto& [position, waiter] : waiters_) {
    if (waiter.deadline) all.push_back({*waiter.deadline, position, Due::Kind::kWaiter, {}});
  }
  for (const auto& [name, hold] : holds_) {
    if (hold.deadline) {
      all.push_back({*hold.deadline, hold.grant.token.value(), Due::Kind::kHold, name});
    }
  }
  return all;
}

void NaiveLockDatabase::CleanUp() {
  uint64_t budget = settings_.cleanup_holds_max;
  while (budget > 0) {
    const std::vector<Due> all = AllDeadlines();
    const auto first = std::min_element(all.begin(), all.end());
    if (first == all.end() || first->deadline > time_) return;
    switch (first->kind) {
      case Due::Kind::kSession: {
        Session& session = sessions_.at(SessionId(first->id));
        if (session.end_deadline) {
          ContinueEnd(session, budget);
        } else {
          const bool by_grace =
              session.grace_deadline && *session.grace_deadline <= session.ttl_deadline;
          EndSession(session,
                     by_grace ? SessionEndReason::kDisconnected : SessionEndReason::kExpired,
                     first->deadline, budget);
        }
        break;
      }
      case Due::Kind::kKeptSession:
        sessions_.erase(SessionId(first->id));
        --budget;
        break;
      case Due::Kind::kWaiter:
        LookAt(first->id);
        --budget;
        break;
      case Due::Kind::kHold: {
        const Hold& hold = holds_.at(first->lock);
        if (IsLive(sessions_.at(hold.session))) {
          events_.push_back(HoldExpired{hold.session, hold.grant.token});
        }
        Free(first->lock);
        --budget;
        break;
      }
    }
    GrantFreed();
  }
}

void NaiveLockDatabase::EndSession(Session& session, SessionEndReason reason, ClusterTime deadline,
                                   uint64_t& budget) {
  events_.push_back(SessionEnded{session.id, reason});
  session.end_deadline = deadline;
  session.kept_until = time_ + kEndedSessionKeptMs;
  --budget;
  ContinueEnd(session, budget);
}

void NaiveLockDatabase::ContinueEnd(Session& session, uint64_t& budget) {
  const SessionId id = session.id;
  for (const Sequence acquire : AcquiresOf(id)) {
    if (budget == 0) break;
    --budget;
    if (const uint64_t position = PositionOf(id, acquire); position != 0) {
      waiters_.erase(position);
    } else {
      Free(LockOf(id, acquire));
    }
  }
  // Handing on may come across the session's own waiters, and then nothing may be left.
  GrantFreed();
  if (!AcquiresOf(id).empty()) return;
  session.end_is_done = true;
  if (session.replies.empty() && session.outcomes.empty()) sessions_.erase(id);
}

// ---- Sessions

bool NaiveLockDatabase::IsLive(const Session& session) const {
  return !session.end_deadline && session.Deadline() > time_;
}

NaiveLockDatabase::Session* NaiveLockDatabase::Find(SessionId session) {
  const auto it = sessions_.find(session);
  return it == sessions_.end() ? nullptr : &it->second;
}

Refusal NaiveLockDatabase::CheckConnection(SessionId id, ConnectionEpoch epoch) const {
  const auto it = sessions_.find(id);
  if (it == sessions_.end() || !IsLive(it->second)) return Refusal::kSessionEnded;
  return it->second.epoch == epoch ? Refusal::kNone : Refusal::kStaleEpoch;
}

void NaiveLockDatabase::Forget(Session& session, const std::vector<Sequence>& acquires) {
  for (const Sequence acquire : acquires) session.outcomes.erase(acquire);
}

CommandResult NaiveLockDatabase::Do(const OpenSession& command) {
  SessionResult result;
  for (auto& [id, session] : sessions_) {
    if (!IsLive(session) || session.nonce != command.nonce) continue;
    ++session.epoch;
    Renew(session);
    session.grace_deadline.reset();
    result.session = id;
    result.epoch = session.epoch;
    result.found = true;
    return Gives(result);
  }
  if (session_count() >= settings_.sessions_max || sessions_.size() >= 2 * settings_.sessions_max) {
    CommandResult limit = Refused(Refusal::kLimit);
    limit.limit = LimitName(LimitKind::kSessionsMax);
    return limit;
  }
  Session session;
  session.id = SessionId(++counter_);
  session.nonce = command.nonce;
  session.owner_id = command.owner_id;
  session.ttl_ms = command.ttl_ms;
  session.grace_ms = command.grace_ms;
  session.epoch = ConnectionEpoch(1);
  Renew(session);
  result.session = session.id;
  result.epoch = session.epoch;
  sessions_.emplace(session.id, std::move(session));
  return Gives(result);
}

CommandResult NaiveLockDatabase::Do(const AttachSession& command) {
  Session* session = Find(command.session);
  if (session == nullptr || !IsLive(*session)) return Refused(Refusal::kSessionEnded);
  if (session->nonce != command.nonce) return Refused(Refusal::kWrongSecret);
  ++session->epoch;
  Renew(*session);
  session->grace_deadline.reset();
  SessionResult result;
  result.session = session->id;
  result.epoch = session->epoch;
  result.found = true;
  result.outcomes.assign(session->outcomes.begin(), session->outcomes.end());
  return Gives(result);
}

CommandResult NaiveLockDatabase::Do(const KeepAlives& command) {
  KeepAliveResults results;
  for (const KeepAlives::One& one : command.sessions) {
    results.sessions.push_back(CheckConnection(one.session, one.epoch));
    if (results.sessions.back() != Refusal::kNone) continue;
    Session& session = sessions_.at(one.session);
    Renew(session);
    Forget(session, one.acknowledged_acquires);
  }
  return Gives(results);
}

CommandResult NaiveLockDatabase::Do(const CloseSession& command) {
  const Refusal refusal = CheckConnection(command.session, command.epoch);
  if (refusal != Refusal::kNone) return Refused(refusal);
  uint64_t budget = settings_.cleanup_holds_max;
  EndSession(sessions_.at(command.session), SessionEndReason::kClosed, time_, budget);
  return Gives(Done{});
}

CommandResult NaiveLockDatabase::Do(const Disconnect& command) {
  const Refusal refusal = CheckConnection(command.session, command.epoch);
  if (refusal != Refusal::kNone) return Refused(refusal);
  Session& session = sessions_.at(command.session);
  if (session.grace_ms != 0 && !session.grace_deadline) {
    session.grace_deadline = After(session.grace_ms);
  }
  return Gives(Done{});
}

// ---- Exactly once

template <typename C>
CommandResult NaiveLockDatabase::Do(const C& command) {
  using Value = typename ReplyOf<C>::type;
  constexpr bool kIsAcquire = std::is_same_v<C, Acquire>;
  constexpr bool kIsCancel = std::is_same_v<C, Cancel>;
  const Mutation& head = command.mutation;
  Session* session = Find(head.session);
  if (session == nullptr) return Refused(Refusal::kSessionEnded);

  const auto remembered = session->replies.find(head.sequence);
  const bool has_reply = remembered != session->replies.end();
  const Value* reply = has_reply ? std::get_if<Value>(&remembered->second) : nullptr;

  if (!IsLive(*session)) {
    if constexpr (kIsAcquire) {
      const auto outcome = session->outcomes.find(head.sequence);
      if (outcome != session->outcomes.end()) return GivesReply(outcome->second);
      if (reply != nullptr && reply->kind == AcquireOutcomeKind::kQueued) reply = nullptr;
    }
    return reply != nullptr ? GivesReply(*reply) : Refused(Refusal::kSessionEnded);
  }
  if (head.epoch != session->epoch) return Refused(Refusal::kStaleEpoch);

  const Sequence through = std::max(session->acknowledged_through, head.acknowledged_through);
  if (head.sequence <= through || head.sequence > through + kSequenceWindow) {
    return Refused(Refusal::kBadSequence);
  }
  if (has_reply && reply == nullptr) return Refused(Refusal::kBadSequence);
  if constexpr (kIsCancel) {
    if (reply == nullptr && command.acquire > through) {
      const auto target = session->replies.find(command.acquire);
      if (target != session->replies.end() &&
          !std::holds_alternative<AcquireResult>(target->second)) {
        return Refused(Refusal::kInvalid);
      }
      if (command.acquire > through + kSequenceWindow) return Refused(Refusal::kBadSequence);
    }
  }

  session->acknowledged_through = through;
  session->replies.erase(session->replies.begin(), session->replies.upper_bound(through));
  Forget(*session, head.acknowledged_acquires);

  if (reply != nullptr) return GivesReply(*reply);
  const Value value = Execute(*session, command);
  session->replies[head.sequence] = value;
  return GivesReply(value);
}

// ---- The cluster's own record

CommandResult NaiveLockDatabase::Do(const Bootstrap& command) {
  if (!cluster_id_.is_zero()) return Refused(Refusal::kInvalid);
  cluster_id_ = command.cluster_id;
  feature_level_ = command.feature_level;
  settings_ = command.settings;
  members_ = command.members;
  for (const Member& member : members_) last_node_id_ = std::max(last_node_id_, member.node_id);
  return Gives(Done{});
}

CommandResult NaiveLockDatabase::Do(const Refound& command) {
  const bool goes_on_higher = command.numbers_from > counter_ &&
                              command.bootstrap.feature_level >= feature_level_ &&
                              cluster_id_.is_zero();
  if (!goes_on_higher) return Refused(Refusal::kInvalid);
  counter_ = command.numbers_from;
  return Do(command.bootstrap);
}

// An end whose clean-up is put off is the lock-delay.
void NaiveLockDatabase::PrepareRefounding() {
  int64_t longest_ttl_ms = 0;
  for (const auto& [id, session] : sessions_) {
    longest_ttl_ms = std::max(longest_ttl_ms, session.ttl_ms);
  }
  waiters_.clear();
  std::set<SessionId> forgotten;
  for (auto& [id, session] : sessions_) {
    if (session.end_is_done) continue;
    if (!session.end_deadline) session.kept_until = time_ + kEndedSessionKeptMs;
    session.end_deadline = After(longest_ttl_ms);
    session.end_is_done = AcquiresOf(id).empty();
    const bool remembers = !session.replies.empty() || !session.outcomes.empty();
    if (session.end_is_done && !remembers) forgotten.insert(id);
  }
  for (const SessionId id : forgotten) sessions_.erase(id);
  cluster_id_ = ClusterId(0);
  members_.clear();
  last_node_id_ = NodeId(0);
}

CommandResult NaiveLockDatabase::Do(const RegisterMember& command) {
  for (Member& member : members_) {
    if (member.node_id != command.member.node_id) continue;
    if (!member.incarnation.is_zero() && member.incarnation != command.member.incarnation) {
      return Refused(Refusal::kInvalid);
    }
    member.incarnation = command.member.incarnation;
    if (!command.member.peer_address.empty()) member.peer_address = command.member.peer_address;
    if (!command.member.client_address.empty()) {
      member.client_address = command.member.client_address;
    }
    return Gives(Done{});
  }
  return Refused(Refusal::kInvalid);
}

CommandResult NaiveLockDatabase::Do(const SetSettings& command) {
  settings_ = command.settings;
  return Gives(Done{});
}

CommandResult NaiveLockDatabase::Do(const SetFeatureLevel& command) {
  if (command.feature_level < feature_level_) return Refused(Refusal::kInvalid);
  feature_level_ = command.feature_level;
  return Gives(Done{});
}

CommandResult NaiveLockDatabase::Do(const ChangeMembers& command) {
  if (cluster_id_.is_zero()) return Refused(Refusal::kInvalid);
  std::map<NodeId, Member> records;
  for (const Member& member : members_) records[member.node_id] = member;
  for (const Member& member : command.added) {
    if (member.node_id <= last_node_id_) return Refused(Refusal::kInvalid);
    records[member.node_id] = member;
  }
  // Old and new voters each leave a mark.
  std::map<NodeId, std::string> marks;
  const std::vector<NodeId>& old = command.outgoing.empty() ? command.voters : command.outgoing;
  for (const NodeId id : old) marks[id] += "old";
  for (const NodeId id : command.voters) marks[id] += "new";
  for (const NodeId id : command.learners) marks[id] += "learner";
  const std::map<std::string, MemberRole> roles = {{"oldnew", MemberRole::kVoter},
                                                   {"new", MemberRole::kIncoming},
                                                   {"old", MemberRole::kOutgoing},
                                                   {"learner", MemberRole::kLearner}};
  std::vector<Member> members;
  for (const auto& [id, mark] : marks) {
    if (!records.contains(id)) return Refused(Refusal::kInvalid);
    members.push_back(records.at(id));
    members.back().role = roles.at(mark);
  }
  members_ = members;
  for (const Member& member : command.added) last_node_id_ = member.node_id;
  return Gives(Done{});
}

// ---- Reads

uint64_t NaiveLockDatabase::WaitersOf(const std::string& name) const {
  return static_cast<uint64_t>(std::count_if(waiters_.begin(), waiters_.end(),
                                             [&](const auto& w) { return w.second.name == name; }));
}

LockView NaiveLockDatabase::ViewOf(const std::string& name, const Hold& hold) const {
  const Session& session = sessions_.at(hold.session);
  LockView view;
  view.name = name;
  view.held = true;
  view.session = session.id;
  view.owner_id = session.owner_id;
  view.token = hold.grant.token;
  view.granted_wall = hold.granted_wall;
  ClusterTime end = session.end_deadline ? *session.end_deadline : session.Deadline();
  if (hold.deadline) end = std::min(end, *hold.deadline);
  view.expiration_wall = wall_time_ + (end - time_);
  view.waiters = WaitersOf(name);
  return view;
}

LockView NaiveLockDatabase::GetLock(const std::string& name) const {
  const auto it = holds_.find(name);
  if (it != holds_.end()) return ViewOf(name, it->second);
  LockView view;
  view.name = name;
  return view;
}

std::vector<LockView> NaiveLockDatabase::Locks(const std::string& prefix) const {
  std::vector<LockView> views;
  for (const auto& [name, hold] : holds_) {
    if (absl::StartsWith(name, prefix)) views.push_back(ViewOf(name, hold));
  }
  return views;
}

std::vector<SessionView> NaiveLockDatabase::Sessions() const {
  std::vector<SessionView> views;
  for (const auto& [id, session] : sessions_) {
    if (!IsLive(session)) continue;
    SessionView view;
    view.session = id;
    view.owner_id = session.owner_id;
    view.ttl_ms = session.ttl_ms;
    view.grace_ms = session.grace_ms;
    view.remaining_ms = session.Deadline() - time_;
    view.epoch = session.epoch;
    for (const auto& [name, hold] : holds_) view.holds += hold.session == id ? 1 : 0;
    for (const auto& [position, waiter] : waiters_) view.waiters += waiter.session == id ? 1 : 0;
    views.push_back(std::move(view));
  }
  return views;
}

bool NaiveLockDatabase::SessionIsLive(SessionId session) const {
  const auto it = sessions_.find(session);
  return it != sessions_.end() && IsLive(it->second);
}

bool NaiveLockDatabase::SessionHasEnded(SessionId session) const {
  const auto it = sessions_.find(session);
  return it != sessions_.end() && !IsLive(it->second);
}

int64_t NaiveLockDatabase::SessionGraceMs(SessionId session) const {
  return SessionIsLive(session) ? sessions_.at(session).grace_ms : 0;
}

uint64_t NaiveLockDatabase::session_count() const {
  return static_cast<uint64_t>(std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) {
    return !s.second.end_deadline.has_value();
  }));
}

ClusterTime NaiveLockDatabase::NextDeadline() const {
  ClusterTime next = kNeverCluster;
  for (const Due& due : AllDeadlines()) next = std::min(next, due.deadline);
  return next;
}

}  // namespace lockd::state
