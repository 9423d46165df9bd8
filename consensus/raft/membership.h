// Membership changes by joint consensus (thesis 4.3): what a configuration entry holds, which step
// from one configuration to the next is safe, and which configurations stand in a log.
//
//   {1 2 3}                         voters
//      │  EnterJoint                a decision needs a majority of each half from here on
//      ▼
//   {3 4 5} and {1 2 3}             joint: voters (incoming) and outgoing voters
//      │  LeaveJoint                once the joint one is committed
//      ▼
//   {3 4 5}
//
// A change that leaves the voters alone (learners come or go, particulars of a member change) is
// one step. Everything else goes through a joint configuration, the change of a single voter, too.
//
// A configuration is in force at a member from the moment at which its entry is in that member's
// log, committed or not (thesis 4.1), and no more when the entry is truncated. So it is the log's
// business to know them: RaftLog keeps a ConfigurationLog in step with itself.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_MEMBERSHIP_H_
#define LOCKD_CONSENSUS_RAFT_MEMBERSHIP_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"

namespace lockd::raft {

// What an entry of kind kConfiguration carries.
struct ConfigurationChange {
  Configuration configuration;  // whole: it does not depend on what stands before it
  // Bytes that the core does not look at: what else the owner has to know of the members (lockd:
  // the command that tells the state of them).
  std::string particulars;
  friend bool operator==(const ConfigurationChange&, const ConfigurationChange&) = default;
};

// The payload of the entry: a version (u16), then for voters, outgoing voters and learners a count
// (u16) and the ids (u64 each), then the particulars. All little-endian.
[[nodiscard]] std::string Encode(const ConfigurationChange& change);
// nullopt: not what Encode writes, or of a configuration that is not valid.
[[nodiscard]] std::optional<ConfigurationChange> DecodeConfigurationChange(
    absl::string_view payload);

// There is a voter, each list ascends without doubles and without zero, and no learner votes in
// either half: a voter is not made a learner in one go.
[[nodiscard]] bool IsValid(const Configuration& configuration);
[[nodiscard]] bool IsJoint(const Configuration& configuration);

// The first step from `from`, which is not joint, to the voters and learners of `to`.
[[nodiscard]] Configuration EnterJoint(const Configuration& from, const Configuration& to);
// The second step: what the joint configuration is on its way to.
[[nodiscard]] Configuration LeaveJoint(const Configuration& joint);
// May `to` directly follow `from`? Both valid, and every majority of the one has a voter in common
// with every majority of the other: the voters are the same (also: not a joint one to a joint one),
// or the step enters or leaves a joint configuration.
[[nodiscard]] bool IsOneStep(const Configuration& from, const Configuration& to);

// The configurations of a log, from the one in force at its base on.
class ConfigurationLog {
 public:
  struct Placed {
    Index index;  // of its entry; zero for the base's of a start
    ConfigurationChange change;
    friend bool operator==(const Placed&, const Placed&) = default;
  };

  // In force at the base. Empty for a member that joins and has not been told anything yet.
  explicit ConfigurationLog(Configuration base = {});

  // Never empty, ascending; the first one is in force at the log's base (its particulars are known
  // only if its entry was in the log at some time since the start), the last one now.
  [[nodiscard]] const std::vector<Placed>& all() const { return all_; }
  [[nodiscard]] const Configuration& newest() const { return all_.back().change.configuration; }
  // Of its entry, or, after a Restore, of the snapshot that it came with.
  [[nodiscard]] Index newest_index() const { return all_.back().index; }
  // The newest one whose entry is at or before `index`, which is not below the base.
  [[nodiscard]] const Placed& At(Index index) const;

  // -- in step with the log --
  // An entry above all others.
  void Append(Index index, ConfigurationChange change);
  // Entries from `index` on, which is above the base, are gone.
  void TruncateFrom(Index index);
  // Entries up to `index` are forgotten; what they said stays in force.
  void CompactTo(Index index);
  // A snapshot of the state after `index` has this one in force. Those above it stay if the log
  // keeps its entries there.
  void Restore(Index index, Configuration configuration, bool keeps_rest);

 private:
  friend struct RaftCorruptor;

  std::vector<Placed> all_;
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_MEMBERSHIP_H_
