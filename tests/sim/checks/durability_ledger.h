// DurabilityLedger: what is on each node's disk, kept beside it, and what was promised about it.
//
//   AckedOnMajorityDisks   (I-7)  a committed entry is on the disks of a majority, synced: of the
//                          configuration in force where it was committed, or of the one before,
//                          if that came in the same moment
//   VoteReplyAfterSync     (I-13) a vote leaves once term and vote are durable
//   CampaignAfterSync      (I-13) a candidate's requests leave once its own vote is
//   AppendAckAfterSync     (I-13) an acknowledgement leaves once what it acknowledges is
//   WritesContiguous       (I-9)  a write begins at most one behind what stands
//   DurableSurvives        (I-7)  what a completed write made durable is there after a crash,
//   unless
//                          a later write had begun to cut it
//   RecoveredWasWritten    (I-9)  nothing is recovered but what some write contained
//   BaseIsCovered          (I-7)  a log forgets entries only when two durable snapshots cover them,
//                          or the leader's one that took the place of the log
//   BaseNeverBack          (I-5)  what the log of a node begins after never goes back
//   InstalledAfterSync     (I-13) the word that a snapshot is installed leaves once the log on disk
//                          has got as far as it
//
// An image is a vector of terms by index: an entry is known by (index, term), which LogChain ties
// to its content. What a log's base covers is held: BaseIsCovered sees to it.
//
// Order of use: InForce before Committed; SnapshotsKept and Restored as soon as they are true;
// WriteBegins and WriteCompleted for each write, in order; Recovered at each start; Sent for each
// message of a node, Committed for each index that some node newly commits, after the completions
// that led there. Each returns "Name: details" of what it found broken, or nothing.
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
  explicit DurabilityLedger(std::vector<NodeId> voters)
      : configurations_{{.voters = std::move(voters), .outgoing_voters = {}, .learners = {}}} {}

  // Of a cluster that was restored: each voter's log begins after this entry.
  DurabilityLedger(std::vector<NodeId> voters, const raft::LogBase& base);

  // Of the node that is the next to be seen to commit something: the last committed one, and what
  // follows it.
  void InForce(std::vector<raft::Configuration> configurations) {
    configurations_ = std::move(configurations);
  }

  // A write is handed to the disk.
  [[nodiscard]] std::string WriteBegins(NodeId node,
                                        const std::optional<raft::HardState>& hard_state,
                                        const std::vector<raft::Entry>& entries,
                                        const std::optional<raft::LogBase>& base = std::nullopt);
  // The oldest write under way is durable.
  void WriteCompleted(NodeId node);
  // These snapshots, ascending, are on the node's disk and were just read back.
  void SnapshotsKept(NodeId node, const std::vector<raft::SnapshotId>& kept);
  // The node has taken over a snapshot that its leader sent.
  void Restored(NodeId node, const raft::LogBase& base);
  // A node starts, with this from its disk. Writes under way may have left anything between nothing
  // and all; and a snapshot that the log does not hold takes the place of all of it.
  [[nodiscard]] std::string Recovered(NodeId node, const raft::RecoveredLog& log);

  [[nodiscard]] std::string Sent(const raft::Message& message) const;
  [[nodiscard]] std::string Committed(raft::Index index, raft::Term term) const;

  // Last index on the node's disk that surely stands.
  [[nodiscard]] raft::Index durable_index(NodeId node) const;

 private:
  // Terms of the entries from index 1 on; zero where a snapshot came in place of the log.
  using Terms = std::vector<raft::Term>;
  struct Write {
    std::optional<raft::HardState> hard_state;
    std::optional<raft::LogBase> base;
    raft::Index first;  // zero: no entries
    Terms terms;
  };
  struct Log {
    Terms terms;
    raft::Index base;

    [[nodiscard]] bool Holds(raft::Index index, raft::Term term) const;
    void BeginAfter(raft::Index index, raft::Term term);
    void Apply(const Write& write);
  };
  struct Disk {
    raft::HardState hard_state;
    Log image;
    Log planned;  // once all that is under way is done
    std::deque<Write> under_way;
    raft::Index covered;   // by two snapshots
    raft::Index restored;  // by the leader's
  };

  [[nodiscard]] static uint64_t SurelySurvives(const Disk& disk);
  [[nodiscard]] static bool IsReplaced(const Disk& disk, const raft::RecoveredLog& log);
  [[nodiscard]] static bool WasWritten(const Disk& disk, const raft::Entry& entry);
  [[nodiscard]] static std::string CheckRecovered(NodeId node, const Disk& disk,
                                                  const raft::RecoveredLog& log);
  [[nodiscard]] const Disk& Of(NodeId node) const;

  std::vector<raft::Configuration> configurations_;
  std::map<NodeId, Disk> disks_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_DURABILITY_LEDGER_H_
