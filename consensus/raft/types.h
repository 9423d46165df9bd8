// The vocabulary of the Raft core: terms, entries, messages, and what the core asks its owner to
// do.
//
// Plain structs, no protobuf: server/node/raft_wire turns messages into frames, consensus/storage
// turns entries into records.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_TYPES_H_
#define LOCKD_CONSENSUS_RAFT_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/strong_int.h"
#include "protocol/base/time.h"

namespace lockd::raft {

using Term = StrongInt<struct TermTag>;
// Position of an entry in the log, from 1. Zero is "before the first entry".
using Index = StrongInt<struct IndexTag>;
// The core's unit of time; how long one tick lasts is the owner's business (lockd: a fifth of the
// heartbeat interval).
using Tick = StrongInt<struct TickTag>;

enum class EntryKind : uint8_t {
  kNoop = 0,  // appended by a leader at its election (thesis 6.4); carries the cluster time of its
              // predecessor
  kCommand = 1,        // opaque to the core: a batch of commands for the state machine
  kConfiguration = 2,  // who the members are from here on (membership.h)
};

// One log entry. `time` never decreases along the log (checked by the core at append).
struct Entry {
  Term term;
  Index index;
  EntryKind kind = EntryKind::kNoop;
  ClusterTime time;
  std::string payload;

  // What this entry counts for in every byte limit: its payload and a fixed overhead, so that empty
  // entries are not free.
  [[nodiscard]] size_t size_bytes() const { return payload.size() + kOverheadBytes; }
  static constexpr size_t kOverheadBytes = 48;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// A configuration entry carries a valid configuration (membership.h); any payload is fine for the
// other kinds.
[[nodiscard]] bool IsWellFormed(const Entry& entry);

// The last entry that is no longer in the log because a snapshot holds its effect; (0, 0, 0) for a
// whole log.
struct LogBase {
  Index index;
  Term term;
  ClusterTime time;
  friend bool operator==(const LogBase&, const LogBase&) = default;
};

// Which snapshot: the state after the entry at `base`, as a stream of `bytes` bytes with the
// CRC32C `checksum`. Snapshots with equal ids hold equal bytes, so a transfer that broke off may be
// continued from any member that has the same one. (Two members' snapshots at one base may differ:
// the same state in another order.)
struct SnapshotId {
  LogBase base;
  uint64_t bytes = 0;
  uint32_t checksum = 0;
  friend bool operator==(const SnapshotId&, const SnapshotId&) = default;
};

// What must be durable before a node may answer in a term (thesis 3.8).
struct HardState {
  Term term;
  NodeId voted_for;  // in `term`; zero: nobody
  // Not needed for safety: lets a restarted node apply what it knew to be committed without waiting
  // for a leader. It rides along with writes that have another reason, and is never above what was
  // already durable when its write began, so a disk with a commit above its last entry is damaged.
  Index commit;

