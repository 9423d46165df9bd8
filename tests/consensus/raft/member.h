// One member under test: the test plays all the others, the disk and the clock.
//
//   Member member(2, {1, 1, 2});                 // of three; its log: terms 1, 1, 2 at
//   indexes 1..3 member.Receive(1, 3, AppendRequest{...});    // from node 1, in term 3 auto sent =
//   member.Take();                   // its messages, writes completed at once
//
// Threading: pure value.
#ifndef LOCKD_TESTS_CONSENSUS_RAFT_MEMBER_H_
#define LOCKD_TESTS_CONSENSUS_RAFT_MEMBER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/describe.h"
#include "consensus/raft/invariants.h"
#include "consensus/raft/membership.h"
#include "consensus/raft/quorum.h"
#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "protocol/base/check.h"

namespace lockd::raft {

inline Entry MakeEntry(uint64_t term, uint64_t index, std::string payload = {},
                       int64_t time_ms = 0) {
  const EntryKind kind = payload.empty() ? EntryKind::kNoop : EntryKind::kCommand;
  return {Term{term}, Index{index}, kind, ClusterTime{time_ms}, std::move(payload)};
}

// Entries with these terms at `first`, `first` + 1, ...
inline std::vector<Entry> MakeEntries(uint64_t first, const std::vector<uint64_t>& terms) {
  std::vector<Entry> entries;
  for (const uint64_t term : terms) entries.push_back(MakeEntry(term, first + entries.size()));
  return entries;
}

// A log on disk with these terms from index 1 on, the whole of it in memory.
inline RecoveredLog MakeLog(const std::vector<uint64_t>& terms, uint64_t commit = 0) {
  RecoveredLog recovered;
  recovered.hard_state.term = Term{terms.empty() ? 0 : terms.back()};
  recovered.hard_state.commit = Index{commit};
  recovered.last_index = Index{terms.size()};
  recovered.tail = MakeEntries(1, terms);
  return recovered;
}

inline Configuration MakeConfiguration(const std::vector<uint64_t>& voters,
                                       const std::vector<uint64_t>& outgoing = {},
                                       const std::vector<uint64_t>& learners = {}) {
  const auto ids = [](const std::vector<uint64_t>& numbers) {
    return std::vector<NodeId>(numbers.begin(), numbers.end());
  };
  return {ids(voters), ids(outgoing), ids(learners)};
}

inline Entry MakeConfigurationEntry(uint64_t term, uint64_t index,
                                    const Configuration& configuration) {
  return {Term{term}, Index{index}, EntryKind::kConfiguration, ClusterTime{0},
          Encode({configuration, {}})};
}

// The entry at this index says it.
inline void Place(RecoveredLog& log, uint64_t index, const Configuration& configuration) {
  Entry& entry = log.tail.at(index - log.tail.front().index.value());
  entry = MakeConfigurationEntry(entry.term.value(), index, configuration);
  log.configurations.push_back(entry);
}

inline AppendRequest MakeAppend(uint64_t prev_index, uint64_t prev_term,
                                std::vector<Entry> entries = {}, uint64_t commit = 0,
                                uint64_t round = 0) {
  return {Index{prev_index}, Term{prev_term}, Index{commit}, round, std::move(entries)};
}

inline AppendReply MakeAccepted(uint64_t prev_index, uint64_t match_index, uint64_t round = 0) {
  AppendReply reply;
  reply.accepted = true;
  reply.prev_index = Index{prev_index};
  reply.match_index = Index{match_index};
  reply.round = round;
  return reply;
}

inline AppendReply MakeRefused(uint64_t prev_index, uint64_t hint_index, uint64_t hint_term) {
  AppendReply reply;
  reply.prev_index = Index{prev_index};
  reply.hint_index = Index{hint_index};
  reply.hint_term = Term{hint_term};
  return reply;
}

class Member {
 public:
  using Tweak = std::function<void(Options&)>;

