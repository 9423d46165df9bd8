// What makes a command valid; command.h says who asks.

#include <algorithm>
#include <iterator>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/state/command.h"

namespace lockd::state {
namespace {

constexpr uint64_t kIdMax = (uint64_t{1} << 63) - 1;
// Records are addressed by 32-bit ids; far below that, so that sums stay away from the end.
constexpr uint64_t kRecordsMax = uint64_t{1} << 31;

// Collects the first complaint; the checks read like a table.
class Checker {
 public:
  void Range(const char* field, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      Complain(absl::StrCat(field, " is ", value, ", allowed are ", low, "..", high));
    }
  }
  void Range(const char* field, uint64_t value, uint64_t low, uint64_t high) {
    if (value < low || value > high) {
      Complain(absl::StrCat(field, " is ", value, ", allowed are ", low, "..", high));
    }
  }
  void Id(const char* field, uint64_t value) { Range(field, value, 1, kIdMax); }
  void Size(const char* field, size_t size, size_t low, size_t high) {
    if (size < low || size > high) {
      Complain(absl::StrCat(field, " has size ", size, ", allowed are ", low, "..", high));
    }
  }
  void True(bool condition, const char* complaint) {
    if (!condition) Complain(complaint);
  }
  [[nodiscard]] bool ok() const { return status_.ok(); }
  [[nodiscard]] absl::Status Take() { return std::move(status_); }

 private:
  void Complain(std::string message) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(message);
  }
  absl::Status status_;
};

void CheckSettings(Checker& check, const Settings& s) {
  check.Range("session_ttl_ms_min", s.session_ttl_ms_min, 1, kDurationMsMax);
  check.Range("session_ttl_ms_max", s.session_ttl_ms_max, s.session_ttl_ms_min, kDurationMsMax);
  check.Range("grace_ms_min", s.grace_ms_min, 1, kDurationMsMax);
  check.Range("sessions_max", s.sessions_max, 1, kRecordsMax / 2);
  check.Range("locks_max", s.locks_max, 1, kRecordsMax);
  check.Range("waiters_max", s.waiters_max, 1, kRecordsMax);
  check.Range("locks_per_session_max", s.locks_per_session_max, 1, kRecordsMax);
  check.Range("waiters_per_session_max", s.waiters_per_session_max, 1, kRecordsMax);
  check.Range("cleanup_holds_max", s.cleanup_holds_max, 1, 1'000'000);
}

void CheckMember(Checker& check, const Member& member) {
  check.Id("node_id", member.node_id.value());
  check.Size("peer_address", member.peer_address.size(), 0, kAddressBytesMax);
  check.Size("client_address", member.client_address.size(), 0, kAddressBytesMax);
}

void CheckMembers(Checker& check, const std::vector<Member>& members) {
  for (size_t i = 0; i < members.size(); ++i) {
    CheckMember(check, members[i]);
    check.True(i == 0 || members[i - 1].node_id < members[i].node_id,
               "members do not ascend by node_id");
  }
}

void CheckNodeIds(Checker& check, const char* field, const std::vector<NodeId>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    check.Id(field, ids[i].value());
    check.True(i == 0 || ids[i - 1] < ids[i], "node ids of a list do not ascend");
  }
}

// Both lists ascend.
bool HaveCommonId(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&b](NodeId id) { return std::binary_search(b.begin(), b.end(), id); });
}

void CheckMutation(Checker& check, const Mutation& mutation) {
  check.Id("session_id", mutation.session.value());
  check.Id("sequence", mutation.sequence.value());
  check.Size("acknowledged_acquire_ids", mutation.acknowledged_acquires.size(), 0,
             kAcknowledgedAcquiresMax);
}

void CheckName(Checker& check, const std::string& name) {
  check.Size("name", name.size(), 1, kLockNameBytesMax);
}

