#include "consensus/storage/log_index.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

constexpr uint64_t kMarkEveryBytes = 64 * 1024;

}  // namespace

LogIndex::LogIndex(const LogBase& base, const LogBase& last) : base_(base), last_(last) {
  if (last.index > base.index) terms_.push_back({.first = last.index, .term = last.term});
}

bool LogIndex::Holds(const LogBase& base) const {
  if (base.index <= base_.index) return true;
  if (base.index > last_.index) return false;
  // The last term start at or below the index.
  auto above = std::upper_bound(
      terms_.begin(), terms_.end(), base.index,
      [](raft::Index index, const TermStart& start) { return index < start.first; });
  return above != terms_.begin() && std::prev(above)->term == base.term;
}

void LogIndex::SetBase(const LogBase& base, bool forgets_all) {
  if (forgets_all) {
    marks_.clear();
    terms_.clear();
    base_ = last_ = base;
    return;
  }
  if (base.index <= base_.index) return;
  LOCKD_CHECK(base.index <= last_.index, "base ", base.index, " beyond last ", last_.index);
  base_ = base;
  DropThrough(base.index);
}

void LogIndex::Add(uint64_t life, uint64_t offset, const LogBase& entry) {
  LOCKD_CHECK(entry.index > base_.index, "entry ", entry.index, " at or below base ", base_.index);
  LOCKD_CHECK(entry.index <= last_.index + 1, "entry ", entry.index, " after ", last_.index);
  const bool cuts = entry.index <= last_.index;
  if (cuts) CutFrom(entry.index);
  if (terms_.empty() || terms_.back().term != entry.term) {
    terms_.push_back({.first = entry.index, .term = entry.term});
  }
  if (marks_.empty() || cuts || marks_.back().life != life ||
      offset >= marks_.back().offset + kMarkEveryBytes) {
    marks_.push_back({.life = life, .offset = offset, .first = entry.index});
  }
  last_ = entry;
}

bool LogIndex::IsComplete() const {
  return first_found() <= base_.index + 1;
}

raft::Index LogIndex::first_found() const {
  return marks_.empty() ? last_.index + 1 : marks_.front().first;
}

LogIndex::Found LogIndex::Find(raft::Index index) const {
  LOCKD_CHECK(index >= first_found() && index <= last_.index, "entry ", index, " of ",
              first_found(), "..", last_.index);
  auto above = std::upper_bound(marks_.begin(), marks_.end(), index,
                                [](raft::Index i, const Mark& mark) { return i < mark.first; });
  return {.mark = *std::prev(above),
          .last = above == marks_.end() ? last_.index : above->first - 1};
}

std::optional<uint64_t> LogIndex::oldest_life() const {
  if (marks_.empty()) return std::nullopt;
  return marks_.front().life;
}

void LogIndex::CutFrom(raft::Index index) {
  while (!marks_.empty() && marks_.back().first >= index) marks_.pop_back();
  while (!terms_.empty() && terms_.back().first >= index) terms_.pop_back();
}

void LogIndex::DropThrough(raft::Index index) {
  if (index == last_.index) {
    marks_.clear();
    terms_.clear();
    return;
  }
  // The front mark stays while it is the one to find index + 1 from.
  while (marks_.size() > 1 && marks_[1].first <= index + 1) marks_.pop_front();
  while (terms_.size() > 1 && terms_[1].first <= index + 1) terms_.pop_front();
}

}  // namespace lockd::storage
