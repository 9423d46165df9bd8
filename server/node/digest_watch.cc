#include "server/node/digest_watch.h"

#include <algorithm>
#include <utility>

#include "consensus/raft/quorum.h"

namespace lockd::node {

bool DigestWatch::IsPoint(const raft::LogBase& before, const raft::LogBase& entry) {
  return entry.index.value() % kEntriesBetween == 0 ||
         entry.time.value() / kClusterMsBetween != before.time.value() / kClusterMsBetween;
}

void DigestWatch::OnApplied(const raft::LogBase& before, const raft::LogBase& entry,
                            const state::Digest& digest) {
  if (!IsPoint(before, entry)) return;
  points_.push_back({entry.index, digest});
  if (points_.size() > kPointsKept) points_.pop_front();
  if (comparisons_.contains(entry.index)) due_.insert(entry.index);
}

void DigestWatch::OnStateReplaced() {
  points_.clear();
}

std::optional<state::Digest> DigestWatch::OwnAt(raft::Index index) const {
  const auto point = std::find_if(points_.begin(), points_.end(),
                                  [index](const auto& each) { return each.index == index; });
  if (point == points_.end()) return std::nullopt;
  return point->digest;
}

// ---- A follower

std::optional<DigestPoint> DigestWatch::NextReport(NodeId leader, raft::Term term) {
  if (points_.empty()) return std::nullopt;
  const DigestPoint& newest = points_.back();
  if (reported_.leader == leader && reported_.term == term && reported_.index == newest.index) {
    return std::nullopt;
  }
  reported_ = {leader, term, newest.index};
  return newest;
}

std::optional<state::Digest> DigestWatch::OnVerdict(const DigestPoint& majority) {
  const std::optional<state::Digest> own = OwnAt(majority.index);
  if (!own) return std::nullopt;
  if (*own != majority.digest) return own;
  agreed_index_ = std::max(agreed_index_, majority.index);
  return std::nullopt;
}

// ---- A leader

void DigestWatch::BeginOffice() {
  comparisons_.clear();
  due_.clear();
}

void DigestWatch::OnReport(NodeId from, const DigestPoint& point) {
  Comparison& comparison = comparisons_[point.index];
  comparison.reported[from] = point.digest;
  comparison.told.erase(from);  // it has been started anew since, and asks again
  due_.insert(point.index);
  if (comparisons_.size() <= kPointsKept) return;
  due_.erase(comparisons_.begin()->first);
  comparisons_.erase(comparisons_.begin());
}

DigestWatch::Findings DigestWatch::Compare(const raft::Configuration& configuration,
                                           LocalTime now) {
  Findings findings;
  std::erase_if(due_,
                [&](raft::Index index) { return !LookAt(index, configuration, now, &findings); });
  return findings;
}

DigestWatch::Tally DigestWatch::Count(const Values& values,
                                      const raft::Configuration& configuration) {
  Tally tally;
  for (const auto& [node, value] : values) {
    tally.differs |= value != values.begin()->second;
    const raft::VoteResult result =
        raft::TallyVotes(configuration, [&, wanted = value](NodeId voter) -> std::optional<bool> {
          const auto found = values.find(voter);
          if (found == values.end()) return std::nullopt;
          return found->second == wanted;
        });
    if (result == raft::VoteResult::kWon) tally.majority = value;
    tally.is_open |= result == raft::VoteResult::kPending;
  }
  if (tally.majority) tally.is_open = false;
  return tally;
}

bool DigestWatch::LookAt(raft::Index index, const raft::Configuration& configuration, LocalTime now,
                         Findings* findings) {
  Comparison& comparison = comparisons_.at(index);
  Values values = comparison.reported;
  if (const std::optional<state::Digest> own = OwnAt(index)) values[self_] = *own;
  std::erase_if(values,
                [&](const auto& each) { return !raft::IsMember(configuration, each.first); });
  const Tally tally = Count(values, configuration);
  if (tally.majority) {
    Tell(index, values, *tally.majority, comparison, findings);
    return false;
  }
  if (!tally.differs || comparison.has_alarmed) return false;
  if (!comparison.differs_since) comparison.differs_since = now;
  if (tally.is_open && now < *comparison.differs_since + kPatienceMs * kNanosPerMilli) return true;
  comparison.has_alarmed = true;
  ++alarms_;
  if (!warned_at_ || now >= *warned_at_ + kWarningMs * kNanosPerMilli) {
    warned_at_ = now;
    findings->alarm = {index, std::move(values)};
  }
  return false;
}

void DigestWatch::Tell(raft::Index index, const Values& values, const state::Digest& majority,
                       Comparison& comparison, Findings* findings) {
  for (const auto& [node, value] : values) {
    if (!comparison.told.insert(node).second) continue;
    const Verdict verdict{node, {index, majority}, value};
    if (node != self_) {
      findings->verdicts.push_back(verdict);
    } else if (OnVerdict(verdict.majority)) {
      findings->own = verdict;
    }
  }
}

}  // namespace lockd::node
