// DecodeBatch against any bytes: what a log entry of another build or a damaged disk might hold.
//
// What must hold: it never crashes, and what it accepts is canonical: encoded again it is the same
// bytes, so that two replicas cannot read one entry differently.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "protocol/base/check.h"
#include "server/state/command.h"

namespace lockd::state {
namespace {

void RunOne(absl::string_view payload) {
  const absl::StatusOr<Batch> batch = DecodeBatch(payload);
  if (!batch.ok()) return;
  BatchBuilder again;
  for (const Command& command : batch->commands) {
    again.Add(command);
    // Either verdict is fine; reading any field must be.
    ValidateCommand(command, Settings{}).IgnoreError();
  }
  LOCKD_CHECK(again.Take(batch->wall_time) == payload);
}

}  // namespace
}  // namespace lockd::state

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::state::RunOne(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
