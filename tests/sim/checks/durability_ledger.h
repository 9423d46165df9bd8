// DurabilityLedger: what is on each node's disk, kept beside it, and what was promised about it.
//
//   AckedOnMajorityDisks   (I-7)  a committed entry is on the disks of a majority, synced
//   VoteReplyAfterSync     (I-13) a vote leaves once term and vote are durable
//   CampaignAfterSync      (I-13) a candidate's requests leave once its own vote is
//   AppendAckAfterSync     (I-13) an acknowledgement leaves once what it acknowledges is
//   WritesContiguous       (I-9)  a write begins at most one behind what stands
//   DurableSurvives        (I-7)  what a completed write made durable is there after a crash,
//   unless
//                          a later write had begun to cut it
//   RecoveredWasWritten    (I-9)  nothing is recovered but what some write contained
//
// An image is a vector of terms by index: an entry is known by (index, term), which LogChain ties
// to its content. Logs are whole (no snapshots yet).
//
// Order of use: WriteBegins and WriteCompleted for each write, in order; Recovered at each start;
// Sent for each message of a node, Committed for each index that some node newly commits, after the
// completions that led there. Each returns "Name: details" of what it found broken, or nothing.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_DURABILITY_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_DURABILITY_LEDGER_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::sim {

class DurabilityLedger {
 public:
  explicit DurabilityLedger(std::vector<NodeId> voters) : voters_(std::move(voters)) {}

  // A write is handed to the disk.
  [[nodiscard]] std::string WriteBegins(NodeId node,
                                        const std::optional<raft::HardState>& hard_state,
                                        const std::vector<raft::Entry>& entries);
  // The oldest write under way is durable.
  void WriteCompleted(NodeId node);
  // A node starts, with this from its disk. Writes under way may have left anything between nothing
  // and all.
  [[nodiscard]] std::string Recovered(NodeId node, const raft::RecoveredLog& log);

  [[nodiscard]] std::string Sent(const raft::Message& message) const;
  [[nodiscard]] std::string Committed(raft::Index index, raft::Term term) const;

  // Last index on the node's disk that surely stands.
  [[nodiscard]] raft::Index durable_index(NodeId node) const;

 private:
  // Terms of the entries from index 1 on.
  using Terms = std::vector<raft::Term>;
  struct Write {
    std::optional<raft::HardState> hard_state;
    raft::Index first;  // zero: no entries
    Terms terms;
  };
  struct Disk {
    raft::HardState hard_state;
    Terms image;
    std::deque<Write> under_way;
  };

  static void Apply(const Write& write, Terms& terms);
  [[nodiscard]] static bool WasWritten(const Disk& disk, const raft::Entry& entry);
  [[nodiscard]] static std::string CheckRecovered(NodeId node, const Disk& disk,
                                                  const raft::RecoveredLog& log);
  [[nodiscard]] const Disk& Of(NodeId node) const;

  const std::vector<NodeId> voters_;
  std::map<NodeId, Disk> disks_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_DURABILITY_LEDGER_H_
