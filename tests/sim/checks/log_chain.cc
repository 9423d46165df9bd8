#include "tests/sim/checks/log_chain.h"

#include "absl/strings/str_cat.h"
#include "protocol/base/crc32c.h"

namespace lockd::sim {
namespace {

// splitmix64's finisher: no bit of the input is lost.
uint64_t Mix(uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return bits ^ bits >> 31;
}

uint64_t HashOnto(uint64_t before, const raft::Entry& entry) {
  uint64_t hash = before;
  for (const uint64_t word :
       {entry.index.value(), entry.term.value(), static_cast<uint64_t>(entry.kind),
        static_cast<uint64_t>(entry.time.value()), uint64_t{entry.payload.size()},
        uint64_t{Crc32c(entry.payload)}}) {
    hash = Mix(hash + 0x9e3779b97f4a7c15 + word);
  }
  return hash;
}

}  // namespace

LogChain::LogChain(const raft::LogBase& base) {
  hashes_.emplace(std::make_pair(base.index, base.term), Mix(base.index.value()));
}

std::string LogChain::Holds(NodeId node, const raft::Entry& entry) {
  std::vector<Link>& log = logs_[node];
  const uint64_t index = entry.index.value();
  if (index == 0 || index > log.size() + 1) {
    return absl::StrCat("LogContiguous: node ", node, " holds ", index, " behind ", log.size());
  }
  const Link before = index == 1 ? Link{} : log[index - 2];
  if (entry.term < before.term) {
    return absl::StrCat("TermsNeverDecrease: node ", node, " holds term ", entry.term, " at ",
                        index, " after ", before.term);
  }
  if (entry.time < before.time) {
    return absl::StrCat("TimeNeverDecreases: node ", node, " holds time ", entry.time, " at ",
                        index, " after ", before.time);
  }
  uint64_t hash = HashOnto(before.hash, entry);
  // Back from before a snapshot took the place of this log: then what it held was seen.
  if (!before.is_known) hash = hashes_.try_emplace({entry.index, entry.term}, hash).first->second;
  if (index <= log.size() && log[index - 1].is_known && log[index - 1].term == entry.term) {
    if (log[index - 1].hash == hash) return "";
    return absl::StrCat("EntryUnchanged: node ", node, " holds another entry at ", index,
                        " of term ", entry.term, " than before");
  }
  log.resize(index - 1);
  log.push_back({entry.term, entry.time, hash});
  const uint64_t known = hashes_.try_emplace({entry.index, entry.term}, hash).first->second;
  if (known == hash) return "";
  return absl::StrCat("LogMatching: node ", node, " holds an entry at ", index, " of term ",
                      entry.term, " that, or whose predecessors, differ elsewhere");
}

std::string LogChain::Begins(NodeId node, const raft::LogBase& base) {
  std::vector<Link>& log = logs_[node];
  log.assign(base.index.value(), Link{.term = {}, .time = {}, .is_known = false});
  const auto held = hashes_.find({base.index, base.term});
  if (held == hashes_.end()) {
    return absl::StrCat("BaseWasHeld: node ", node, " begins its log after entry ", base.index,
                        " of term ", base.term, ", which no log ever held");
  }
  log.back() = {base.term, base.time, held->second};
  return "";
}

void LogChain::Ends(NodeId node, raft::Index last) {
  std::vector<Link>& log = logs_[node];
  if (last.value() < log.size()) log.resize(last.value());
}

raft::Index LogChain::last_index(NodeId node) const {
  const auto found = logs_.find(node);
  return found == logs_.end() ? raft::Index{0} : raft::Index(found->second.size());
}

raft::Term LogChain::TermAt(NodeId node, raft::Index index) const {
  const auto found = logs_.find(node);
  if (found == logs_.end() || index.is_zero() || index.value() > found->second.size()) {
    return raft::Term{0};
  }
  return found->second[index.value() - 1].term;
}

}  // namespace lockd::sim
