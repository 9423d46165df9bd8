// DigestWatch: replicas that have applied the same entry must have the same state. Do they?
//
// Some entries are *points*, by a rule over their index and time alone, so that all nodes take the
// same ones. After each, a node remembers the digest of its state; a follower tells its leader the
// newest. The leader compares at equal indexes, and once a majority of the voters has one value it
// tells that to all who reported: the majority's is the state, whatever else there is.
//
//   follower   applies a point ─► report (index, digest) ─► leader
//   leader     a majority of all voters has one value ─► verdict (index, that value) ─► follower
//   follower   has another value at that index: its state is wrong, it must not go on
//   leader     has another value itself: the same
//   leader     no value can get a majority, or none has for a while: nobody knows who is right,
//              nobody stops, and it raises an alarm
//
// A node judges itself by its own memory of the point, never by what the leader says that it had
// reported; what it no longer remembers it is not stopped for. Learners are compared, and do not
// count. Lost messages cost nothing: the next point says it again.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_DIGEST_WATCH_H_
#define LOCKD_SERVER_NODE_DIGEST_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/state/types.h"

namespace lockd::node {

// The state after this entry has this digest.
struct DigestPoint {
  raft::Index index;
  state::Digest digest;
  friend bool operator==(const DigestPoint&, const DigestPoint&) = default;
};

class DigestWatch {
 public:
  // An entry is a point if its index is a multiple of the first, or if the second has passed on the
  // cluster's clock since the entry before it was stamped: busy clusters and slow ones.
  static constexpr uint64_t kEntriesBetween = 1'024;
  static constexpr int64_t kClusterMsBetween = 10'000;
  // A node remembers so many points, and a leader what was reported of so many.
  static constexpr size_t kPointsKept = 64;
  // Nodes that differ while others have not reported are no alarm for so long.
  static constexpr int64_t kPatienceMs = 5'000;
  // Alarms are counted each, and told no more often.
  static constexpr int64_t kWarningMs = 60'000;

  explicit DigestWatch(NodeId self) : self_(self) {}

  [[nodiscard]] static bool IsPoint(const raft::LogBase& before, const raft::LogBase& entry);

  // -- every node --
  // `digest` is of the state after `entry`, which was applied right after `before`.
  void OnApplied(const raft::LogBase& before, const raft::LogBase& entry,
                 const state::Digest& digest);
  // The state was replaced by another node's: what was remembered is of a state that is gone.
  void OnStateReplaced();
  // The last point at which this node is known to have had the majority's state, in this run.
  [[nodiscard]] raft::Index agreed_index() const { return agreed_index_; }

  // -- a follower --
  // The newest point, unless this leader was told in this term.
  [[nodiscard]] std::optional<DigestPoint> NextReport(NodeId leader, raft::Term term);
  // What a majority has. Returns what this node has at that index, if it is something else.
  [[nodiscard]] std::optional<state::Digest> OnVerdict(const DigestPoint& majority);

  // -- a leader --
  using Values = std::map<NodeId, state::Digest>;
  struct Verdict {
    NodeId to;
    DigestPoint majority;
    state::Digest theirs;
  };
  struct Alarm {
    raft::Index index;
    Values values;  // of those who reported
  };
  struct Findings {
    std::vector<Verdict> verdicts;  // for other nodes, also for those who agree
    std::optional<Verdict> own;     // this node's state is wrong
    std::optional<Alarm> alarm;     // to be told to people
  };
  // What was reported in another office says nothing in this one.
  void BeginOffice();
  void OnReport(NodeId from, const DigestPoint& point);
  // To be asked in each turn, with a configuration that is committed.
  [[nodiscard]] Findings Compare(const raft::Configuration& configuration, LocalTime now);
  // Points at which no value had a majority.
  [[nodiscard]] uint64_t alarms() const { return alarms_; }

  // What the voters' values come to.
  struct Tally {
    std::optional<state::Digest> majority;
    bool differs = false;  // members have different values
    bool is_open = false;  // no majority, and voters who are silent could still make one
  };
  [[nodiscard]] static Tally Count(const Values& values, const raft::Configuration& configuration);

 private:
  struct Comparison {
    Values reported;
    std::set<NodeId> told;
    std::optional<LocalTime> differs_since;
    bool has_alarmed = false;
  };

  [[nodiscard]] std::optional<state::Digest> OwnAt(raft::Index index) const;
  // False: nothing more to see until another report comes.
  bool LookAt(raft::Index index, const raft::Configuration& configuration, LocalTime now,
              Findings* findings);
  void Tell(raft::Index index, const Values& values, const state::Digest& majority,
            Comparison& comparison, Findings* findings);

  const NodeId self_;
  std::deque<DigestPoint> points_;  // own, ascending
  raft::Index agreed_index_;

  // The last report: to whom, in which term, of which point.
  struct {
    NodeId leader;
    raft::Term term;
    raft::Index index;
  } reported_;

  std::map<raft::Index, Comparison> comparisons_;
  std::set<raft::Index> due_;  // to be looked at
  uint64_t alarms_ = 0;
  std::optional<LocalTime> warned_at_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_DIGEST_WATCH_H_
