#include "tools/lockctl/render.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "protocol/base/check.h"
#include "protocol/base/text.h"
#include "tools/lockctl/start_line.h"

namespace lockd::lockctl {
namespace {

// Keeps the order in which keys are set, which is the order of reading.
using Json = nlohmann::ordered_json;

template <typename Id>
std::string Text(Id id) {
  return absl::StrCat(id);
}

Json TextOrNull(bool applies, std::string text) {
  return applies ? Json(std::move(text)) : Json(nullptr);
}
Json NumberOrNull(bool applies, int64_t number) {
  return applies ? Json(number) : Json(nullptr);
}
Json NumberOrNull(const std::optional<int64_t>& number) {
  return NumberOrNull(number.has_value(), number.value_or(0));
}

// From which state a stale answer comes.
template <typename Record>
std::string ShownSource(const Record& record) {
  return absl::StrCat("entry ", record.applied_index, ", ",
                      record.age.ms ? absl::StrCat(FormatDurationMs(*record.age.ms),
                                                   " after the leader was last heard")
                                    : "the leader has not been heard yet");
}
// Below a table of them.
template <typename Record>
std::string ShownSource(const std::vector<Record>& records) {
  const Record& last = records.back();
  return last.age.is_stale ? absl::StrCat("stale: ", ShownSource(last), "\n") : "";
}

std::string ShownTime(int64_t wall_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(wall_ms),
                          absl::UTCTimeZone());
}

std::string ShownBytes(uint64_t bytes) {
  constexpr uint64_t kMib = 1024 * 1024;
  return absl::StrCat((bytes + kMib / 2) / kMib, " MiB");
}

// Rows of cells, each column as wide as its widest cell; the first row is the head. The last cell
// of a row may run on, past the columns that a short row has none of.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { Add(std::move(head)); }
  void Add(std::vector<std::string> row) {
    widths_.resize(std::max(widths_.size(), row.size()));
    for (size_t i = 0; i + 1 < row.size(); ++i) widths_[i] = std::max(widths_[i], row[i].size());
    rows_.push_back(std::move(row));
  }
  [[nodiscard]] std::string ToString() const {
    std::string text;
    for (const std::vector<std::string>& row : rows_) {
      for (size_t i = 0; i + 1 < row.size(); ++i) {
        absl::StrAppend(&text, row[i], std::string(widths_[i] - row[i].size() + 2, ' '));
      }
      absl::StrAppend(&text, row.back(), "\n");
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> widths_;
};

const char* ResultName(TransferStatus status) {
  switch (status) {
    case TransferStatus::kTransferred:
      return "transferred";
    case TransferStatus::kNoSuchMember:
      return "no_such_member";
    case TransferStatus::kNotVoter:
      return "not_voter";
    case TransferStatus::kNobody:
      return "nobody";
    case TransferStatus::kBusy:
      return "busy";
    case TransferStatus::kTimedOut:
      return "timed_out";
    case TransferStatus::kAnotherLeads:
      return "another_leads";
  }
  LOCKD_UNREACHABLE("result ", static_cast<int>(status));
}

const char* ResultName(ChangeMembersStatus status) {
  switch (status) {
    case ChangeMembersStatus::kDone:
      return "done";
    case ChangeMembersStatus::kNoSuchMember:
      return "no_such_member";
    case ChangeMembersStatus::kLastVoter:
      return "last_voter";
    case ChangeMembersStatus::kNotJoined:
      return "not_joined";
    case ChangeMembersStatus::kIdUsed:
      return "id_used";
    case ChangeMembersStatus::kAddressUsed:
      return "address_used";
    case ChangeMembersStatus::kTooMany:
      return "too_many";
  }
  LOCKD_UNREACHABLE("result ", static_cast<int>(status));
}

const char* RoleName(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter:
      return "voter";
    case MemberRole::kLearner:
      return "learner";
    case MemberRole::kIncoming:
      return "incoming";
    case MemberRole::kOutgoing:
      return "outgoing";
  }
  LOCKD_UNREACHABLE("role ", static_cast<int>(role));
}

// For a sentence.
const char* ShownRole(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter:
      return "a voter";
    case MemberRole::kLearner:
      return "a learner";
    case MemberRole::kIncoming:
      return "an incoming voter";
    case MemberRole::kOutgoing:
      return "an outgoing voter";
  }
  LOCKD_UNREACHABLE("role ", static_cast<int>(role));
}

// The member that a change was about. Null: it is none (any more).
const MemberRecord* MemberOf(const ChangeMembersRecord& record) {
  for (const MemberRecord& member : record.members) {
    if (member.node_id == record.node_id) return &member;
  }
  return nullptr;
}

