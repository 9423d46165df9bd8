// DiskShadow: what a node's disk must show at its next start, whatever happened to the process.
//
// Kept beside the disk, outside of it: every write that was acknowledged is noted here. A start
// that shows anything else has lost or made up something. The one exception is the write that was
// under way when the power went: there, or not there, as a whole.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_DISK_SHADOW_H_
#define LOCKD_TESTS_SIM_DISK_SHADOW_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"

namespace lockd::sim {

class DiskShadow {
 public:
  // `base`: where the log on the disk begins.
  explicit DiskShadow(const storage::LogBase& base = {}) : base_(base) {
    image_.hard_state.term = base.term;
    image_.hard_state.commit = base.index;
  }

  void OnWriteStarted(const storage::LogWrite& write) { under_way_ = write; }
  // It was acknowledged.
  void OnWriteDone(const storage::LogWrite& write) {
    before_last_ = Image{image_.hard_state, image_.entries.size(), {}};
    if (!write.entries.empty()) {
      const size_t keep = PlaceOf(write.entries.front().index);
      if (keep < image_.entries.size()) {
        before_last_->cut.assign(image_.entries.begin() + static_cast<std::ptrdiff_t>(keep),
                                 image_.entries.end());
      }
    }
    Apply(write);
    under_way_.reset();
  }

  enum class Verdict : uint8_t {
    kExact,
    kLostLastWrite,  // all but the last acknowledged write: what damage to the last batch looks
                     // like
    kWrong,
  };
  // Judges what a start recovered; from then on that is what the disk must show.
  Verdict OnRecovered(const raft::RecoveredLog& log, std::string* difference) {
    if (Matches(log, difference)) return Took(Verdict::kExact);
    if (under_way_.has_value()) {
      const DiskShadow acknowledged = *this;
      Apply(*under_way_);
      std::string ignored;
      if (Matches(log, &ignored)) return Took(Verdict::kExact);
      *this = acknowledged;
    }
    if (before_last_.has_value()) {
      const size_t keep = before_last_->size - before_last_->cut.size();
      image_.entries.resize(std::min(image_.entries.size(), keep));
      image_.entries.insert(image_.entries.end(), before_last_->cut.begin(),
                            before_last_->cut.end());
      image_.hard_state = before_last_->hard_state;
      std::string ignored;
      if (Matches(log, &ignored)) return Took(Verdict::kLostLastWrite);
    }
    return Verdict::kWrong;
  }
  void Forget() { *this = DiskShadow(base_); }  // the disk was replaced

  [[nodiscard]] const raft::HardState& hard_state() const { return image_.hard_state; }
  [[nodiscard]] raft::Index last_index() const { return base_.index + image_.entries.size(); }
  // Whether the disk has this very entry.
  [[nodiscard]] bool Has(const raft::Entry& entry) const {
    return entry.index > base_.index && entry.index <= last_index() &&
           image_.entries[PlaceOf(entry.index)] == Print::Of(entry);
  }

 private:
  // An entry's term and a fingerprint of the rest.
  struct Print {
    raft::Term term;
    uint64_t hash = 0;
    static Print Of(const raft::Entry& entry) {
      return {entry.term, absl::HashOf(entry.kind, entry.time.value(), entry.payload)};
    }
    friend bool operator==(const Print&, const Print&) = default;
  };
  struct Image {
    raft::HardState hard_state;
    size_t size = 0;
    std::vector<Print> cut;  // the conflicting suffix that the last write replaced
  };
  struct Current {
    raft::HardState hard_state;
    std::vector<Print> entries;  // entry i stands at index base + i + 1
  };

  [[nodiscard]] size_t PlaceOf(raft::Index index) const { return index - base_.index - 1; }
  void Apply(const storage::LogWrite& write) {
    if (write.hard_state.has_value()) image_.hard_state = *write.hard_state;
    if (write.entries.empty()) return;
    image_.entries.resize(std::min(image_.entries.size(), PlaceOf(write.entries.front().index)));
    for (const raft::Entry& entry : write.entries) image_.entries.push_back(Print::Of(entry));
  }
  Verdict Took(Verdict verdict) {
    before_last_.reset();
    under_way_.reset();
    return verdict;
  }
  [[nodiscard]] bool Matches(const raft::RecoveredLog& log, std::string* difference) const {
    if (log.hard_state != image_.hard_state) {
      *difference =
          absl::StrCat("term ", log.hard_state.term, " vote ", log.hard_state.voted_for, " commit ",
                       log.hard_state.commit, ", not term ", image_.hard_state.term, " vote ",
                       image_.hard_state.voted_for, " commit ", image_.hard_state.commit);
      return false;
    }
    if (log.last_index != last_index()) {
      *difference = absl::StrCat("last index ", log.last_index, ", not ", last_index());
      return false;
    }
    for (const raft::Entry& entry : log.tail) {
      if (!Has(entry)) {
        *difference = absl::StrCat("another entry at index ", entry.index);
        return false;
      }
    }
    return true;
  }

  storage::LogBase base_;
  Current image_;
  std::optional<Image> before_last_;
  std::optional<storage::LogWrite> under_way_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_DISK_SHADOW_H_
