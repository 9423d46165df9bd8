// LogChain: every log of every node, hashed entry by entry onto its predecessors.
//
//   LogMatching      (I-3)  two logs that hold an entry of the same index and term are the same up
//   to
//                    it, at all nodes, for ever
//   EntryUnchanged   (I-3)  an entry in a log is never changed in place
//   LogContiguous    (I-9)  entries follow each other without a gap
//   TermsNeverDecrease, TimeNeverDecreases  (I-9)  along each log
//   BaseWasHeld      (I-3)  a log that begins after an entry, in place of another log, does so
//   after
//                    one that some node's log held
//
// After each turn of a node give it Ends, if the log has become shorter, and then Holds for each
// entry that may be new, ascending. After a restart: Ends(last recovered), and Holds for the tail.
// Where a snapshot took the place of a log that did not hold its entry: Begins, first.
// Each returns "Name: details" of what it found broken, or nothing.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_LOG_CHAIN_H_
#define LOCKD_TESTS_SIM_CHECKS_LOG_CHAIN_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::sim {

class LogChain {
 public:
  LogChain() = default;
  // All logs begin after this entry: those of a cluster that was restored.
  explicit LogChain(const raft::LogBase& base);

  [[nodiscard]] std::string Holds(NodeId node, const raft::Entry& entry);
  // The node's log ends at `last`: what stood behind it is gone.
  void Ends(NodeId node, raft::Index last);
  // The node's log is one that begins after `base`, and has no entries.
  [[nodiscard]] std::string Begins(NodeId node, const raft::LogBase& base);

  // The node's log as far as it was told.
  [[nodiscard]] raft::Index last_index(NodeId node) const;
  // Zero: not in the log, or not known because a snapshot took its place.
  [[nodiscard]] raft::Term TermAt(NodeId node, raft::Index index) const;

 private:
  struct Link {
    raft::Term term;
    ClusterTime time;
    uint64_t hash = 0;  // of this entry and all before it
    bool is_known = true;
  };

  std::map<NodeId, std::vector<Link>> logs_;  // link i is that of index i + 1
  absl::flat_hash_map<std::pair<raft::Index, raft::Term>, uint64_t> hashes_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_LOG_CHAIN_H_
