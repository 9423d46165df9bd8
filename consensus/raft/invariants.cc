#include "consensus/raft/invariants.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_cat.h"
#include "consensus/raft/membership.h"
#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"

namespace lockd::raft {
namespace {

// Each check returns what is wrong, empty when nothing is.

// Where a walk over the log begins.
Index WalkFrom(const Raft& raft, Index from) {
  return std::max(from, raft.log().tail_first_index());
}

// -- the log --

std::string LogContiguous(const Raft& raft, Index from) {
  const RaftLog& log = raft.log();
  for (Index index = WalkFrom(raft, from); index <= log.last_index(); ++index) {
    if (log.At(index).index != index) return absl::StrCat(log.At(index).index, " at ", index);
  }
  return "";
}

std::string TermsNeverDecrease(const Raft& raft, Index from) {
  const RaftLog& log = raft.log();
  Index index = WalkFrom(raft, from);
  std::optional<Term> before = log.TermAt(index - 1);
  for (; index <= log.last_index(); ++index) {
    const Term term = log.At(index).term;
    if (before.has_value() && term < *before) return absl::StrCat("at ", index);
    if (log.TermAt(index) != term) return absl::StrCat("term run is wrong at ", index);
    before = term;
  }
  if (log.last_term() > raft.term()) return absl::StrCat("last term ", log.last_term());
  return "";
}

std::string TimeNeverDecreases(const Raft& raft, Index from) {
  const RaftLog& log = raft.log();
  for (Index index = WalkFrom(raft, from); index < log.last_index(); ++index) {
    if (log.At(index + 1).time < log.At(index).time) return absl::StrCat("after ", index);
  }
  return "";
}

std::string LastEntryExact(const Raft& raft, Index) {
  const RaftLog& log = raft.log();
  LogBase last = log.base();
  if (log.last_index() != last.index) {
    if (!log.InMemory(log.last_index())) return "";
    const Entry& entry = log.At(log.last_index());
    last = {entry.index, entry.term, entry.time};
  }
  if (last.term == log.last_term() && last.time == log.last_time()) return "";
  return absl::StrCat("term ", log.last_term(), " time ", log.last_time(), ", the entry is of ",
                      last.term, " and ", last.time);
}

std::string MarksOrdered(const Raft& raft, Index) {
  const RaftLog& log = raft.log();
  const Index handed_out = raft.core().handed_out_index();
  if (log.base_index() <= log.applied_index() && log.applied_index() <= handed_out &&
      handed_out <= log.commit_index() && log.commit_index() <= log.last_index()) {
    return "";
  }
  return absl::StrCat("base ", log.base_index(), " applied ", log.applied_index(), " handed out ",
                      handed_out, " commit ", log.commit_index(), " last ", log.last_index());
}

std::string DurableOrdered(const Raft& raft, Index) {
  const RaftLog& log = raft.log();
  if (log.base_index() <= log.durable_index() && log.durable_index() <= log.written_index() &&
      log.written_index() <= log.last_index()) {
    return "";
  }
  return absl::StrCat("base ", log.base_index(), " durable ", log.durable_index(), " written ",
                      log.written_index(), " last ", log.last_index());
}

std::string BaseExact(const Raft& raft, Index) {
  if (raft.core().IsBaseExact()) return "";
  return absl::StrCat("base ", raft.log().base_index(), " of term ", raft.log().base().term);
}

std::string UncommittedInMemory(const Raft& raft, Index) {
  const RaftLog& log = raft.log();
  const Index from = std::max(log.first_index(), std::min(log.commit_index(), log.durable_index()));
  if (log.tail_first_index() <= from) return "";
  return absl::StrCat("memory begins at ", log.tail_first_index(), ", needed from ", from);
}

std::string TailAccounted(const Raft& raft, Index from) {
  if (!from.is_zero()) return "";
  const RaftLog& log = raft.log();
  const size_t bytes = log.CountTailBytes();
  return bytes == log.tail_bytes() ? "" : absl::StrCat(log.tail_bytes(), " counted, is ", bytes);
}

std::string ApplyContinues(const Raft& raft, Index) {
  return raft.core().DoesApplyContinue() ? "" : "what was read is not what comes next";
}

// -- promises --

std::string WritesExact(const Raft& raft, Index) {
  if (raft.log().AreWritesExact()) return "";
  return absl::StrCat(raft.log().writes_under_way(), " under way, durable ", raft.durable_index(),
                      " written ", raft.log().written_index());
}

std::string WritesOrdered(const Raft& raft, Index) {
  const HardState& handed = raft.core().handed();
  if (raft.core().AreWritesOrdered()) return "";
  return absl::StrCat("handed out term ", handed.term, " commit ", handed.commit, ", in term ",
                      raft.term(), " commit ", raft.commit_index());
}

std::string PromisesWait(const Raft& raft, Index) {
  return raft.core().DoPromisesWait() ? "" : "a promise waits for nothing";
}

// -- terms, votes, members --

std::string ConfigurationInForce(const Raft& raft, Index from) {
  const RaftLog& log = raft.log();
  const std::vector<ConfigurationLog::Placed>& all = log.configurations().all();
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].index <= std::max(all[i - 1].index, log.base_index())) {
      return absl::StrCat("one at ", all[i].index, " after ", all[i - 1].index);
    }
    if (!IsValid(all[i].change.configuration)) return absl::StrCat("not valid at ", all[i].index);
  }
  if (all.back().index > log.last_index()) return absl::StrCat("of no entry at ", all.back().index);
  auto placed = all.begin() + 1;
  for (Index index = WalkFrom(raft, from); index <= log.last_index(); ++index) {
    while (placed != all.end() && placed->index < index) ++placed;
    const bool is_known = placed != all.end() && placed->index == index;
    const Entry& entry = log.At(index);
    if (is_known != (entry.kind == EntryKind::kConfiguration) ||
        (is_known && Encode(placed->change) != entry.payload)) {
      return absl::StrCat("the log says otherwise at ", index);
    }
  }
  return "";
}

