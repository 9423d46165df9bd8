// What a lockctl command line asks for.
//
// Threading: pure value (LOCKD_ENDPOINTS is read).
#ifndef LOCKD_TOOLS_LOCKCTL_COMMAND_LINE_H_
#define LOCKD_TOOLS_LOCKCTL_COMMAND_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "client/records.h"
#include "server/backup_file.h"
#include "tools/cli/options.h"

namespace lockd::lockctl {

struct LockArguments {
  std::string name;
  std::optional<int64_t> wait_ms;  // 0: --try; nothing: without limit
  int64_t ttl_ms = 10'000;
  int64_t grace_ms = 3'000;
  int64_t max_hold_ms = 0;               // 0: none
  std::optional<int64_t> kill_after_ms;  // nothing: TERM is followed by KILL only in danger
  std::string owner;                     // empty: host name and process
  std::vector<std::string> command;      // not empty
};

struct GetArguments {
  std::string name;
};
struct ListArguments {
  std::string prefix;
};
struct SessionsArguments {};
struct StatusArguments {};
struct TransferArguments {
  uint64_t to_node_id = 0;  // 0: the node that has most of the log
};
struct MembersArguments {};  // member list
struct MemberArguments {     // member add, remove, promote
  MemberChange change;
};

struct SnapshotTakeArguments {};
struct SnapshotSaveArguments {
  std::string file;
  BackupFile::Existing existing = BackupFile::Existing::kRefused;
};

struct Arguments {
  std::vector<std::string> endpoints;
  bool json = false;
  bool stale = false;
  int64_t timeout_ms = 5'000;
  std::variant<LockArguments, GetArguments, ListArguments, SessionsArguments, StatusArguments,
               TransferArguments, MembersArguments, MemberArguments, SnapshotTakeArguments,
               SnapshotSaveArguments>
      command;
};

// The arguments, or how to end without any work.
using ParsedCommandLine = std::variant<Arguments, cli::Ending>;
[[nodiscard]] ParsedCommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_COMMAND_LINE_H_
