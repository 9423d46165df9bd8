// LockDatabase against the naive oracle.
//
//   input: u8 mode | choices
//
// Mode 0: the choices make the commands of misbehaving clients (CommandStream). Mode 1: the table
// is filled by a stream of a fixed seed, then the input holds whole batches, u16 time step | u16
// length | payload: any command that decodes, with any numbers. What must hold: the same results,
// events and reads as the oracle's, two replicas alike, all invariants (OracleCheck).
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "protocol/base/check.h"
#include "protocol/base/random.h"
#include "server/state/command.h"
#include "tests/fuzz/choices.h"
#include "tests/support/command_stream.h"
#include "tests/support/oracle_check.h"

namespace lockd::state {
namespace {

constexpr int kEntriesMax = 300;
constexpr int kFillEntries = 40;

void ApplyChecked(OracleCheck& check, const LogEntry& entry) {
  const std::string difference = check.Apply(entry);
  LOCKD_CHECK(difference.empty(), "\n", difference);
}

void RunStream(Choices& choices) {
  OracleCheck check;
  CommandStream stream([&choices](uint64_t bound) { return choices.Below(bound); });
  for (int i = 0; i < kEntriesMax && !choices.AtEnd(); ++i) {
    const LogEntry entry = stream.Next();
    ApplyChecked(check, entry);
    stream.Learn(entry, check.result());
  }
}

// Apply ends the process on these, by design: a newer build is needed to go on.
bool NeedsNewerBuild(const Command& command) {
  if (const auto* level = std::get_if<SetFeatureLevel>(&command)) {
    return level->feature_level > kFeatureLevelMax;
  }
  const auto* bootstrap = std::get_if<Bootstrap>(&command);
  return bootstrap != nullptr && bootstrap->feature_level > kFeatureLevelMax;
}

void RunBatches(Choices& choices) {
  OracleCheck check;
  Random random(1);
  CommandStream stream([&random](uint64_t bound) { return random.Below(bound); });
  ClusterTime time;
  for (int i = 0; i < kFillEntries; ++i) {
    const LogEntry entry = stream.Next();
    ApplyChecked(check, entry);
    stream.Learn(entry, check.result());
    time = entry.time;
  }
  for (int i = 0; i < kEntriesMax && !choices.AtEnd(); ++i) {
    time += static_cast<int64_t>(choices.Below(0x10000));
    absl::StatusOr<Batch> batch = DecodeBatch(choices.Bytes(choices.Below(0x10000)));
    if (!batch.ok()) continue;
    for (const Command& command : batch->commands) {
      if (NeedsNewerBuild(command)) return;
    }
    ApplyChecked(check, {time, *std::move(batch)});
  }
}

}  // namespace
}  // namespace lockd::state

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (choices.Below(2) == 0) {
    lockd::state::RunStream(choices);
  } else {
    lockd::state::RunBatches(choices);
  }
  return 0;
}
