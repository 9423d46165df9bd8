// Log bytes of command batches. One log entry of kind kCommand holds one batch:
//
//   u16 batch version (1) | i64 wall time ms | u32 count | count x envelope
//   envelope: u16 command version | u8 kind | u32 payload length | payload (fixed-width fields,
//   lengths before bytes)
//
// Payload fields are in the order of the structs in types.h; a number is u64 (times and durations
// as their two's complement), an enum u8, a string u16 length + bytes, a list u16 count + elements.
//
// An empty batch is a time entry. `BatchBuilder` appends one envelope at a time, so that a
// leader builds a batch as requests come in.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_COMMAND_H_
#define LOCKD_SERVER_STATE_COMMAND_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/state/types.h"

namespace lockd::state {

// Builds the payload of one log entry.
class BatchBuilder {
 public:
  BatchBuilder();

  // Returns the ordinal of the command within the batch: its place in ApplyResult::results.
  uint32_t Add(const Command& command);

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] size_t bytes() const { return bytes_.size(); }
  // The finished payload; the builder is empty afterwards.
  [[nodiscard]] std::string Take(WallTime wall_time);

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

struct Batch {
  WallTime wall_time;
  std::vector<Command> commands;
};

// FailedPrecondition: a version this build does not know (the caller ends the process with a
// message that says to upgrade). DataLoss: bytes that no version wrote.
[[nodiscard]] absl::StatusOr<Batch> DecodeBatch(absl::string_view payload);

// What the leader checks before proposing: sizes, ranges, the right kind of numbers. The message
// names the field, the value and the allowed range. Apply refuses (kInvalid) exactly what this
// refuses under the settings at that point of the log, so a change of these rules is a change of
// what logged commands mean and needs a new feature level. (Some commands may be refused for what
// the state is; of a ChangeMembers that is LockDatabase::CheckChange's to say.)
[[nodiscard]] absl::Status ValidateCommand(const Command& command, const Settings& settings);

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_COMMAND_H_
