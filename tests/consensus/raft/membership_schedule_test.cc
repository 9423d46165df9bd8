// Random schedules: members come, go and are promoted while nodes crash, links break, messages are
// lost, disks stall, leadership is handed over, and logs are compacted and replaced by snapshots.
//
// The group checks all invariants of a member after each of its steps, that no two lead in one
// term, and that all apply the same entries. Here: when all faults are over, the group always comes
// back, whatever configuration it was left in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/random.h"
#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

constexpr uint64_t kNodesMax = 7;

// What the schedules have been through; a clean result says nothing about the rest.
struct Seen {
  uint64_t changes = 0;          // steps that a leader has begun
  uint64_t rolled_back = 0;      // of them, gone again at some member
  uint64_t leaders_removed = 0;  // led by a configuration without them
  uint64_t left_out_leads = 0;   // elected though the newest configuration leaves it out
  uint64_t snapshots = 0;        // members that got one
  uint64_t restarts_in_joint = 0;
};

class Schedule {
 public:
  Schedule(uint64_t seed, Seen* seen) : random_(seed), seen_(seen), group_(random_.Between(1, 4)) {
    group_.lose = [this](const Message&) { return random_.Chance(losses_, 100); };
  }

  void Run() {
    for (int step = 0; step < 400; ++step) {
      Step();
      Look();
    }
    EndFaults();
    ComeBack();
  }

 private:
  [[nodiscard]] uint64_t AnyNode() { return random_.Between(1, group_.size()); }
  [[nodiscard]] bool IsLeader(uint64_t id) { return group_.is_up(id) && group_[id].is_leader(); }

  void Step() {
    const uint64_t id = AnyNode();
    switch (random_.Below(20)) {
      case 0:
        if (group_.is_up(id)) group_.Crash(id);
        break;
      case 1:
      case 2:
        if (!group_.is_up(id)) Restart(id);
        break;
      case 3:
        group_.Isolate(id);
        break;
      case 4:
        group_.Cut(id, AnyNode());
        break;
      case 5:
      case 6:
        group_.Heal();
        break;
      case 7:
        group_.HoldDisk(id, random_.Chance(1, 3));
        break;
      case 8:
        losses_ = random_.Chance(1, 3) ? random_.Below(30) : 0;
        break;
      case 9:
        if (group_.is_up(id)) Compact(id);
        break;
      case 10:
        if (group_.size() < kNodesMax) group_.Join(group_.size() + 1);
        break;
      case 11:
        if (IsLeader(id)) (void)group_[id].TransferLeadership(NodeId{0});
        break;
      case 12:
        if (group_.is_up(id)) group_[id].SuspectLeader();
        break;
      default:
        Work();
        break;
    }
    group_.Tick(random_.Between(1, 20));
  }

