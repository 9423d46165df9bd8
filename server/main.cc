// The lockd program: flags, signals, exit status. No logic.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <iostream>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/posix_file_system.h"
#include "protocol/base/check.h"
#include "server/config.h"
#include "server/draw_id.h"
#include "server/log.h"
#include "server/restore.h"
#include "server/salvage.h"
#include "server/server.h"

namespace {

constexpr int kExitBrokenInvariant = 16;

[[noreturn]] void Leave(const lockd::Exit& exit) {
  lockd::LogError(absl::StrCat("lockd: ", exit.message));
  // Other threads may be in the middle of anything: no destructors.
  _exit(exit.status);
}

void LeaveOnBrokenInvariant(absl::string_view message) {
  Leave({kExitBrokenInvariant, std::string(message)});
}

// What is not to run a node: the exit status, after the report.
int DoTask(const lockd::ParsedCommandLine& command_line) {
  umask(S_IRWXG | S_IRWXO);  // a backup has the secrets of sessions
  lockd::storage::PosixFileSystem file_system;
  const absl::StatusOr<std::string> report =
      command_line.restore_file
          ? lockd::Restore(&file_system, command_line.config, *command_line.restore_file,
                           lockd::Incarnation(lockd::DrawId()))
          : lockd::Salvage(&file_system, command_line.salvage_directory, *command_line.salvage_file,
                           command_line.replaces_salvage_file
                               ? lockd::BackupFile::Existing::kReplaced
                               : lockd::BackupFile::Existing::kRefused);
  if (!report.ok()) {
    Leave({lockd::storage::ExitStatusOf(report.status()), std::string(report.status().message())});
  }
  std::cout << *report;
  return 0;
}

// As many descriptors as the system allows: each client connection is one.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  const lockd::ParsedCommandLine command_line = lockd::ParseCommandLine(argc, argv);
  if (!command_line.run) {
    (command_line.exit_status == 0 ? std::cout : std::cerr) << command_line.text << '\n';
    return command_line.exit_status;
  }
  lockd::StartLog(command_line.config.log_json, command_line.config.log_level);
  lockd::SetCheckFailureHandler(LeaveOnBrokenInvariant);
  std::signal(SIGPIPE, SIG_IGN);
  // Above the limit of the size of files, a write fails and says so instead of ending the process.
  std::signal(SIGXFSZ, SIG_IGN);
  RaiseDescriptorLimit();
  if (command_line.restore_file || command_line.salvage_file) return DoTask(command_line);

  boost::asio::io_context io(1);
  // From the beginning: one that comes while the log is read stops the node right after.
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  lockd::Server server(&io, command_line.config, Leave);
  if (const std::optional<lockd::Exit> exit = server.Start()) Leave(*exit);

  signals.async_wait([&](boost::system::error_code, int signal) {
    lockd::LogInfo(absl::StrCat("stopping on signal ", signal));
    server.Stop([&] { io.stop(); });
  });
  io.run();
  lockd::LogInfo("stopped");
  return 0;
}
