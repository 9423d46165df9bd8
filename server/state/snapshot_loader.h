// SnapshotLoader: a new LockDatabase from the content of a snapshot.
//
//   SnapshotLoader loader(hash_key);
//   while (...) if (absl::Status status = loader.Add(bytes); !status.ok()) ...   // cut anywhere
//   absl::StatusOr<std::unique_ptr<LockDatabase>> database = loader.Finish();
//
// The database behaves as the one that was written: the same results, events and digest for the
// same entries from there on. Its records lie elsewhere in memory, in the order of the content.
//
// The bytes are not trusted. Each record is checked as it comes, against those before it, so that
// nothing that a later look-up or sum relies on can be wrong, and the digest is computed anew and
// compared with the one in the end record. FailedPrecondition: a version or feature level that this
// build does not know. DataLoss: anything else, with the position. After an error nothing more can
// be had from the loader.
//
// Add is a bounded amount of work for each byte: indexes grow by shards, the heap of deadlines by
// pieces. A loader that is given up holds what it has built, and freeing that takes as long as it
// is large.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_SNAPSHOT_LOADER_H_
#define LOCKD_SERVER_STATE_SNAPSHOT_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_format.h"

namespace lockd::state {

class SnapshotLoader {
 public:
  // As of LockDatabase.
  explicit SnapshotLoader(const HashKey& hash_key = {});

  [[nodiscard]] absl::Status Add(absl::string_view bytes);
  // Once, after all bytes.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<LockDatabase>> Finish();

 private:
  // What comes next in the content, and how long it is.
  enum class Part : uint8_t { kHead, kRecordHead, kPayload };

  [[nodiscard]] absl::Status OnPart(absl::string_view part);
  [[nodiscard]] absl::Status OnHead(absl::string_view head);
  [[nodiscard]] absl::Status OnRecordHead(absl::string_view head);
  [[nodiscard]] absl::Status OnRecord(absl::string_view payload);
  void ExpectPart(Part part, size_t bytes) {
    part_ = part;
    part_bytes_ = bytes;
  }

  // Each reads one payload and takes it over, or says what is wrong with it.
  [[nodiscard]] absl::Status OnCluster(FieldReader& io);
  [[nodiscard]] absl::Status OnMember(FieldReader& io);
  [[nodiscard]] absl::Status OnSession(FieldReader& io);
  [[nodiscard]] absl::Status OnReply(FieldReader& io);
  [[nodiscard]] absl::Status OnOutcome(FieldReader& io);
  [[nodiscard]] absl::Status OnLock(FieldReader& io);
  [[nodiscard]] absl::Status OnWaiter(FieldReader& io);
  [[nodiscard]] absl::Status OnEnd(FieldReader& io);

  // Once all members are there.
  [[nodiscard]] absl::Status CheckMembers() const;
  [[nodiscard]] bool MayFollow(RecordKind kind) const;
  // The slot of a session that may have this acquire; kNoRecord: there is none.
  [[nodiscard]] uint32_t FindOwner(SessionId id, Sequence acquire) const;
  // Of the record under way.
  [[nodiscard]] absl::Status Damaged(absl::string_view why) const;

  std::unique_ptr<LockDatabase> database_;
  absl::Status status_;  // the first error

  uint64_t offset_ = 0;  // where the part under way begins
  Part part_ = Part::kHead;
  size_t part_bytes_ = kSnapshotHeadBytes;
  std::string partial_;  // its beginning, when a piece ended within it

  uint16_t version_ = 0;
  RecordKind last_kind_{};     // of the record before; none: 0
  RecordKind kind_{};          // of the one under way
  uint32_t slot_ = kNoRecord;  // of the last session
  uint32_t lock_ = kNoRecord;  // the last lock
  EndRecord end_;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_SNAPSHOT_LOADER_H_
