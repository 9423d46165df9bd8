// A Raft group under any schedule.
//
// The input decides what happens next: time passes at one member, outputs are taken, a write
// becomes durable, a message on the wire is delivered, lost, doubled, overtaken or comes again much
// later, members crash and restart, links are cut, snapshots are taken, sent and installed, logs
// are compacted; and messages arrive that nobody sent, with any numbers that promise nothing (what
// a correct member never says, like an entry that contradicts a committed one, is not made up). So
// every member's Step meets every kind of message in every role. What must hold after each step:
// the invariants of each member, one leader for each term, all apply the same entries (Group checks
// these).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/options.h"
#include "tests/consensus/raft/group.h"
#include "tests/fuzz/choices.h"

namespace lockd::raft {
namespace {

constexpr int kStepsMax = 2'000;
constexpr size_t kWireMax = 200;
constexpr size_t kOldMessagesMax = 64;

class Schedule {
 public:
  explicit Schedule(Choices& choices)
      : choices_(choices), members_(choices.OneIn(4) ? 5 : 3), group_(members_, SmallLimits) {}

  void Run() {
    for (int step = 0; step < kStepsMax && !choices_.AtEnd(); ++step) {
      Step(1 + choices_.Below(members_));
      while (group_.wire.size() > kWireMax) group_.wire.pop_front();
    }
  }

 private:
  // So that windows fill, batches split and logs are read back within a short input.
  static void SmallLimits(Options& options) {
    options.heartbeat_ticks = 2;
    options.election_ticks_min = 5;
    options.election_ticks_max = 10;
    options.write_stall_ticks_max = 40;
    options.append_bytes_max = 150;
    options.inflight_appends_max = 3;
    options.inflight_bytes_max = 400;
    options.uncommitted_bytes_max = 600;
    options.tail_bytes_max = 300;
    options.apply_bytes_max = 200;
    options.read_bytes_max = 150;
  }

  void Step(uint64_t id) {
    const uint64_t action = choices_.Below(20);
    if (!group_.is_up(id)) {
      if (action < 8) group_.Restart(id, choices_.Below(4));
      return;
    }
    switch (action) {
      case 0:
        group_[id].Tick(1 + choices_.Below(12));
        break;
      case 1:
        group_[id].Campaign();
        break;
      case 2:
      case 3:
        if (group_[id].is_leader()) group_.Propose(id, std::string(1 + choices_.Below(90), 'x'));
        break;
      case 4:
        group_[id].RequestRead(++reads_);
        break;
      case 5:
        if (choices_.OneIn(4)) group_.Crash(id);
        break;
      case 6:
        group_.Cut(id, 1 + choices_.Below(members_));
        break;
      case 7:
        group_.Heal();
        break;
      case 8:
        group_.Settle();
        break;
      case 9:
        if (choices_.OneIn(2)) {
          group_[id].SuspectLeader();
        } else {
          (void)group_[id].TransferLeadership(NodeId(choices_.Below(members_ + 1)));
        }
        break;
      case 10:
      case 11:
        group_.Collect(id, choices_.OneIn(3) ? TakeWrite::kNo : TakeWrite::kYes);
        break;
      case 12:
        if (!group_.disk(id).under_way.empty()) group_.CompleteWrite(id);
        break;
      case 13:
        if (!old_messages_.empty()) {
          group_.Deliver(old_messages_[choices_.Below(old_messages_.size())]);
        }
        break;
      case 14:
        group_.Deliver(MadeUp(id));
        break;
      case 15:
        group_.TakeSnapshot(id);
        break;
      case 16:
        Compact(id);
        break;
      case 17:
        group_.SendSnapshots(id);
        break;
      case 18:
        group_.Install(id);
        break;
      default:
        DeliverSome();
        break;
    }
  }

  // Up to its snapshot or a little less. (One that a candidate had no use for may be ahead of what
  // is applied.)
  void Compact(uint64_t id) {
    const uint64_t index =
        std::min(group_.disk(id).snapshot.index, group_[id].applied_index()).value();
    if (index > 0) group_.Compact(id, index - choices_.Below(std::min<uint64_t>(index, 4)));
  }

  // Close to what the member knows, or far from it.
  uint64_t Near(uint64_t value) {
    if (choices_.OneIn(8)) return choices_.Below(UINT64_MAX);
    return std::max<uint64_t>(value + choices_.Below(7), 3) - 3;
  }
  // Requests for votes, refusals, and answers to rounds: whatever they say, nobody may come to
  // believe in an entry or a leader because of them. Terms stay low, so that they do not end.
  Message MadeUp(uint64_t to) {
    const Raft& raft = group_[to];
    const uint64_t from = 1 + choices_.Below(members_);
    const Term term(std::min(Near(raft.term().value()), raft.term().value() + 3));
    const Index index(Near(raft.last_index().value()));
    const Term other(Near(raft.term().value()));
    Message message{.from = NodeId(from), .to = NodeId(to), .term = term, .body = {}};
    const bool flag = choices_.OneIn(2);
    const bool is_transfer = !flag && choices_.OneIn(2);
    switch (choices_.Below(5)) {
      case 0:
        message.body = VoteRequest{.pre_vote = flag,
                                   .campaign_term = flag ? term + 1 : term,
                                   .last_index = index,
                                   .last_term = other,
                                   .is_transfer = is_transfer};
        // A vote may decide an election. In the name of one that may still campaign in this term,
        // no log is claimed that it may not have.
        if (!flag && group_.disk(from).hard_state.term <= term) {
          message.body = VoteRequest{
              .campaign_term = term, .last_index = {}, .last_term = {}, .is_transfer = is_transfer};
        }
        break;
      case 1:
        message.body = VoteReply{.pre_vote = flag, .campaign_term = other, .granted = false};
        break;
      case 2:
        message.body = AppendReply{.accepted = false,
                                   .prev_index = index,
                                   .match_index = Index(choices_.Below(40)),
                                   .hint_index = Index(Near(index.value())),
                                   .hint_term = other,
                                   .round = choices_.Below(20)};
        break;
      case 3:
        message.body = SnapshotChunkReply{.snapshot = {.base = {index, other, ClusterTime(0)},
                                                       .bytes = choices_.Below(3),
                                                       .checksum = 0},
                                          .next_offset = choices_.Below(3),
                                          .installed = false};
        break;
      default:
        // An old round: a member confirms no round that it has not heard of.
        message.body = HeartbeatReply{.round = 0};
        break;
    }
    return message;
  }

  void DeliverSome() {
    if (group_.wire.empty()) return;
    const auto place =
        group_.wire.begin() + static_cast<ptrdiff_t>(choices_.Below(group_.wire.size()));
    Message message = *place;
    const uint64_t fate = choices_.Below(8);
    if (fate != 0) group_.wire.erase(place);  // 0: it stays, and comes again
    if (old_messages_.size() < kOldMessagesMax) {
      old_messages_.push_back(message);
    } else {
      old_messages_[choices_.Below(kOldMessagesMax)] = message;
    }
    if (fate != 1) group_.Deliver(std::move(message));  // 1: it is lost
  }

  Choices& choices_;
  const uint64_t members_;
  Group group_;
  uint64_t reads_ = 0;
  std::vector<Message> old_messages_;
};

}  // namespace
}  // namespace lockd::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::raft::Schedule(choices).Run();
  return 0;
}
