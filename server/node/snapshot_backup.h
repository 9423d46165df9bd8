// SnapshotBackup: snapshots for whoever asks at the client port: taken now, and read out.
//
//   client                                node, leader or not
//     ├── take ───────────────────────────►│   of what is applied now and of the entry it names, at
//     │◄──────── which one it is ──────────┤   least; once it is verified and kept
//     ├── read from offset 0 ─────────────►│
//     │◄──────── the first 48 KiB ─────────┤   off the file, at a pace
//     :                                    :
//
// An entry that is not applied yet is waited for, but not long. All who wait for an entry that one
// snapshot covers share it. One that fails is answered as such, and so is whoever asks while the
// taker rests after it. The two newest snapshots are kept and a reader holds up none: one that is
// slower than they change is told that its snapshot is gone.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_BACKUP_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_BACKUP_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "server/node/client_connections.h"
#include "server/node/context.h"
#include "server/node/pending_requests.h"
#include "server/node/snapshot_pace.h"
#include "server/node/snapshot_taker.h"

namespace lockd::node {

class SnapshotBackup {
 public:
  // Content of one reply.
  static constexpr size_t kPieceBytes = 48 * 1024;
  static_assert(kPieceBytes + 1024 < kClientFrameBytesMax);
  // Requests for a snapshot that wait.
  static constexpr size_t kTakesMax = 64;
  // How long one waits for its entry to be applied.
  static constexpr int64_t kBehindMaxMs = 5'000;
  // Reads that wait or are under way, one of a connection; and how many are under way.
  static constexpr size_t kReadsMax = 16;
  static constexpr size_t kJobsMax = 4;

  // All must outlive this.
  SnapshotBackup(NodeContext& context, ClientConnections& connections, SnapshotTaker& taker)
      : context_(context),
        connections_(connections),
        taker_(taker),
        pace_(context.options.snapshot_bytes_per_s) {}

  void OnTake(const RequestRef& request, const pb::TakeSnapshotRequest& wire);
  void OnRead(const RequestRef& request, const pb::ReadSnapshotRequest& wire);
  // True: the job was one of these.
  [[nodiscard]] bool OnJobDone(const storage::SnapshotJobDone& done);

  // Once a turn, when all is applied that will be and before the taker has its turn: answers, asks
  // the taker, goes on reading.
  void OnTime(LocalTime now);
  // When OnTime has something to do; kNeverLocal: not before something happens.
  [[nodiscard]] LocalTime NextWakeup() const;

 private:
  struct Take {
    RequestRef request;
    raft::Index index;                   // was applied when it came, or is asked for
    LocalTime give_up_at = kNeverLocal;  // if that is not applied by then; since the first turn
  };
  struct Read {
    RequestRef request;
    raft::SnapshotId snapshot;
    uint64_t offset = 0;
    uint64_t job = 0;  // zero: it waits for its turn
  };

  // False: it was answered, because there is no state yet.
  [[nodiscard]] bool HasState(const RequestRef& request);
  void RunTakes(LocalTime now);
  // Whether the request is answered, or nobody waits for it any more.
  [[nodiscard]] bool IsOver(const Take& take, LocalTime now);
  // Its entry is not applied yet.
  [[nodiscard]] bool IsAhead(const Take& take) const { return take.index > context_.applied.index; }
  // One that is kept and is the state after this entry or a later one.
  [[nodiscard]] std::optional<TakenSnapshot> Find(raft::Index index) const;
  void Answer(const Take& take, const TakenSnapshot& snapshot);

  void RunReads(LocalTime now);
  [[nodiscard]] size_t ReadsUnderWay() const;
  void Answer(const RequestRef& request, pb::ReadSnapshotResult result, std::string content = {});

  NodeContext& context_;
  ClientConnections& connections_;
  SnapshotTaker& taker_;
  SnapshotPace pace_;
  std::deque<Take> takes_;
  std::deque<Read> reads_;  // in the order in which they came
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_BACKUP_H_
