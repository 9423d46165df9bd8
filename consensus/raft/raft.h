// Raft: one member of one consensus group (Ongaro, "Consensus: Bridging Theory and Practice", cited
// as "thesis").
//
// A pure value: messages, ticks, proposals and storage completions go in, a `Ready` comes out. The
// core never calls out, reads no clock, and draws randomness only from its seed, so that a schedule
// replays exactly.
//
// Order of use, by one owner:
//
//   Raft raft(options, recovered_log);
//   for each input:  raft.Step(message) | Tick() | Propose(...) | RequestRead(...) |
//   WriteCompleted(id) | ReadCompleted(...) then:            Ready ready = raft.TakeReady();   //
//   any number of inputs later: this is where batches form
//                    send ready.messages; start ready.write; apply ready.committed; answer
//                    ready.released_reads
//   when the write is durable:  send its messages_once_durable; raft.WriteCompleted(write.id)
//
// Not taking a Ready while a write is under way is how the owner groups commits: all that arrives
// meanwhile is in the next one. At most one write is outstanding per TakeReady, several may be in
// flight.
//
// Safety rules that hold at all times are listed, by name, in invariants.h; CheckInvariants() ends
// the process when one is broken.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_RAFT_H_
#define LOCKD_CONSENSUS_RAFT_RAFT_H_
// (the private part is the implementation's)
namespace lockd::raft {

struct Options {
  NodeId id;
  Configuration configuration;  // in force until the log says otherwise
  uint64_t seed = 0;            // for election timeouts
  uint64_t heartbeat_ticks = 5;
  // An election timeout is drawn from (min, max]: strictly above the lease of `min` ticks that a
  // heard leader has.
  uint64_t election_ticks_min = 30;
  uint64_t election_ticks_max = 60;
  size_t append_bytes_max = 256 * 1024;             // entries of one AppendRequest
  size_t inflight_appends_max = 64;                 // per follower
  size_t inflight_bytes_max = 4 * 1024 * 1024;      // per follower
  size_t uncommitted_bytes_max = 16 * 1024 * 1024;  // proposals above it are refused
  size_t tail_bytes_max =
      64 * 1024 * 1024;                  // durable, applied entries kept in memory for followers
  size_t apply_bytes_max = 1024 * 1024;  // committed entries of one Ready
  size_t read_bytes_max = 256 * 1024;    // one ReadRequest
};

enum class ProposeOutcome : uint8_t {
  kAccepted,
  kNotLeader,  // ask the leader (leader_id()) instead; proposals are never forwarded
  kTooManyUncommitted,  // over uncommitted_bytes_max: try again when some have committed
};

class Raft {
 public:
  Raft(const Options& options, RecoveredLog recovered);

  // -- inputs --
  // A message from another member. Messages from strangers and from oneself are ignored.
  void Step(Message message);
  // `count` ticks have passed.
  void Tick(uint64_t count = 1);
  // Appends one command entry, if this member leads. `time` is at least the time of the last entry.
  // `*index`, when not null, receives the position at which the entry stands if this leader stays
  // (with term()).
  ProposeOutcome Propose(ClusterTime time, std::string payload, Index* index = nullptr);
  // A linearizable read: answered in a later Ready::released_reads with the same context (caller's
  // number, unique among those outstanding). Reads asked for before one TakeReady share one
  // heartbeat round.
  void RequestRead(uint64_t context);
  // The write with this id, and all before it, are durable.
  void WriteCompleted(uint64_t id);
  // Answers a ReadRequest; `entries` starts at its `first`.
  void ReadCompleted(uint64_t id, std::vector<Entry> entries);
  // Campaigns now, as if the election timeout had passed (scripts, tests, a hint that the leader
  // died).
  void Campaign();
  // Committed entries up to `index` are applied and may leave the in-memory tail. (TakeReady hands
  // out no more than apply_bytes_max beyond this.)
  void Applied(Index index);

  // -- outputs --
  [[nodiscard]] bool HasReady() const;
  [[nodiscard]] Ready TakeReady();

  // -- state, for the owner's decisions and for status --
  [[nodiscard]] NodeId id() const;
  [[nodiscard]] Role role() const;
  [[nodiscard]] Term term() const;
  [[nodiscard]] NodeId leader_id() const;  // zero: unknown
  [[nodiscard]] Index commit_index() const;
  [[nodiscard]] Index applied_index() const;
  [[nodiscard]] Index first_index() const;  // of the log: base + 1
  [[nodiscard]] Index last_index() const;
  [[nodiscard]] ClusterTime last_time() const;  // of the last entry
  [[nodiscard]] Index durable_index() const;
  // True for a leader that has committed an entry of its own term, and so knows all that was
  // committed before.
  [[nodiscard]] bool has_committed_in_term() const;
  [[nodiscard]] size_t uncommitted_bytes() const;
};
}  // namespace lockd::raft
#endif
