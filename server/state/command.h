// Log bytes of command batches. One log entry of kind kCommand holds one batch:
//
//   u16 batch version (1) | i64 wall time ms | u32 count | count x envelope
//   envelope: u16 command version | u8 kind | u32 payload length | payload (fixed-width fields,
//   lengths before bytes)
//
// An empty batch is a time entry. `EncodeCommand` appends one envelope, so that a leader builds a
// batch as requests come in.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_COMMAND_H_
#define LOCKD_SERVER_STATE_COMMAND_H_

#include <cstdint>
#include <string>

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

// What the leader checks before proposing, so that apply never meets it: sizes, ranges, the right
// kind of numbers. The message names the field, the value and the allowed range.
[[nodiscard]] absl::Status ValidateCommand(const Command& command, const Settings& settings);

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_COMMAND_H_