std::string CampaignOfItsTerm(const Raft& raft, Index) {
  const auto* candidate = std::get_if<Candidate>(&raft.role_state());
  if (candidate == nullptr) return "";
  const bool fine = candidate->pre_vote() ? candidate->campaign_term() == raft.term() + 1
                                          : candidate->campaign_term() == raft.term() &&
                                                raft.voted_for() == raft.id();
  if (fine) return "";
  return absl::StrCat("campaign of term ", candidate->campaign_term(), " in term ", raft.term(),
                      ", vote for ", raft.voted_for());
}

std::string KnownLeaderIsOther(const Raft& raft, Index) {
  const auto* follower = std::get_if<Follower>(&raft.role_state());
  if (follower == nullptr || follower->leader_id().is_zero()) return "";
  const NodeId leader = follower->leader_id();
  return leader != raft.id() ? "" : absl::StrCat("leader ", leader);
}

std::string TimersWithinBounds(const Raft& raft, Index) {
  const Options& options = raft.core().options();
  const Tick now = raft.core().now();
  const Tick latest_election = now + options.election_ticks_max;
  const Tick latest_heartbeat = now + options.heartbeat_ticks;
  bool fine = true;
  if (const auto* follower = std::get_if<Follower>(&raft.role_state())) {
    fine = follower->election_at() <= latest_election;
  } else if (const auto* candidate = std::get_if<Candidate>(&raft.role_state())) {
    fine = candidate->election_at() <= latest_election &&
           candidate->ask_again_at() <= latest_heartbeat;
  } else {
    const auto& leader = std::get<Leader>(raft.role_state());
    fine =
        leader.heartbeat_at() <= latest_heartbeat &&
        (!leader.transfer() || leader.transfer()->deadline() <= now + options.election_ticks_min);
  }
  return fine ? "" : absl::StrCat("at tick ", now);
}

// -- a leader --