void Check(Checker& check, const OpenSession& c, const Settings& s) {
  check.Size("nonce", c.nonce.size(), kNonceBytes, kNonceBytes);
  check.Size("owner_id", c.owner_id.size(), 0, kOwnerIdBytesMax);
  check.Range("ttl_ms", c.ttl_ms, s.session_ttl_ms_min, s.session_ttl_ms_max);
  if (c.grace_ms != 0) check.Range("grace_ms", c.grace_ms, s.grace_ms_min, kDurationMsMax);
}
void Check(Checker& check, const AttachSession& c, const Settings&) {
  check.Id("session_id", c.session.value());
  check.Size("nonce", c.nonce.size(), kNonceBytes, kNonceBytes);
}
void Check(Checker& check, const KeepAlives& c, const Settings&) {
  for (const KeepAlives::One& one : c.sessions) {
    check.Size("acknowledged_acquire_ids", one.acknowledged_acquires.size(), 0,
               kAcknowledgedAcquiresMax);
  }
}
void Check(Checker& check, const CloseSession& c, const Settings&) {
  check.Id("session_id", c.session.value());
}
void Check(Checker& check, const Disconnect& c, const Settings&) {
  check.Id("session_id", c.session.value());
}
void Check(Checker& check, const Acquire& c, const Settings&) {
  CheckMutation(check, c.mutation);
  CheckName(check, c.name);
  check.True(c.mode == LockMode::kExclusive, "mode is not one that this version knows");
  check.Range("wait_ms", c.wait_ms, kWaitForever, kDurationMsMax);
  check.Range("max_hold_ms", c.max_hold_ms, 0, kDurationMsMax);
}
void Check(Checker& check, const Release& c, const Settings&) {
  CheckMutation(check, c.mutation);
  CheckName(check, c.name);
  check.Id("token", c.token.value());
}
void Check(Checker& check, const Cancel& c, const Settings&) {
  CheckMutation(check, c.mutation);
  check.Id("acquire_id", c.acquire.value());
  check.True(c.acquire != c.mutation.sequence, "acquire_id is the cancel's own sequence");
}
void Check(Checker& check, const Reconcile& c, const Settings&) {
  CheckMutation(check, c.mutation);
  check.Range("watermark", c.watermark.value(), c.after.value(), kIdMax);
  check.Size("live_acquire_ids", c.live_acquires.size(), 0, kReconcileAcquiresMax);
  for (size_t i = 1; i < c.live_acquires.size(); ++i) {
    check.True(c.live_acquires[i - 1] < c.live_acquires[i], "live_acquire_ids do not ascend");
  }
}
void Check(Checker& check, const Bootstrap& c, const Settings&) {
  check.Range("cluster_id", c.cluster_id.value(), 1, ~uint64_t{0});
  // Above what this build knows: see SetFeatureLevel.
  check.Range("feature_level", uint64_t{c.feature_level}, 1, ~uint32_t{0});
  CheckSettings(check, c.settings);
  check.Size("members", c.members.size(), 1, kMembersMax);
  CheckMembers(check, c.members);
}
void Check(Checker& check, const Refound& c, const Settings& settings) {
  Check(check, c.bootstrap, settings);
  check.Id("numbers_from", c.numbers_from);
}
void Check(Checker& check, const RegisterMember& c, const Settings&) {
  CheckMember(check, c.member);
}
void Check(Checker& check, const SetSettings& c, const Settings&) {
  CheckSettings(check, c.settings);
}
// A level above what this build knows is no refusal: the leader's members all support it, so this
// build must not be running. The leader asks them first, apply ends the process.
void Check(Checker& check, const SetFeatureLevel& c, const Settings&) {
  check.Range("feature_level", uint64_t{c.feature_level}, 1, ~uint32_t{0});
}
void Check(Checker& check, const ChangeMembers& c, const Settings&) {
  CheckNodeIds(check, "voters", c.voters);
  CheckNodeIds(check, "outgoing", c.outgoing);
  CheckNodeIds(check, "learners", c.learners);
  CheckMembers(check, c.added);
  if (!check.ok()) return;  // what follows needs lists that ascend
  check.Size("voters", c.voters.size(), 1, kMembersMax);
  // Roles would not tell such a change from one without outgoing voters.
  check.True(c.outgoing != c.voters, "outgoing names the same nodes as voters");
  check.True(!HaveCommonId(c.learners, c.voters), "a node is a voter and a learner");
  check.True(!HaveCommonId(c.learners, c.outgoing), "a node is an outgoing voter and a learner");
  std::vector<NodeId> members;
  std::set_union(c.voters.begin(), c.voters.end(), c.outgoing.begin(), c.outgoing.end(),
                 std::back_inserter(members));
  check.Size("members", members.size() + c.learners.size(), 1, kMembersMax);
  for (const Member& member : c.added) {
    const std::vector<NodeId> id{member.node_id};
    check.True(HaveCommonId(id, c.voters) || HaveCommonId(id, c.learners),
               "a node is added that is neither a voter nor a learner");
    check.True(!HaveCommonId(id, c.outgoing), "a node is added that is an outgoing voter");
  }
}

}  // namespace

absl::Status ValidateCommand(const Command& command, const Settings& settings) {
  Checker check;
  std::visit([&](const auto& c) { Check(check, c, settings); }, command);
  return check.Take();
}

}  // namespace lockd::state
