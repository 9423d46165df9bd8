#include "tools/lockctl/snapshot_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/client.h"
#include "consensus/storage/posix_file_system.h"
#include "protocol/base/text.h"
#include "server/backup_file.h"
#include "tools/lockctl/call.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/render.h"
#include "tools/lockctl/snapshot_answer.h"

namespace lockd::lockctl {
namespace {

using std::chrono::steady_clock;

// A snapshot that was dropped while it was read is taken anew so often.
constexpr int kRoundsMax = 3;

// What came of one node.
struct Attempt {
  absl::Status status;
  bool failed_here = false;  // not the node's fault: FILE cannot be written
  SnapshotAnswer answer;
};
Attempt FailedHere(absl::Status status) {
  return {.status = std::move(status), .failed_here = true, .answer = {}};
}

// INT, TERM and HUP wait while it lives, so that no half-written file is left behind; one that came
// ends lockctl when it goes.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kHeld) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  [[nodiscard]] bool has_one() const {
    sigset_t pending;
    sigpending(&pending);
    return std::any_of(std::begin(kHeld), std::end(kHeld),
                       [&](int signal) { return sigismember(&pending, signal) == 1; });
  }

 private:
  static constexpr int kHeld[] = {SIGINT, SIGTERM, SIGHUP};
  sigset_t before_;
};

// Says on stderr now and then how far it is, if it takes long.
class Progress {
 public:
  explicit Progress(uint64_t bytes) : bytes_(bytes), next_(steady_clock::now() + pause_) {}

  void OnBytes(size_t more) {
    done_ += more;
    if (steady_clock::now() < next_) return;
    next_ = steady_clock::now() + pause_;
    std::cerr << "lockctl: " << done_ << " of " << bytes_ << " bytes\n";
  }

 private:
  const steady_clock::duration pause_ = std::chrono::seconds(isatty(STDERR_FILENO) == 1 ? 1 : 5);
  const uint64_t bytes_;
  uint64_t done_ = 0;
  steady_clock::time_point next_;
};

Attempt TakeFrom(const Arguments& arguments, const std::string& endpoint) {
  // A node that hangs is found out by a question that is answered at once.
  const auto node = Await<absl::StatusOr<NodeStatus>>(arguments, [&](Client& client, auto done) {
    client.GetStatus(endpoint, MakeReadOptions(arguments), std::move(done));
  });
  if (!node.ok()) return {.status = node.status(), .answer = {}};
  SnapshotOptions options;
  options.stale = arguments.stale;
  options.timeout = std::chrono::milliseconds(arguments.timeout_ms);
  options.take_timeout = std::max(options.take_timeout, options.timeout);
  auto taken = Await<absl::StatusOr<SnapshotRecord>>(arguments, [&](Client& client, auto done) {
    client.TakeSnapshot(endpoint, options, std::move(done));
  });
  if (!taken.ok()) return {.status = taken.status(), .answer = {}};
  return {.status = absl::OkStatus(),
          .answer = {.snapshot = *std::move(taken), .address = endpoint, .file = {}}};
}

// The incarnation of the node's directory is its secret, and no other file has the number.
storage::SnapshotHead HeadOf(const SnapshotRecord& snapshot) {
  std::random_device device;
  const uint64_t number = uint64_t{device()} << 32 | device();
  return {.file_number = number,
          .identity = {.node_id = snapshot.node_id,
                       .cluster_name = snapshot.cluster_name,
                       .incarnation = Incarnation(0),
                       .cluster_id = snapshot.cluster_id},
          .base = {.index = raft::Index(snapshot.index),
                   .term = raft::Term(snapshot.term),
                   .time = ClusterTime(snapshot.cluster_time_ms)}};
}

