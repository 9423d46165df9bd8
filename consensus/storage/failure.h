// Why storage cannot go on, as a kind that `main` turns into the exit status, carried inside an
// absl::Status so that callers in between pass it on unseen.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_FAILURE_H_
#define LOCKD_CONSENSUS_STORAGE_FAILURE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lockd::storage {

enum class Failure : uint8_t {
  kNone = 0,         // the status carries no storage failure
  kInUse = 1,        // another process has the data directory
  kWrongOwner = 2,   // the directory belongs to another node, cluster or incarnation
  kUnusable = 3,     // not a directory, no permission, written by an unknown version
  kDamaged = 4,      // the log is not what was written; the message names file and offset
  kWriteFailed = 5,  // a write or sync failed: what is on the device is unknown
};

// What to do about a directory that is of no use any more: the end of a message.
inline constexpr char kComeBackAnew[] =
    "let the node come back as a new member: lockctl member remove, lockctl member add, and the "
    "line that this prints with --rejoin, which moves the data directory aside";

[[nodiscard]] absl::Status MakeFailure(Failure failure, absl::string_view message);
[[nodiscard]] Failure FailureOf(const absl::Status& status);
// The process exit status for it: 10 in use, 11 wrong owner, 12 unusable, 14 damaged, 15 write
// failed; 12 for an error that carries no kind; 0 for OK.
[[nodiscard]] int ExitStatusOf(const absl::Status& status);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_FAILURE_H_