std::string LeaderVotedForItself(const Raft& raft, Index) {
  if (!raft.is_leader() || (raft.voted_for() == raft.id() && raft.core().IsVoteDurable())) {
    return "";
  }
  return absl::StrCat("vote ", raft.voted_for());
}

std::string LeaderIsVoter(const Raft& raft, Index) {
  const bool campaigns_or_leads = raft.role() != Role::kFollower;
  return !campaigns_or_leads || raft.core().MayCampaign() ? "" : "no voter";
}

const Leader* LeaderOf(const Raft& raft) {
  return std::get_if<Leader>(&raft.role_state());
}

std::string NoopInLog(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr || leader->noop_index() < raft.log().base_index()) return "";
  const std::optional<Term> term = raft.log().TermAt(leader->noop_index());
  const std::optional<Term> before = raft.log().TermAt(leader->noop_index() - 1);
  if (term == raft.term() && before != raft.term()) return "";
  return absl::StrCat("no-op at ", leader->noop_index());
}

std::string UncommittedAccounted(const Raft& raft, Index) {
  if (!raft.is_leader()) return "";
  const size_t bytes = raft.log().BytesOf(raft.commit_index() + 1, raft.last_index());
  if (bytes == raft.uncommitted_bytes()) return "";
  return absl::StrCat(raft.uncommitted_bytes(), " counted, is ", bytes);
}

std::string FollowersAreTheOthers(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  auto follower = leader->followers().begin();
  for (const NodeId member : MembersOf(raft.configuration())) {
    if (member == raft.id()) continue;
    if (follower == leader->followers().end() || follower->id() != member) {
      return absl::StrCat("node ", member, " is not tracked");
    }
    ++follower;
  }
  return follower == leader->followers().end() ? "" : "a stranger is tracked";
}

std::string MatchBelowNext(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    if (follower.match_index() >= follower.next_index() ||
        follower.next_index() > raft.last_index() + 1) {
      return absl::StrCat("node ", follower.id(), " match ", follower.match_index(), " next ",
                          follower.next_index());
    }
  }
  return "";
}

std::string InflightAccounted(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    if (!follower.IsInflightExact() ||
        follower.inflight_appends() > raft.core().options().inflight_appends_max) {
      return absl::StrCat("node ", follower.id(), " counts ", follower.inflight_bytes(), " in ",
                          follower.inflight_appends());
    }
  }
  return "";
}

std::string SnapshotWhereCompacted(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    const bool is_compacted = follower.next_index() <= raft.log().base_index();
    const bool gets_snapshot = follower.state() == Progress::State::kSnapshot;
    if (is_compacted != gets_snapshot || (gets_snapshot && follower.inflight_appends() > 0)) {
      return absl::StrCat("node ", follower.id(), gets_snapshot ? " gets" : " gets no",
                          " snapshot, next ", follower.next_index(), " base ",
                          raft.log().base_index());
    }
  }
  return "";
}

std::string MatchWithinLog(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    if (follower.match_index() > raft.last_index()) {
      return absl::StrCat("node ", follower.id(), " match ", follower.match_index());
    }
  }
  return "";
}

std::string RoundsOrdered(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    if (follower.confirmed_round() > leader->round() || follower.heard_at() > raft.core().now()) {
      return absl::StrCat("node ", follower.id(), " confirmed ", follower.confirmed_round(), " of ",
                          leader->round());
    }
  }
  return "";
}

std::string CommitHasQuorum(const Raft& raft, Index) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr || !leader->HasCommittedInTerm(raft.core())) return "";
  // Before that, entries were committed by the configuration before.
  if (!raft.is_configuration_committed()) return "";
  const Index reached{ReachedByMajority(raft.configuration(),
                                        [&](NodeId id) { return raft.MatchIndexOf(id).value(); })};
  if (raft.commit_index() <= reached) return "";
  return absl::StrCat("commit ", raft.commit_index(), ", a majority has ", reached);
}