std::string OwnerOf(const std::string& peer_address, const ChangeMembersRecord& record) {
  for (const MemberRecord& member : record.members) {
    if (member.peer_address == peer_address) return absl::StrCat("node ", member.node_id);
  }
  return "another node";
}

// The line that starts what was added; empty when nothing was, or when it has run before.
std::vector<std::string> LineToRun(const MemberAnswer& answer) {
  const MemberRecord* const member = MemberOf(answer.record);
  const bool has_to_start = answer.change.action == MemberAction::kAdd &&
                            answer.record.status == ChangeMembersStatus::kDone &&
                            member != nullptr && !member->was_seen;
  if (!has_to_start) return {};
  return StartLine(*member, answer.record.members, answer.record.cluster_name);
}

}  // namespace

// ---- JSON

Json ToJson(const LockRecord& lock) {
  Json json = {{"lock_id", EscapeName(lock.lock_id)},
               {"owner_id", TextOrNull(lock.held, EscapeName(lock.owner_id))},
               {"timestamp", NumberOrNull(lock.held, lock.timestamp)},
               {"expiration_time", NumberOrNull(lock.held, lock.expiration_time)},
               {"status", lock.held ? "held" : "free"},
               {"token", TextOrNull(lock.held, Text(lock.token))},
               {"mode", TextOrNull(lock.held, "exclusive")},
               {"session_id", TextOrNull(lock.held, Text(lock.session_id))},
               {"waiters", lock.waiters},
               {"applied_index", lock.applied_index}};
  if (lock.age.is_stale) json["age_ms"] = NumberOrNull(lock.age.ms);
  return json;
}

Json ToJson(const SessionRecord& session) {
  Json json = {{"session_id", Text(session.session_id)},
               {"owner_id", EscapeName(session.owner_id)},
               {"ttl_ms", session.ttl_ms},
               {"grace_ms", session.grace_ms},
               {"remaining_ms", session.remaining_ms},
               {"holds", session.holds},
               {"waiters", session.waiters},
               {"epoch", session.epoch}};
  if (session.age.is_stale) {
    json["applied_index"] = session.applied_index;
    json["age_ms"] = NumberOrNull(session.age.ms);
  }
  return json;
}

Json ToJson(const cli::NodeReport& report) {
  const bool is_known = !report.node_id.is_zero();
  if (!report.status.ok()) {
    return {{"node_id", TextOrNull(is_known, Text(report.node_id))},
            {"client_address", TextOrNull(!report.address.empty(), EscapeName(report.address))},
            {"error", EscapeName(report.status.status().message())}};
  }
  const NodeStatus& node = *report.status;
  const bool is_formed = !node.cluster_id.is_zero();
  return {{"node_id", Text(node.node_id)},
          {"role", EscapeName(node.role)},
          {"term", node.term},
          {"leader_id", TextOrNull(!node.leader_id.is_zero(), Text(node.leader_id))},
          {"commit_index", node.commit_index},
          {"applied_index", node.applied_index},
          {"digest", EscapeName(node.digest)},
          {"longest_turn_cpu_us", node.longest_turn_cpu_us},
          {"longest_turn_wall_us", node.longest_turn_wall_us},
          {"rss_bytes", node.rss_bytes},
          {"sessions", node.sessions},
          {"locks", node.locks},
          {"waiters", node.waiters},
          {"version", EscapeName(node.version)},
          {"client_address", EscapeName(node.client_address)},
          {"cluster_id", TextOrNull(is_formed, Text(node.cluster_id))},
          {"cluster_name", EscapeName(node.cluster_name)},
          {"cluster_time_ms", node.cluster_time_ms},
          {"process_cpu_us", node.process_cpu_us},
          {"first_index", node.first_index},
          {"last_index", node.last_index},
          {"snapshot_index", node.snapshot_index},
          {"snapshots_taken", node.snapshots_taken},
          {"snapshots_received", node.snapshots_received},
          {"digest_alarms", node.digest_alarms},
          {"disk_free_bytes", node.disk_free_bytes},
          {"disk_is_low", node.disk_is_low},
          {"members", ToJson(node.members)}};
}

Json ToJson(const TransferRecord& transfer) {
  const bool is_known = !transfer.leader_id.is_zero();
  return {{"result", ResultName(transfer.status)},
          {"leader_id", TextOrNull(is_known, Text(transfer.leader_id))}};
}

Json ToJson(const MemberRecord& member) {
  return {{"node_id", Text(member.node_id)},
          {"role", RoleName(member.role)},
          {"peer_address", EscapeName(member.peer_address)},
          {"client_address",
           TextOrNull(!member.client_address.empty(), EscapeName(member.client_address))},
          {"seen", member.was_seen}};
}

