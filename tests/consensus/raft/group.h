// A whole group of Raft members in one value, for tests: messages, disks and time by hand.
//
//   Group group(3);
//   group.Elect(1);                       // node 1 campaigns, everything is delivered
//   group.Propose(1, "x");
//   group.Settle();                       // until nothing moves any more
//   group.Cut(1, 2);  group.Heal();       // links
//   group.Crash(2);   group.Restart(2);   // un-synced writes are lost
//   group.TakeSnapshot(1);  group.Compact(1, 5);   group.SendSnapshots(1);
//   group.Join(4);  group.Change(1, {1, 2, 4});    // members come and go
//
// A snapshot travels as one chunk that stands for all that its base covers; Settle installs what
// has come.
//
// Finer: Collect(n) takes one member's outputs, messages wait in `wire` until Deliver, writes wait
// on the disk while HoldDisk is on. Every step checks the invariants of the members that it
// touches, that no two lead in one term, and that all apply the same entries.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_CONSENSUS_RAFT_GROUP_H_
#define LOCKD_TESTS_CONSENSUS_RAFT_GROUP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"

namespace lockd::raft {

// What survives a crash, and what is on its way there.
struct TestDisk {
  HardState hard_state;
  LogBase base;
  std::vector<Entry> entries;  // from base.index + 1
  std::deque<WriteRequest> under_way;
  LogBase snapshot;  // the newest durable one; zero: none

  void CompleteOldest();
  // The entry is in the log, or before its beginning.
  [[nodiscard]] bool Holds(const LogBase& entry) const;
  // What a start does: a snapshot that the log does not reach, or contradicts, replaces it.
  void Start();
  [[nodiscard]] std::vector<Entry> Read(const ReadRequest& read) const;
  // The recovered tail holds everything from the commit index on, and `tail_entries` more.
  [[nodiscard]] RecoveredLog Recover(size_t tail_entries = SIZE_MAX) const;

 private:
  void Rebase(const LogBase& to);
};

class Group {
 public:
  using Tweak = std::function<void(Options&)>;
  explicit Group(uint64_t members, const Tweak& tweak = nullptr);

  [[nodiscard]] Raft& operator[](uint64_t id) { return *nodes_.at(id)->raft; }
  [[nodiscard]] TestDisk& disk(uint64_t id) { return nodes_.at(id)->disk; }
  [[nodiscard]] const std::vector<Entry>& applied(uint64_t id) const {
    return nodes_.at(id)->applied;
  }
  [[nodiscard]] const std::vector<ReleasedRead>& released(uint64_t id) const {
    return nodes_.at(id)->released;
  }
  [[nodiscard]] std::vector<std::string> commands(uint64_t id) const;
  [[nodiscard]] size_t size() const { return nodes_.size(); }
  // The member that leads in the highest term; zero: none does.
  [[nodiscard]] uint64_t leader() const;
  // In force after this entry, which some member has applied.
  [[nodiscard]] Configuration ConfigurationAt(Index index) const;

  // -- driving --
  void Elect(uint64_t id);
  // ... and nobody holds to the leader that was there before.
  void ElectOver(uint64_t id);
  ProposeOutcome Propose(uint64_t id, std::string payload, int64_t time_ms = 0);
  // A node that belongs to nobody yet: it waits to hear of a leader.
  void Join(uint64_t id);
  ChangeOutcome ProposeConfiguration(uint64_t id, const Configuration& configuration);
  // Until that leader has committed a configuration of these voters and learners, in one step or
  // two.
  void Change(uint64_t id, const std::vector<uint64_t>& voters,
              const std::vector<uint64_t>& learners = {});
  void Tick(uint64_t ticks);  // all members that are up, one tick at a time, settling after each
  void Settle();              // outputs, disk, messages, until nothing moves
  // Takes this member's outputs: messages go to the wire, writes to its disk, entries are applied.
  void Collect(uint64_t id, TakeWrite take_write = TakeWrite::kYes);
  void CompleteWrite(uint64_t id);  // the oldest under way
  // Of all that this member has applied, durable at once.
  void TakeSnapshot(uint64_t id);
  // Up to `index`, which its snapshot covers.
  void Compact(uint64_t id, uint64_t index);
  // Its snapshot, to all who need one.
  void SendSnapshots(uint64_t id);
  // The snapshot that came last, if any, is durable and loaded now; the leader is told.
  void Install(uint64_t id);
  void Deliver(Message message);
  // Delivers everything on the wire once, in order, without collecting.
  void DeliverAll();

  // -- faults --
  void HoldDisk(uint64_t id, bool hold) { nodes_.at(id)->disk_held = hold; }
  void Cut(uint64_t from, uint64_t to);  // both ways
  void Isolate(uint64_t id);
  void Heal() { cut_.clear(); }
  void Crash(uint64_t id);
  void Restart(uint64_t id, size_t tail_entries = SIZE_MAX);
  [[nodiscard]] bool is_up(uint64_t id) const { return nodes_.at(id)->raft != nullptr; }

  // Asked for every message before it is delivered; true: it is lost.
  std::function<bool(const Message&)> lose;
  std::deque<Message> wire;

 private:
  struct Node {
    Options options;
    Configuration founders;  // in force in a log without configurations; empty: it joined later
    std::unique_ptr<Raft> raft;
    TestDisk disk;
    bool disk_held = false;
    std::vector<Entry> applied;  // from index 1 on; what a snapshot covers is taken from it
    std::optional<SnapshotId> received;
    std::vector<ReleasedRead> released;
  };

  void AddNode(uint64_t id, Configuration configuration);
  void Check(uint64_t id);
  void Send(std::vector<Message> messages);
  [[nodiscard]] LogBase BaseAt(Index index) const;
  // Its state machine is what a snapshot of this index holds.
  void Load(Node& node, Index index) const;

  Tweak tweak_;
  Configuration founders_;
  std::map<uint64_t, std::unique_ptr<Node>> nodes_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  std::map<uint64_t, uint64_t> leader_of_term_;
  std::vector<Entry> committed_;  // as first applied by anyone
};

}  // namespace lockd::raft

#endif  // LOCKD_TESTS_CONSENSUS_RAFT_GROUP_H_