const Transfer* TransferOf(const Raft& raft) {
  const Leader* leader = LeaderOf(raft);
  return leader == nullptr || !leader->transfer() ? nullptr : &*leader->transfer();
}

std::string TransferToOtherVoter(const Raft& raft, Index) {
  const Transfer* transfer = TransferOf(raft);
  if (transfer == nullptr) return "";
  const bool fine = transfer->to() != raft.id() && IsVoter(raft.configuration(), transfer->to());
  return fine ? "" : absl::StrCat("hands over to node ", transfer->to());
}

std::string TransferTargetHasAll(const Raft& raft, Index) {
  const Transfer* transfer = TransferOf(raft);
  if (transfer == nullptr || !transfer->is_told()) return "";
  for (const Progress& follower : LeaderOf(raft)->followers()) {
    if (follower.id() != transfer->to() || follower.match_index() == raft.last_index()) continue;
    return absl::StrCat("node ", follower.id(), " has ", follower.match_index(), " of ",
                        raft.last_index());
  }
  return "";
}

struct Invariant {
  absl::string_view name;
  std::string (*check)(const Raft&, Index);
};

// In order: a later check may rely on what an earlier one found in place.
constexpr std::array kInvariants = {
    Invariant{"LogContiguous", LogContiguous},
    Invariant{"TermsNeverDecrease", TermsNeverDecrease},
    Invariant{"TimeNeverDecreases", TimeNeverDecreases},
    Invariant{"LastEntryExact", LastEntryExact},
    Invariant{"MarksOrdered", MarksOrdered},
    Invariant{"DurableOrdered", DurableOrdered},
    Invariant{"BaseExact", BaseExact},
    Invariant{"UncommittedInMemory", UncommittedInMemory},
    Invariant{"TailAccounted", TailAccounted},
    Invariant{"ApplyContinues", ApplyContinues},
    Invariant{"WritesExact", WritesExact},
    Invariant{"WritesOrdered", WritesOrdered},
    Invariant{"PromisesWait", PromisesWait},
    Invariant{"ConfigurationInForce", ConfigurationInForce},
    Invariant{"CampaignOfItsTerm", CampaignOfItsTerm},
    Invariant{"KnownLeaderIsOther", KnownLeaderIsOther},
    Invariant{"TimersWithinBounds", TimersWithinBounds},
    Invariant{"LeaderVotedForItself", LeaderVotedForItself},
    Invariant{"LeaderIsVoter", LeaderIsVoter},
    Invariant{"NoopInLog", NoopInLog},
    Invariant{"UncommittedAccounted", UncommittedAccounted},
    Invariant{"FollowersAreTheOthers", FollowersAreTheOthers},
    Invariant{"MatchWithinLog", MatchWithinLog},
    Invariant{"MatchBelowNext", MatchBelowNext},
    Invariant{"InflightAccounted", InflightAccounted},
    Invariant{"SnapshotWhereCompacted", SnapshotWhereCompacted},
    Invariant{"RoundsOrdered", RoundsOrdered},
    Invariant{"CommitHasQuorum", CommitHasQuorum},
    Invariant{"TransferToOtherVoter", TransferToOtherVoter},
    Invariant{"TransferTargetHasAll", TransferTargetHasAll},
};

}  // namespace

std::string FirstBrokenInvariant(const Raft& raft, Index from) {
  for (const Invariant& invariant : kInvariants) {
    const std::string wrong = invariant.check(raft, from);
    if (!wrong.empty()) return absl::StrCat(invariant.name, ": ", wrong);
  }
  return "";
}

std::vector<absl::string_view> InvariantNames() {
  std::vector<absl::string_view> names;
  for (const Invariant& invariant : kInvariants) names.push_back(invariant.name);
  return names;
}

void CheckInvariants(const Raft& raft) {
  const std::string broken = FirstBrokenInvariant(raft);
  LOCKD_CHECK(broken.empty(), "node ", raft.id(), ": ", broken);
}

}  // namespace lockd::raft