Json ToJson(const MemberAnswer& answer) {
  const ChangeMembersRecord& record = answer.record;
  Json start = nullptr;
  for (const std::string& word : LineToRun(answer)) start.push_back(EscapeName(word));
  return {{"result", ResultName(record.status)},
          {"node_id", TextOrNull(!record.node_id.is_zero(), Text(record.node_id))},
          {"cluster_name", EscapeName(record.cluster_name)},
          {"members", ToJson(record.members)},
          {"start", std::move(start)}};
}

Json ToJson(const MemberList& list) {
  Json members = ToJson(list.told_by.members);
  for (size_t i = 0; i < members.size(); ++i) {
    members[i]["leads"] = list.told_by.members[i].node_id == list.told_by.leader_id;
  }
  return members;
}

template <typename Record>
Json ToJson(const std::vector<Record>& records) {
  Json array = Json::array();
  for (const Record& record : records) array.push_back(ToJson(record));
  return array;
}
template Json ToJson(const std::vector<LockRecord>& records);
template Json ToJson(const std::vector<SessionRecord>& records);
template Json ToJson(const std::vector<cli::NodeReport>& records);
template Json ToJson(const std::vector<MemberRecord>& records);

// ---- Text

std::string ToText(const LockRecord& lock) {
  std::string text = absl::StrCat("lock      ", EscapeName(lock.lock_id), "\nstatus    ",
                                  lock.held ? "held" : "free", "\n");
  if (lock.held) {
    absl::StrAppend(&text, "owner     ", EscapeName(lock.owner_id),                            //
                    "\ntoken     ", lock.token,                                                //
                    "\nmode      exclusive",                                                   //
                    "\nsession   ", lock.session_id,                                           //
                    "\nsince     ", ShownTime(lock.timestamp),                                 //
                    "\nexpires   ", ShownTime(lock.expiration_time), " unless it is renewed",  //
                    "\n");
  }
  absl::StrAppend(&text, "waiters   ", lock.waiters, "\n");
  if (lock.age.is_stale) absl::StrAppend(&text, "stale     ", ShownSource(lock), "\n");
  return text;
}

std::string ToText(const std::vector<LockRecord>& locks) {
  if (locks.empty()) return "no lock is held\n";
  Table table({"LOCK", "TOKEN", "OWNER", "SESSION", "SINCE", "WAITERS"});
  for (const LockRecord& lock : locks) {
    table.Add({EscapeName(lock.lock_id), Text(lock.token), EscapeName(lock.owner_id),
               Text(lock.session_id), ShownTime(lock.timestamp), Text(lock.waiters)});
  }
  return table.ToString() + ShownSource(locks);
}

std::string ToText(const std::vector<SessionRecord>& sessions) {
  if (sessions.empty()) return "no session is open\n";
  Table table({"SESSION", "OWNER", "TTL", "GRACE", "REMAINING", "HOLDS", "WAITERS"});
  for (const SessionRecord& session : sessions) {
    table.Add({Text(session.session_id), EscapeName(session.owner_id),
               FormatDurationMs(session.ttl_ms),
               session.grace_ms == 0 ? "off" : FormatDurationMs(session.grace_ms),
               FormatDurationMs(session.remaining_ms), Text(session.holds), Text(session.waiters)});
  }
  return table.ToString() + ShownSource(sessions);
}

std::string ToText(const std::vector<cli::NodeReport>& reports) {
  Table table({"NODE", "ADDRESS", "ROLE", "LEADER", "TERM", "COMMIT", "APPLIED", "SNAPSHOT",
               "SESSIONS", "LOCKS", "WAITERS", "MEMORY", "DISK FREE", "VERSION"});
  std::string alarms;
  for (const cli::NodeReport& report : reports) {
    const std::string node_id = report.node_id.is_zero() ? "?" : Text(report.node_id);
    const std::string address = report.address.empty() ? "?" : EscapeName(report.address);
    if (!report.status.ok()) {
      const absl::string_view why = report.status.status().message();
      table.Add({node_id, address, absl::StrCat("no answer: ", EscapeName(why))});
      continue;
    }
    const NodeStatus& node = *report.status;
    table.Add({node_id, address, node.role,
               node.leader_id.is_zero() ? "none" : Text(node.leader_id), Text(node.term),
               Text(node.commit_index), Text(node.applied_index),
               node.snapshot_index == 0 ? "none" : Text(node.snapshot_index), Text(node.sessions),
               Text(node.locks), Text(node.waiters), ShownBytes(node.rss_bytes),
               absl::StrCat(ShownBytes(node.disk_free_bytes), node.disk_is_low ? ", LOW" : ""),
               node.version});
    if (node.digest_alarms == 0) continue;
    absl::StrAppend(&alarms, "node ", node_id, " found ", node.digest_alarms,
                    " times that the states of the nodes DIFFER; its log has the values\n");
  }
  return table.ToString() + alarms;
}

