// lockctl: looks at a cluster, and runs commands under its locks.
#include <variant>

#include "tools/lockctl/command_line.h"
#include "tools/lockctl/lock_command.h"
#include "tools/lockctl/member_command.h"
#include "tools/lockctl/read_command.h"
#include "tools/lockctl/snapshot_command.h"

namespace {

using namespace lockd::lockctl;  // NOLINT: this file is the program

struct Runner {
  const Arguments& arguments;
  int operator()(const LockArguments& lock) const { return RunLock(arguments, lock); }
  int operator()(const GetArguments& get) const { return RunGet(arguments, get); }
  int operator()(const ListArguments& list) const { return RunList(arguments, list); }
  int operator()(const SessionsArguments&) const { return RunSessions(arguments); }
  int operator()(const StatusArguments&) const { return RunStatus(arguments); }
  int operator()(const TransferArguments& transfer) const {
    return RunTransfer(arguments, transfer);
  }
  int operator()(const MembersArguments&) const { return RunMemberList(arguments); }
  int operator()(const MemberArguments& member) const { return RunMemberChange(arguments, member); }
  int operator()(const SnapshotTakeArguments&) const { return RunSnapshotTake(arguments); }
  int operator()(const SnapshotSaveArguments& save) const {
    return RunSnapshotSave(arguments, save);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const ParsedCommandLine parsed = ParseCommandLine(argc, argv);
  if (const auto* ending = std::get_if<lockd::cli::Ending>(&parsed)) {
    return lockd::cli::Leave(*ending);
  }
  const auto& arguments = std::get<Arguments>(parsed);
  return std::visit(Runner{arguments}, arguments.command);
}