  Member(uint64_t id, RecoveredLog log, uint64_t members = 3, const Tweak& tweak = nullptr)
      : raft(MakeOptions(id, members, tweak), std::move(log)) {}
  Member(uint64_t id, const std::vector<uint64_t>& terms, uint64_t members = 3,
         const Tweak& tweak = nullptr)
      : Member(id, MakeLog(terms), members, tweak) {}

  void Receive(uint64_t from, uint64_t term, MessageBody body) {
    raft.Step({NodeId{from}, raft.id(), Term{term}, std::move(body)});
    CheckInvariants(raft);
  }

  // Outputs until there are none; writes complete at once, entries are applied.
  std::vector<Message> Take() {
    std::vector<Message> sent;
    while (raft.HasReady()) {
      Ready ready = TakeReady();
      Append(sent, std::move(ready.messages));
      if (ready.write.has_value()) {
        Append(sent, std::move(ready.write->messages_once_durable));
        Complete(*ready.write);
      }
    }
    return sent;
  }
  // One TakeReady, whose committed entries and released reads are taken note of.
  Ready TakeReady(TakeWrite take_write = TakeWrite::kYes) {
    Ready ready = raft.TakeReady(take_write);
    for (const Entry& entry : ready.committed) applied.push_back(entry);
    if (!ready.committed.empty()) raft.Applied(applied.back().index);
    for (const ReleasedRead& read : ready.released_reads) released.push_back(read);
    CheckInvariants(raft);
    return ready;
  }
  void Complete(const WriteRequest& write) {
    raft.WriteCompleted(write.id);
    CheckInvariants(raft);
  }

  // Elected in its next term by the votes of all others; what it sent is thrown away.
  void Lead() {
    raft.Campaign();
    const Term campaign_term = raft.term() + 1;
    for (const bool pre_vote : {true, false}) {
      Take();
      for (const NodeId voter : MembersOf(raft.configuration())) {
        if (voter != raft.id() && !raft.is_leader()) {
          Receive(voter.value(), (pre_vote ? campaign_term - 1 : campaign_term).value(),
                  VoteReply{pre_vote, campaign_term, true});
        }
      }
    }
    Take();
    LOCKD_CHECK(raft.is_leader(), Describe(raft));
  }

  void Propose(std::string payload) {
    const ProposeOutcome outcome = raft.Propose(raft.last_time(), std::move(payload));
    LOCKD_CHECK(outcome == ProposeOutcome::kAccepted);
    CheckInvariants(raft);
  }

  [[nodiscard]] const Progress& follower(uint64_t id) const {
    for (const Progress& progress : std::get<Leader>(raft.role_state()).followers()) {
      if (progress.id() == NodeId{id}) return progress;
    }
    LOCKD_UNREACHABLE("no follower ", id);
  }

  Raft raft;
  std::vector<Entry> applied;
  std::vector<ReleasedRead> released;

 private:
  static Options MakeOptions(uint64_t id, uint64_t members, const Tweak& tweak) {
    Options options;
    options.id = NodeId{id};
    for (uint64_t voter = 1; voter <= members; ++voter) {
      options.configuration.voters.push_back(NodeId{voter});
    }
    if (tweak) tweak(options);
    return options;
  }
  static void Append(std::vector<Message>& to, std::vector<Message> from) {
    for (Message& message : from) to.push_back(std::move(message));
  }
};

// The messages of one kind, to one member (zero: to anybody).
template <typename Body>
std::vector<Body> Only(const std::vector<Message>& messages, uint64_t to = 0) {
  std::vector<Body> found;
  for (const Message& message : messages) {
    if (to != 0 && message.to != NodeId{to}) continue;
    if (const auto* body = std::get_if<Body>(&message.body)) found.push_back(*body);
  }
  return found;
}

}  // namespace lockd::raft

#endif  // LOCKD_TESTS_CONSENSUS_RAFT_MEMBER_H_