std::string ToText(const TransferRecord& transfer) {
  if (transfer.leader_id.is_zero()) return "no node leads now\n";
  return absl::StrCat("node ", transfer.leader_id, " leads\n");
}

std::string ToText(const MemberAnswer& answer) {
  const ChangeMembersRecord& record = answer.record;
  if (record.status != ChangeMembersStatus::kDone) return "";
  if (answer.change.action == MemberAction::kRemove) {
    return absl::StrCat("node ", record.node_id,
                        " is no member any more; its lockd ends by itself, with status 17\n");
  }
  const MemberRecord* const member = MemberOf(record);
  std::string text =
      absl::StrCat("node ", record.node_id, " is ",
                   member == nullptr ? "a member" : ShownRole(member->role), " of the cluster\n");
  const std::vector<std::string> line = LineToRun(answer);
  if (line.empty()) return text;
  absl::StrAppend(&text, "It becomes a voter once it is up and has the log. Start it with\n\n  ",
                  ForShell(line),
                  "\n\nwhere --client-listen is the address for its clients and --data-dir an "
                  "empty or new directory:\nboth are only a proposal.\n");
  return text;
}

std::string ToText(const MemberList& list) {
  const NodeStatus& node = list.told_by;
  if (node.members.empty()) {
    return absl::StrCat("node ", node.node_id, " belongs to no cluster yet\n");
  }
  Table table({"NODE", "ROLE", "PEER ADDRESS", "CLIENT ADDRESS", "SEEN"});
  for (const MemberRecord& member : node.members) {
    const bool leads = member.node_id == node.leader_id;
    table.Add({Text(member.node_id), absl::StrCat(RoleName(member.role), leads ? ", leads" : ""),
               EscapeName(member.peer_address),
               member.client_address.empty() ? "?" : EscapeName(member.client_address),
               member.was_seen ? "yes" : "not yet"});
  }
  return absl::StrCat(table.ToString(), node.node_id == node.leader_id
                                            ? ""
                                            : absl::StrCat("as node ", node.node_id,
                                                           " knows them: no leader answers\n"));
}

std::string Explanation(TransferStatus status) {
  switch (status) {
    case TransferStatus::kTransferred:
      return "it was";
    case TransferStatus::kNoSuchMember:
      return "the cluster has no such node (lockctl status lists them)";
    case TransferStatus::kNotVoter:
      return "that node is a learner, which cannot lead";
    case TransferStatus::kNobody:
      return "the leader has heard no other node of late";
    case TransferStatus::kBusy:
      return "it is being handed to another node; try again";
    case TransferStatus::kTimedOut:
      return "the node did not take over in time: it is too far behind, or cannot be reached";
    case TransferStatus::kAnotherLeads:
      return "another node won the election; try again";
  }
  LOCKD_UNREACHABLE("result ", static_cast<int>(status));
}

std::string Explanation(const MemberAnswer& answer) {
  const ChangeMembersRecord& record = answer.record;
  switch (record.status) {
    case ChangeMembersStatus::kDone:
      return "they were";
    case ChangeMembersStatus::kNoSuchMember:
      return absl::StrCat("the cluster has no node ", answer.change.node_id,
                          ", or none any more (lockctl member list)");
    case ChangeMembersStatus::kLastVoter:
      return absl::StrCat("node ", answer.change.node_id,
                          " is the only voter; add another node and wait until it is a voter");
    case ChangeMembersStatus::kNotJoined:
      return absl::StrCat("node ", answer.change.node_id,
                          " has not come up yet; start it (lockctl member add with its --peer "
                          "prints the line again)");
    case ChangeMembersStatus::kIdUsed:
      return absl::StrCat("node id ", answer.change.node_id,
                          " was given before, and no id is given twice; take a higher one, or "
                          "leave --node-id out");
    case ChangeMembersStatus::kAddressUsed:
      return absl::StrCat(EscapeName(answer.change.peer_address), " is the peer address of ",
                          OwnerOf(answer.change.peer_address, record),
                          "; leave --node-id out to find that one, or remove it first, or give "
                          "another address");
    case ChangeMembersStatus::kTooMany:
      return absl::StrCat("the cluster has ", record.members.size(),
                          " members, as many as it may; remove one first");
  }
  LOCKD_UNREACHABLE("result ", static_cast<int>(record.status));
}

}  // namespace lockd::lockctl
