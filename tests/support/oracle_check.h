// OracleCheck: feeds the same log entries to two LockDatabases and to the oracle, and compares
// everything that can be seen: results, events, all reads, the digests; invariants after each
// entry.
#ifndef LOCKD_TESTS_SUPPORT_ORACLE_CHECK_H_
#define LOCKD_TESTS_SUPPORT_ORACLE_CHECK_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/state/lock_database.h"
#include "server/state/types.h"
#include "tests/support/command_stream.h"
#include "tests/support/naive_lock_database.h"

namespace lockd::state {

class OracleCheck {
 public:
  // Empty, or the lines that differ: "-" the oracle's, "+" the database's.
  [[nodiscard]] std::string Apply(const LogEntry& entry);
  // Of the last entry, by the database.
  [[nodiscard]] const ApplyResult& result() const { return result_; }

  [[nodiscard]] LockDatabase& database() { return *database_; }
  // Goes on with another database of the same state.
  void Replace(std::unique_ptr<LockDatabase> database) { database_ = std::move(database); }

 private:
  std::unique_ptr<LockDatabase> database_ = std::make_unique<LockDatabase>();
  LockDatabase replica_{HashKey::FromSeed(7)};  // its indexes lie otherwise in memory (S-15)
  NaiveLockDatabase oracle_;
  ApplyResult result_;
};

// The payload of the entry, as it stands in a log.
[[nodiscard]] std::string Encode(const LogEntry& entry);
// Runs all entries from an empty state; the first difference, or empty.
[[nodiscard]] std::string FirstDifference(const std::vector<LogEntry>& entries);
// Leaves out entries and commands as long as some difference remains.
[[nodiscard]] std::vector<LogEntry> Shrink(std::vector<LogEntry> entries);
// The entries, one command a line, with what the database answered.
[[nodiscard]] std::string DescribeRun(const std::vector<LogEntry>& entries);

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SUPPORT_ORACLE_CHECK_H_
