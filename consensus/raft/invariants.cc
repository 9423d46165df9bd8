#include "consensus/raft/invariants.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_cat.h"
#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"

namespace lockd::raft {
namespace {

// Each check returns what is wrong, empty when nothing is.

std::string LogContiguous(const Raft& raft) {
  const RaftLog& log = raft.log();
  for (Index index = log.tail_first_index(); index <= log.last_index(); ++index) {
    if (log.At(index).index != index) return absl::StrCat(log.At(index).index, " at ", index);
  }
  return "";
}

std::string TermsNeverDecrease(const Raft& raft) {
  const RaftLog& log = raft.log();
  std::optional<Term> before = log.TermAt(log.tail_first_index() - 1);
  for (Index index = log.tail_first_index(); index <= log.last_index(); ++index) {
    const Term term = log.At(index).term;
    if (before.has_value() && term < *before) return absl::StrCat("at ", index);
    if (log.TermAt(index) != term) return absl::StrCat("term run is wrong at ", index);
    before = term;
  }
  if (log.last_term() > raft.term()) return absl::StrCat("last term ", log.last_term());
  return "";
}

std::string TimeNeverDecreases(const Raft& raft) {
  const RaftLog& log = raft.log();
  for (Index index = log.tail_first_index(); index < log.last_index(); ++index) {
    if (log.At(index + 1).time < log.At(index).time) return absl::StrCat("after ", index);
  }
  return "";
}

std::string MarksOrdered(const Raft& raft) {
  const RaftLog& log = raft.log();
  const Index handed_out = raft.core().handed_out_index();
  if (log.base_index() <= log.applied_index() && log.applied_index() <= handed_out &&
      handed_out <= log.commit_index() && log.commit_index() <= log.last_index()) {
    return "";
  }
  return absl::StrCat("base ", log.base_index(), " applied ", log.applied_index(), " handed out ",
                      handed_out, " commit ", log.commit_index(), " last ", log.last_index());
}

std::string DurableOrdered(const Raft& raft) {
  const RaftLog& log = raft.log();
  if (log.durable_index() <= log.written_index() && log.written_index() <= log.last_index()) {
    return "";
  }
  return absl::StrCat("durable ", log.durable_index(), " written ", log.written_index(), " last ",
                      log.last_index());
}

std::string UncommittedInMemory(const Raft& raft) {
  const RaftLog& log = raft.log();
  const Index from = std::max(log.first_index(), std::min(log.commit_index(), log.durable_index()));
  if (log.tail_first_index() <= from) return "";
  return absl::StrCat("memory begins at ", log.tail_first_index(), ", needed from ", from);
}

std::string TailAccounted(const Raft& raft) {
  const RaftLog& log = raft.log();
  const size_t bytes = log.BytesOf(log.tail_first_index(), log.last_index());
  return bytes == log.tail_bytes() ? "" : absl::StrCat(log.tail_bytes(), " counted, is ", bytes);
}

std::string LeaderVotedForItself(const Raft& raft) {
  if (!raft.is_leader() || (raft.voted_for() == raft.id() && raft.core().IsVoteDurable())) {
    return "";
  }
  return absl::StrCat("vote ", raft.voted_for());
}

std::string LeaderIsVoter(const Raft& raft) {
  const bool campaigns_or_leads = raft.role() != Role::kFollower;
  return !campaigns_or_leads || IsVoter(raft.configuration(), raft.id()) ? "" : "no voter";
}

const Leader* LeaderOf(const Raft& raft) {
  return std::get_if<Leader>(&raft.role_state());
}

std::string NoopInLog(const Raft& raft) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  const std::optional<Term> term = raft.log().TermAt(leader->noop_index());
  const std::optional<Term> before = raft.log().TermAt(leader->noop_index() - 1);
  if (term == raft.term() && before != raft.term()) return "";
  return absl::StrCat("no-op at ", leader->noop_index());
}

std::string UncommittedAccounted(const Raft& raft) {
  if (!raft.is_leader()) return "";
  const size_t bytes = raft.log().BytesOf(raft.commit_index() + 1, raft.last_index());
  if (bytes == raft.uncommitted_bytes()) return "";
  return absl::StrCat(raft.uncommitted_bytes(), " counted, is ", bytes);
}

std::string MatchBelowNext(const Raft& raft) {
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

std::string InflightAccounted(const Raft& raft) {
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

std::string MatchWithinLog(const Raft& raft) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr) return "";
  for (const Progress& follower : leader->followers()) {
    if (follower.match_index() > raft.last_index()) {
      return absl::StrCat("node ", follower.id(), " match ", follower.match_index());
    }
  }
  return "";
}

std::string CommitHasQuorum(const Raft& raft) {
  const Leader* leader = LeaderOf(raft);
  if (leader == nullptr || !leader->HasCommittedInTerm(raft.core())) return "";
  const Index reached{ReachedByMajority(raft.configuration(), [&](NodeId id) -> uint64_t {
    if (id == raft.id()) return raft.durable_index().value();
    for (const Progress& follower : leader->followers()) {
      if (follower.id() == id) return follower.match_index().value();
    }
    return 0;
  })};
  if (raft.commit_index() <= reached) return "";
  return absl::StrCat("commit ", raft.commit_index(), ", a majority has ", reached);
}

struct Invariant {
  const char* name;
  std::string (*check)(const Raft&);
};

constexpr std::array kInvariants = {
    Invariant{"LogContiguous", LogContiguous},
    Invariant{"TermsNeverDecrease", TermsNeverDecrease},
    Invariant{"TimeNeverDecreases", TimeNeverDecreases},
    Invariant{"MarksOrdered", MarksOrdered},
    Invariant{"DurableOrdered", DurableOrdered},
    Invariant{"UncommittedInMemory", UncommittedInMemory},
    Invariant{"TailAccounted", TailAccounted},
    Invariant{"LeaderVotedForItself", LeaderVotedForItself},
    Invariant{"LeaderIsVoter", LeaderIsVoter},
    Invariant{"NoopInLog", NoopInLog},
    Invariant{"UncommittedAccounted", UncommittedAccounted},
    Invariant{"MatchBelowNext", MatchBelowNext},
    Invariant{"InflightAccounted", InflightAccounted},
    Invariant{"MatchWithinLog", MatchWithinLog},
    Invariant{"CommitHasQuorum", CommitHasQuorum},
};

}  // namespace

std::string FirstBrokenInvariant(const Raft& raft) {
  for (const Invariant& invariant : kInvariants) {
    const std::string wrong = invariant.check(raft);
    if (!wrong.empty()) return absl::StrCat(invariant.name, ": ", wrong);
  }
  return "";
}

void CheckInvariants(const Raft& raft) {
  const std::string broken = FirstBrokenInvariant(raft);
  LOCKD_CHECK(broken.empty(), "node ", raft.id(), ": ", broken);
}

}  // namespace lockd::raft