Attempt SaveFrom(const Arguments& arguments, const SnapshotSaveArguments& save,
                 const std::string& endpoint) {
  Attempt attempt = TakeFrom(arguments, endpoint);
  if (!attempt.status.ok()) return attempt;
  const SnapshotRecord& snapshot = attempt.answer.snapshot;
  if (snapshot.cluster_name.size() > storage::kClusterNameBytesMax) {
    attempt.status = absl::InternalError("the node says a cluster name that is too long");
    return attempt;
  }

  const HeldSignals held;
  storage::PosixFileSystem file_system;
  const auto file = BackupFile::Create(&file_system, save.file, save.existing, HeadOf(snapshot));
  if (!file.ok()) return FailedHere(file.status());
  Progress progress(snapshot.bytes);
  absl::Status written;
  Client::SnapshotSink sink = [&](absl::string_view content) {
    if (held.has_one()) return absl::CancelledError("ended by a signal");
    progress.OnBytes(content.size());
    return written = (*file)->Add(content);
  };
  attempt.status = Await<absl::Status>(arguments, [&](Client& client, auto done) {
    client.ReadSnapshot(endpoint, snapshot, std::move(sink), MakeReadOptions(arguments),
                        std::move(done));
  });
  if (!written.ok()) return FailedHere(written);
  if (!attempt.status.ok()) return attempt;

  const absl::StatusOr<LoadedSnapshot> loaded = (*file)->Verify();
  if (!loaded.ok()) return FailedHere(loaded.status());
  attempt.status = CheckLoaded(*loaded->database, snapshot);
  if (!attempt.status.ok()) return attempt;
  attempt.answer.file = save.file;
  attempt.answer.file_bytes = storage::SnapshotFileBytes(snapshot.bytes);
  if (absl::Status status = (*file)->Keep(); !status.ok()) return FailedHere(std::move(status));
  return attempt;
}

// One endpoint after the other.
int RunAtAny(const Arguments& arguments, const char* failure,
             const std::function<Attempt(const std::string&)>& run) {
  std::vector<std::string> problems;
  int exit_status = kExitUnavailable;
  for (const std::string& endpoint : arguments.endpoints) {
    const Attempt attempt = run(endpoint);
    if (attempt.status.ok()) {
      Print(arguments, attempt.answer);
      return kExitOk;
    }
    const std::string problem = EscapeName(attempt.status.message());
    if (attempt.failed_here) {
      std::cerr << "lockctl: " << failure << ": " << problem << '\n';
      return absl::IsAlreadyExists(attempt.status) ? kExitUsage : kExitRefused;
    }
    // An unreachable node's message begins with its address.
    const bool is_named = problem.starts_with(endpoint);
    problems.push_back(is_named ? problem : absl::StrCat(endpoint, ": ", problem));
    if (ReadExitStatus(attempt.status) == kExitRefused) exit_status = kExitRefused;
  }
  std::cerr << "lockctl: " << failure << ": " << absl::StrJoin(problems, "; ")
            << "; lockctl status shows the nodes"
            << (exit_status == kExitUnavailable && !arguments.stale
                    ? ", --stale does without a leader"
                    : "")
            << '\n';
  return exit_status;
}

// What is wrong with FILE, before anything is asked of the cluster.
absl::Status CheckTarget(const SnapshotSaveArguments& save) {
  storage::PosixFileSystem file_system;
  const absl::Status status = BackupFile::CheckPath(&file_system, save.file, save.existing);
  if (!status.ok()) return status;
  std::error_code ignored;
  const auto kind = std::filesystem::status(save.file, ignored).type();
  if (kind == std::filesystem::file_type::regular ||
      kind == std::filesystem::file_type::not_found) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(save.file, " is no regular file"));
}

}  // namespace

int RunSnapshotTake(const Arguments& arguments) {
  return RunAtAny(arguments, "no snapshot was taken",
                  [&](const std::string& endpoint) { return TakeFrom(arguments, endpoint); });
}

int RunSnapshotSave(const Arguments& arguments, const SnapshotSaveArguments& save) {
  if (const absl::Status status = CheckTarget(save); !status.ok()) {
    std::cerr << "lockctl: FILE: " << EscapeName(status.message()) << '\n';
    return kExitUsage;
  }
  ::umask(S_IRWXG | S_IRWXO);  // the secrets of all sessions are in it
  // A file that grows beyond `ulimit -f` is a failed write and not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  return RunAtAny(arguments, "no snapshot was saved", [&](const std::string& endpoint) {
    Attempt attempt;
    for (int round = 0; round < kRoundsMax; ++round) {
      attempt = SaveFrom(arguments, save, endpoint);
      if (attempt.failed_here || !absl::IsNotFound(attempt.status)) break;
    }
    return attempt;
  });
}

}  // namespace lockd::lockctl
