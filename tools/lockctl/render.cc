#include "tools/lockctl/render.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "protocol/base/text.h"

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
  Json members = Json::array();
  for (const MemberRecord& member : node.members) {
    members.push_back({{"node_id", Text(member.node_id)},
                       {"peer_address", EscapeName(member.peer_address)},
                       {"client_address", TextOrNull(!member.client_address.empty(),
                                                     EscapeName(member.client_address))}});
  }
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
          {"disk_free_bytes", node.disk_free_bytes},
          {"disk_is_low", node.disk_is_low},
          {"members", std::move(members)}};
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
  Table table({"NODE", "ADDRESS", "ROLE", "LEADER", "TERM", "COMMIT", "APPLIED", "SESSIONS",
               "LOCKS", "WAITERS", "MEMORY", "DISK FREE", "VERSION"});
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
               Text(node.commit_index), Text(node.applied_index), Text(node.sessions),
               Text(node.locks), Text(node.waiters), ShownBytes(node.rss_bytes),
               absl::StrCat(ShownBytes(node.disk_free_bytes), node.disk_is_low ? ", LOW" : ""),
               node.version});
  }
  return table.ToString();
}

}  // namespace lockd::lockctl