  // Every leader, also one that is none any more and does not know.
  void Work() {
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      if (!IsLeader(id)) continue;
      (void)group_.Propose(id, "x");
      if (random_.Chance(3, 4)) Change(id);
      if (IsLeader(id)) SendSnapshots(id);
    }
  }

  void Change(uint64_t id) {
    const Configuration now = group_[id].configuration();
    const bool leaves = IsJoint(now);
    const Configuration next = leaves ? LeaveJoint(now) : RandomStep(now);
    if (group_.ProposeConfiguration(id, next) == ChangeOutcome::kAccepted) {
      ++seen_->changes;
      if (!IsVoter(next, NodeId{id})) ++seen_->leaders_removed;
      // Nobody else has it yet.
      if (random_.Chance(1, 5)) group_.Isolate(id);
    }
  }

  // Any nodes may vote, and others learn; now and then the voters stay.
  Configuration RandomStep(const Configuration& from) {
    std::vector<uint64_t> voters;
    std::vector<uint64_t> learners;
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      const bool votes = random_.Chance(1, 2);
      if (votes) voters.push_back(id);
      if (!votes && !IsVoter(from, NodeId{id}) && random_.Chance(1, 2)) learners.push_back(id);
    }
    if (voters.empty()) voters.push_back(AnyNode());
    std::erase_if(learners, [&](uint64_t id) { return id == voters.front(); });
    Configuration to = MakeConfiguration(voters, {}, learners);
    if (random_.Chance(1, 4)) {
      to.voters = from.voters;
      std::erase_if(to.learners, [&](NodeId learner) { return IsVoter(from, learner); });
    }
    return IsOneStep(from, to) ? to : EnterJoint(from, to);
  }

  void Compact(uint64_t id) {
    group_.TakeSnapshot(id);
    const Index index = group_.disk(id).snapshot.index;
    if (!index.is_zero()) group_.Compact(id, index.value());
  }

  void SendSnapshots(uint64_t id) {
    if (group_[id].SnapshotTargets().empty()) return;
    if (group_.disk(id).snapshot.index < group_[id].log().base_index()) return;
    ++seen_->snapshots;
    group_.SendSnapshots(id);
  }

  void Restart(uint64_t id) {
    group_.Restart(id, random_.Below(4));
    if (IsJoint(group_[id].configuration())) ++seen_->restarts_in_joint;
  }

  void Look() {
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      if (!group_.is_up(id)) {
        newest_.erase(id);
        continue;
      }
      const Raft& raft = group_[id];
      const Index index = raft.configuration_index();
      if (newest_.contains(id) && index < newest_[id]) ++seen_->rolled_back;
      newest_[id] = index;
      const bool leads_left_out = raft.is_leader() && !IsVoter(raft.configuration(), raft.id());
      const bool is_new_leader = !raft.has_committed_in_term();
      if (leads_left_out && is_new_leader) ++seen_->left_out_leads;
    }
  }

  void EndFaults() {
    losses_ = 0;
    group_.Heal();
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      group_.HoldDisk(id, false);
      if (!group_.is_up(id)) Restart(id);
    }
  }

  // Somebody leads, the configuration is committed and not joint, and all its members have what is
  // proposed now.
  void ComeBack() {
    std::string last_leader = "nobody leads";
    for (int round = 0; round < 400; ++round) {
      group_.Tick(5);
      const uint64_t id = group_.leader();
      if (id == 0) continue;
      SendSnapshots(id);
      const Raft& raft = group_[id];
      last_leader = Describe(raft);
      if (IsJoint(raft.configuration())) {
        (void)group_.ProposeConfiguration(id, LeaveJoint(raft.configuration()));
        continue;
      }
      if (HaveAll(MembersOf(raft.configuration()), "the end")) return;
      if (round % 20 == 0) (void)group_.Propose(id, "the end");
    }
    ADD_FAILURE() << "it does not come back:\n" << last_leader;
  }

  bool HaveAll(const std::vector<NodeId>& members, const std::string& command) {
    return std::all_of(members.begin(), members.end(), [&](NodeId member) {
      const std::vector<std::string> commands = group_.commands(member.value());
      return !commands.empty() && commands.back() == command;
    });
  }

  Random random_;
  Seen* seen_;
  uint64_t losses_ = 0;  // in a hundred
  Group group_;
  std::map<uint64_t, Index> newest_;  // configuration of each member, as of the last look
};

TEST(MembershipSchedule, TheGroupAlwaysComesBack) {
  Seen seen;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Schedule(seed, &seen).Run();
    if (HasFailure()) return;
  }
  EXPECT_GT(seen.changes, 1'000u);
  EXPECT_GT(seen.rolled_back, 20u);
  EXPECT_GT(seen.leaders_removed, 100u);
  EXPECT_GT(seen.left_out_leads, 3u);
  EXPECT_GT(seen.snapshots, 200u);
  EXPECT_GT(seen.restarts_in_joint, 200u);
}

}  // namespace
}  // namespace lockd::raft