  friend bool operator==(const HardState&, const HardState&) = default;
};

// -- Messages --
//
// Every message is from one member to another and carries its sender's term. Replies echo what
// identifies the request, so that a late or duplicated reply cannot be taken for another one.

struct VoteRequest {
  bool pre_vote = false;  // thesis 9.6: "would you vote for me?", changes nothing at the voter
  // The term the candidate campaigns for; for a pre-vote one above its current term.
  Term campaign_term;
  Index last_index;
  Term last_term;
  // The leader itself asked for this election (thesis 3.10): voters that hear it vote all the same.
  bool is_transfer = false;
  friend bool operator==(const VoteRequest&, const VoteRequest&) = default;
};

struct VoteReply {
  bool pre_vote = false;
  Term campaign_term;  // as in the request
  bool granted = false;
  friend bool operator==(const VoteReply&, const VoteReply&) = default;
};

struct AppendRequest {
  Index prev_index;
  Term prev_term;
  Index commit;  // the leader's commit index; the follower takes the smaller of it and the last
                 // entry of *this* message
  uint64_t round = 0;          // see Heartbeat
  std::vector<Entry> entries;  // contiguous from prev_index + 1; empty for a probe
  friend bool operator==(const AppendRequest&, const AppendRequest&) = default;
};

struct AppendReply {
  bool accepted = false;
  Index prev_index;  // as in the request
  // Accepted: prev_index + the number of entries of the request, never the follower's own last
  // index (catalogue R-18), and sent only once those are durable.
  Index match_index;
  // Refused: where the leader should look next: the follower's last index with a term <= the one
  // asked for, and that term (fast back-tracking, thesis 3.5 end).
  Index hint_index;
  Term hint_term;
  uint64_t round = 0;  // as in the request
  friend bool operator==(const AppendReply&, const AppendReply&) = default;
};

// Keeps followers following, tells them the commit index (never above what this follower is known
// to have), and confirms leadership for linearizable reads: `round` is a fresh number for each
// round, so that a reply proves that the follower followed this leader after the round began
// (thesis 6.4, catalogue R-54).
struct Heartbeat {
  Index commit;
  uint64_t round = 0;
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

struct HeartbeatReply {
  uint64_t round = 0;
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};

// The leader hands its leadership to the receiver, which has its whole log: it campaigns at once
// (thesis 3.10).
struct TimeoutNow {
  friend bool operator==(const TimeoutNow&, const TimeoutNow&) = default;
};

// A piece of a snapshot, for a follower that needs entries which the leader's log no longer has. It
// counts as hearing the leader. Which pieces are sent, when, and whether again is the owner's
// business; the core carries them between members that are in the same term.
struct SnapshotChunk {
  SnapshotId snapshot;
  uint64_t offset = 0;
  // Of the snapshot's content, from `offset` on; empty: only to be told how far the follower is.
  std::string bytes;
  friend bool operator==(const SnapshotChunk&, const SnapshotChunk&) = default;
};

struct SnapshotChunkReply {
  SnapshotId snapshot;  // as in the chunk
  // The follower has the content up to here; the next chunk begins here.
  uint64_t next_offset = 0;
  // The follower has, durably, all that the snapshot holds: as its base, or in its log.
  bool installed = false;
  friend bool operator==(const SnapshotChunkReply&, const SnapshotChunkReply&) = default;
};

using MessageBody = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, Heartbeat,
                                 HeartbeatReply, SnapshotChunk, SnapshotChunkReply, TimeoutNow>;

struct Message {
  NodeId from;
  NodeId to;
  Term term;  // the sender's current term
  MessageBody body;
  friend bool operator==(const Message&, const Message&) = default;
};

// Could a correct member have sent this? Entries well-formed and contiguous after prev_index, terms
// and times never decreasing and no term above the sender's, a campaign for the sender's term
// (pre-vote: the next; never for a transfer), a snapshot that ends at an entry, and a piece that
// lies within it.
[[nodiscard]] bool IsWellFormed(const Message& message);

// -- What the core asks for --

// One write to stable storage. Writes are carried out in the order given; each completes once all
// of it is durable, and is answered by Raft::WriteCompleted with the same `id`. `messages` leave
// only then: they promise what the write makes true (votes, acknowledgements of entries).
struct WriteRequest {
  uint64_t id = 0;  // counts up from 1; completions carry it back
  std::optional<HardState> hard_state = {};
  // Takes effect before `entries`: a durable snapshot holds the effect of all entries up to here,
  // which may be forgotten. Where the log on disk does not hold this very entry (same index and
  // term), all of it is forgotten and `entries` continue after the base.
  std::optional<LogBase> base = {};
  // Entries to append. When the first one's index is not above the last index on disk, everything
  // on disk from that index on is to be cut first (a conflicting suffix, thesis 3.5).
  std::vector<Entry> entries = {};
  std::vector<Message> messages_once_durable = {};
};

// Entries that are no longer in the in-memory tail, wanted from the log on disk (for a follower
// that lags, or for applying after a restart). Answered by Raft::ReadCompleted; at most one
// outstanding per purpose.
//
// A write of a later Ready may carry a base and so forget these entries: the disk carries out what
// earlier Readys asked for first. The answer may come late; what is of no use any more is ignored.
struct ReadRequest {
  uint64_t id = 0;
  Index first;
  Index last;            // included; a completion may stop earlier, but holds at least one entry
  size_t bytes_max = 0;  // sum of Entry::size_bytes; the first entry is given however large it is
};

// A linearizable read that may be answered now, from a state that has applied at least `index`
// (thesis 6.4).
struct ReleasedRead {
  uint64_t context = 0;    // as given to Raft::RequestRead
  bool confirmed = false;  // false: leadership was lost, the reader must ask elsewhere
  Index index;
  friend bool operator==(const ReleasedRead&, const ReleasedRead&) = default;
};

// What other members sent about snapshots, for the owner to act on.
struct ReceivedChunk {
  NodeId from;  // the leader that this member follows
  SnapshotChunk chunk;
  friend bool operator==(const ReceivedChunk&, const ReceivedChunk&) = default;
};
struct ReceivedChunkReply {
  NodeId from;  // a follower of this leader
  SnapshotChunkReply reply;
  friend bool operator==(const ReceivedChunkReply&, const ReceivedChunkReply&) = default;
};

// All that has become due since the last TakeReady. The owner carries out the parts in any order,
// except that disk work of one Ready is started before that of the next, writes complete in order,
// and committed entries are applied in order.
struct Ready {
  std::vector<Message> messages;  // leave at once
  std::optional<WriteRequest> write;
  std::vector<Entry> committed;  // to apply now: contiguous, each exactly once
  std::vector<ReadRequest> reads;
  std::vector<ReleasedRead> released_reads;
  std::vector<ReceivedChunk> snapshot_chunks;        // in the order in which they came
  std::vector<ReceivedChunkReply> snapshot_replies;  // likewise

  [[nodiscard]] bool empty() const {
    return messages.empty() && !write && committed.empty() && reads.empty() &&
           released_reads.empty() && snapshot_chunks.empty() && snapshot_replies.empty();
  }
};

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// The members whose agreement decides, and those who only listen. membership.h says how one
// configuration follows another, quorum.h what a configuration has agreed on.
struct Configuration {
  std::vector<NodeId> voters;           // ascending; of a joint configuration, the new half
  std::vector<NodeId> outgoing_voters;  // ascending; the old half, empty unless it is joint
  std::vector<NodeId> learners;         // ascending; none of them votes
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// What was recovered from disk at a start, and the tail of entries that the core keeps in memory.
struct RecoveredLog {
  HardState hard_state;
  // The entry before the first one on disk: (0, 0) for a whole log, else what a snapshot replaced.
  Index base_index;
  Term base_term;
  ClusterTime base_time;
  Index last_index;  // on disk; base_index when no entry is
  // The state machine was recovered from a snapshot of the state after this entry, which is
  // committed; at least the base counts as applied. base_index <= applied_index <= last_index, zero
  // for none.
  Index applied_index = {};
  // The newest entries on disk, contiguous up to last_index: at least all from hard_state.commit on
  // (what may still be truncated, and what stands before it, must be known without a read), the
  // last one when there is any, and beyond that as many as the tail limit allows.
  std::vector<Entry> tail;
  // All entries of kind kConfiguration on disk above the base, ascending, those in the tail among
  // them: who the members are must be known without a read.
  std::vector<Entry> configurations = {};
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_TYPES_H_
