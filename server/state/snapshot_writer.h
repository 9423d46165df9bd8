// SnapshotWriter: the content of a snapshot, in pieces, while the tables go on changing.
//
// It walks the slabs of sessions and locks, a bounded number of looks for each piece. What it comes
// to show is the state as it was when the writer was made, because the tables tell it of each
// change before they make it, and a thing that changes ahead of the walk is encoded then and there:
//
//        written            ahead
//   ────────────────────┬───────────────────────────
//   slot 0, 1, 2, ...   │at_   changes here are saved first, as an image under their place
//                       ▼
//   content:  live things of then, and images, merged in the order of their places
//
// So the content does not depend on what happened meanwhile: it is the one that would have been
// written at once. Five things have a place: a session, each of its replies and outcomes, the hold
// of a lock, each of its waiters. A hold, a waiter or an outcome never changes, it only goes, so
// each is saved at most once, and Apply pays for what it touches: a keep-alive for one session
// record, a grant from a queue of a million for one hold and one waiter.
//
// What is newer than the snapshot tells by its number: session ids, tokens and queue positions are
// draws of one counter, and replies and outcomes carry the table's era. It is passed over, also
// in a slot that was used again.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_SNAPSHOT_WRITER_H_
#define LOCKD_SERVER_STATE_SNAPSHOT_WRITER_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "server/state/lock_table.h"
#include "server/state/session_table.h"
#include "server/state/snapshot_format.h"
#include "server/state/types.h"

namespace lockd::state {

class SnapshotWriter {
 public:
  // The tables outlive the writer.
  SnapshotWriter(const ClusterRecord& cluster, const std::vector<Member>& members,
                 const Digest& digest, const SessionTable* sessions, const LockTable* locks);

  // LockDatabase::NextSnapshotPiece says what it does.
  [[nodiscard]] bool NextPiece(size_t bytes_max, std::string* piece);

  // -- told by the tables, before the change --
  // Anything of the session's own record; or it is forgotten.
  void BeforeSessionChanges(uint32_t slot);
  // A reply or an outcome is dropped, or replaced by another.
  void BeforeReplyGoes(uint32_t slot, const Reply& reply);
  void BeforeOutcomeGoes(uint32_t slot, Sequence acquire, const KeptOutcome& outcome);
  void BeforeHoldEnds(uint32_t lock);
  void BeforeWaiterGoes(uint32_t waiter);

  // -- how much work it is, for tests --
  // Of one piece. A look is at one record, or at 64 slots that nobody uses.
  static constexpr size_t kLooksMax = 8'192;
  [[nodiscard]] size_t looks_of_last_piece() const { return looks_; }
  [[nodiscard]] size_t image_count() const { return images_.size(); }
  // All that were ever saved.
  [[nodiscard]] uint64_t images_saved() const { return images_saved_; }

 private:
  // In the order of the content. The number: of a reply or outcome its sequence, of a waiter its
  // position, else 0.
  struct Place {
    RecordKind section = RecordKind::kSession;  // kSession, kLock, kEnd
    uint32_t slot = 0;
    RecordKind kind = RecordKind::kSession;
    uint64_t number = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  [[nodiscard]] bool IsOld(uint64_t number) const { return number <= last_number_; }
  template <typename Fields>
  void Save(const Place& place, Fields fields);

  // One look: writes at most one record, or moves on.
  void Step();
  template <typename T>
  [[nodiscard]] bool IsAtSlotInUse(const Slab<T>& slab, uint32_t end);
  void StepSession();
  void StepReply();
  void StepOutcome();
  void StepLock();
  void StepWaiter();
  void StepEnd();
  // The session at `at_`, if it is there and not newer.
  [[nodiscard]] const Session* OldSession() const;
  // Whether an image is the next of this slot and kind, seen that a live thing has `live_number`.
  [[nodiscard]] bool IsImageNext(uint64_t live_number) const;
  void WriteImage();

  const SessionTable* const sessions_;
  const LockTable* const locks_;
  // As of the beginning.
  const uint64_t last_number_;
  const uint32_t sessions_end_;
  const uint32_t locks_end_;
  const EndRecord end_;

  Place at_;  // all places before have been written
  // The next in the queue of the lock at `at_`; the queue's tail may be newer than the snapshot.
  uint32_t next_waiter_ = kNoRecord;
  absl::btree_map<Place, std::string> images_;  // records, none before `at_`
  std::string ready_;                           // written, and not in a piece yet
  bool is_complete_ = false;                    // the end record is written
  size_t looks_ = 0;
  uint64_t images_saved_ = 0;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_SNAPSHOT_WRITER_H_
