// SnapshotLoader against any bytes, cut anywhere.
//
//   input: u16 size of the pieces | content of a snapshot
//
// What must hold: it never crashes; and what it accepts has one encoding: the database that it
// loads writes the same bytes again, keeps all invariants, and can be applied to.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "protocol/base/check.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_loader.h"
#include "tests/fuzz/choices.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

void RunOne(Choices& choices) {
  const size_t piece_bytes = 1 + choices.Below(0x10000);
  const absl::string_view content = choices.Bytes(~size_t{0});
  SnapshotLoader loader;
  for (size_t at = 0; at < content.size(); at += piece_bytes) {
    if (!loader.Add(content.substr(at, piece_bytes)).ok()) return;
  }
  const auto loaded = loader.Finish();
  if (!loaded.ok()) return;
  LockDatabase& database = **loaded;
  database.CheckInvariants();
  LOCKD_CHECK(WriteSnapshot(database) == content, "written otherwise than it was read");
  for (int i = 0; i < 100 && !database.deadlines().empty(); ++i) {
    database.Apply(std::max(database.time(), database.NextDeadline()), "");
    database.CheckInvariants();
  }
}

}  // namespace
}  // namespace lockd::state

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::state::RunOne(choices);
  return 0;
}
