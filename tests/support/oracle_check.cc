#include "tests/support/oracle_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/state/command.h"
#include "tests/support/describe_state.h"

namespace lockd::state {
namespace {

using absl::StrCat;
using Lines = std::vector<std::string>;

constexpr uint64_t kSessionIdsRead = 60;

Lines Text(const ApplyResult& result) {
  Lines lines;
  for (const CommandResult& r : result.results) lines.push_back(StrCat("result ", Describe(r)));
  for (const Event& event : result.events) lines.push_back(StrCat("event ", Describe(event)));
  return lines;
}

std::vector<LockView> AllLocks(const LockDatabase& database, const std::string& prefix) {
  std::vector<LockView> locks;
  uint64_t cursor = 0;
  do {
    cursor = database.ListLocks(prefix, cursor, 2, &locks);
  } while (cursor != 0);
  std::sort(locks.begin(), locks.end(),
            [](const LockView& a, const LockView& b) { return a.name < b.name; });
  return locks;
}
std::vector<LockView> AllLocks(const NaiveLockDatabase& oracle, const std::string& prefix) {
  return oracle.Locks(prefix);
}

std::vector<SessionView> AllSessions(const LockDatabase& database) {
  std::vector<SessionView> sessions;
  uint64_t cursor = 0;
  do {
    cursor = database.ListSessions(cursor, 2, &sessions);
  } while (cursor != 0);
  std::sort(sessions.begin(), sessions.end(),
            [](const SessionView& a, const SessionView& b) { return a.session < b.session; });
  return sessions;
}
std::vector<SessionView> AllSessions(const NaiveLockDatabase& oracle) {
  return oracle.Sessions();
}

template <typename Database>
Lines Reads(const Database& database) {
  Lines lines = {
      StrCat("sessions ", database.session_count(), " locks ", database.lock_count(), " waiters ",
             database.waiter_count()),
      StrCat("next deadline ", database.NextDeadline().value(), " backlog ", database.HasBacklog()),
      StrCat("cluster ", database.cluster_id().value(), " level ", database.feature_level(), " ",
             Describe(database.settings()))};
  lines.push_back(StrCat("node ids up to ", database.last_node_id().value()));
  for (const Member& member : database.members()) lines.push_back(Describe(member));
  for (const std::string& name : CommandStream::Names()) {
    lines.push_back(StrCat("get ", Describe(database.GetLock(name))));
  }
  for (const char* prefix : {"", "a"}) {
    for (const LockView& lock : AllLocks(database, prefix)) {
      lines.push_back(StrCat("list ", prefix, ": ", Describe(lock)));
    }
  }
  for (const SessionView& session : AllSessions(database)) {
    lines.push_back(StrCat("session ", Describe(session)));
  }
  for (uint64_t id = 1; id <= kSessionIdsRead; ++id) {
    if (database.SessionHasEnded(SessionId(id))) lines.push_back(StrCat("ended s", id));
    if (!database.SessionIsLive(SessionId(id))) continue;
    lines.push_back(StrCat("live s", id, " grace ", database.SessionGraceMs(SessionId(id))));
  }
  return lines;
}

std::string Difference(const Lines& oracle, const Lines& database) {
  std::string text;
  size_t a = 0;
  size_t b = 0;
  while (a < oracle.size() || b < database.size()) {
    if (a < oracle.size() && b < database.size() && oracle[a] == database[b]) {
      ++a;
      ++b;
      continue;
    }
    if (a < oracle.size()) absl::StrAppend(&text, "  - ", oracle[a++], "\n");
    if (b < database.size()) absl::StrAppend(&text, "  + ", database[b++], "\n");
  }
  return text;
}

}  // namespace

std::string Encode(const LogEntry& entry) {
  if (!entry.batch) return "";
  BatchBuilder builder;
  for (const Command& command : entry.batch->commands) builder.Add(command);
  return builder.Take(entry.batch->wall_time);
}

std::string OracleCheck::Apply(const LogEntry& entry) {
  const std::string payload = Encode(entry);
  result_ = database_->Apply(entry.time, payload);
  const ApplyResult wanted = oracle_.Apply(entry.time, entry.batch ? &*entry.batch : nullptr);
  database_->CheckInvariants();
  std::string difference = Difference(Text(wanted), Text(result_));
  absl::StrAppend(&difference, Difference(Reads(oracle_), Reads(*database_)));
  LOCKD_CHECK(database_->time() == entry.time);

  const Lines replica = Text(replica_.Apply(entry.time, payload));
  absl::StrAppend(&difference, Difference(Text(result_), replica));
  if (database_->digest() != replica_.digest()) absl::StrAppend(&difference, "  digests differ\n");
  return difference;
}

std::string FirstDifference(const std::vector<LogEntry>& entries) {
  OracleCheck check;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string difference = check.Apply(entries[i]);
    if (!difference.empty()) return StrCat("at entry ", i + 1, ":\n", difference);
  }
  return "";
}

std::vector<LogEntry> Shrink(std::vector<LogEntry> entries) {
  const auto try_without = [&entries](size_t begin, size_t end) {
    std::vector<LogEntry> fewer(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(begin));
    fewer.insert(fewer.end(), entries.begin() + static_cast<ptrdiff_t>(end), entries.end());
    if (FirstDifference(fewer).empty()) return false;
    entries = std::move(fewer);
    return true;
  };
  for (size_t size = entries.size() / 2; size > 0; size /= 2) {
    for (size_t at = entries.size(); at >= size; at -= std::min(at, size)) {
      if (at <= entries.size()) (void)try_without(at - size, at);
    }
  }
  for (size_t e = entries.size(); e-- > 0;) {
    if (!entries[e].batch) continue;
    for (size_t c = entries[e].batch->commands.size(); c-- > 0;) {
      std::vector<LogEntry> fewer = entries;
      auto& commands = fewer[e].batch->commands;
      commands.erase(commands.begin() + static_cast<ptrdiff_t>(c));
      if (!FirstDifference(fewer).empty()) entries = std::move(fewer);
    }
  }
  return entries;
}

std::string DescribeRun(const std::vector<LogEntry>& entries) {
  std::string text;
  OracleCheck check;
  for (const LogEntry& entry : entries) {
    const std::string difference = check.Apply(entry);
    absl::StrAppend(&text, "T ", entry.time.value(), entry.batch ? "" : " no-op", "\n");
    for (size_t i = 0; i < check.result().results.size(); ++i) {
      absl::StrAppend(&text, "  ", Describe(entry.batch->commands[i]), "\n    -> ",
                      Describe(check.result().results[i]), "\n");
    }
    for (const Event& event : check.result().events) {
      absl::StrAppend(&text, "  event ", Describe(event), "\n");
    }
    if (!difference.empty()) {
      return StrCat(text, "difference (- oracle, + database):\n", difference);
    }
  }
  return text;
}

}  // namespace lockd::state
