// The content of snapshots as one string: written whole, loaded whole, cut into its records.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_SNAPSHOT_CONTENT_H_
#define LOCKD_TESTS_SUPPORT_SNAPSHOT_CONTENT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "protocol/base/bytes.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_format.h"
#include "server/state/snapshot_loader.h"

namespace lockd::state {

// The rest of the snapshot under way.
inline std::string FinishSnapshot(LockDatabase& database, size_t piece_bytes = 64 * 1024) {
  std::string content;
  std::string piece;
  bool is_last = false;
  while (!is_last) {
    is_last = database.NextSnapshotPiece(piece_bytes, &piece);
    content += piece;
  }
  return content;
}

inline std::string WriteSnapshot(LockDatabase& database, size_t piece_bytes = 64 * 1024) {
  database.BeginSnapshot();
  return FinishSnapshot(database, piece_bytes);
}

inline absl::StatusOr<std::unique_ptr<LockDatabase>> LoadSnapshot(absl::string_view content,
                                                                  const HashKey& hash_key = {}) {
  SnapshotLoader loader(hash_key);
  const absl::Status status = loader.Add(content);
  if (!status.ok()) return status;
  return loader.Finish();
}

// Head first, then each record with its own head.
inline std::vector<std::string> CutIntoRecords(absl::string_view content) {
  std::vector<std::string> parts;
  size_t length = kSnapshotHeadBytes;
  while (!content.empty()) {
    parts.emplace_back(content.substr(0, length));
    content.remove_prefix(parts.back().size());
    if (content.size() < kRecordHeadBytes) break;
    length = kRecordHeadBytes + LoadLittle<uint16_t>(content.data() + 1);
  }
  return parts;
}

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SUPPORT_SNAPSHOT_CONTENT_H_
