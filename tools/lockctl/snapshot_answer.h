// What `lockctl snapshot` shows.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKCTL_SNAPSHOT_ANSWER_H_
#define LOCKD_TOOLS_LOCKCTL_SNAPSHOT_ANSWER_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "client/records.h"
#include "server/state/lock_database.h"

namespace lockd::lockctl {

struct SnapshotAnswer {
  SnapshotRecord snapshot;
  std::string address;  // of the node
  std::string file;     // empty: it was taken, and saved nowhere else
  uint64_t file_bytes = 0;
};

[[nodiscard]] nlohmann::ordered_json ToJson(const SnapshotAnswer& answer);
// One line for each field.
[[nodiscard]] std::string ToText(const SnapshotAnswer& answer);

// Whether the state that was loaded is the one that the node said it had. DataLoss: it is not.
[[nodiscard]] absl::Status CheckLoaded(const state::LockDatabase& database,
                                       const SnapshotRecord& snapshot);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_SNAPSHOT_ANSWER_H_
