// DiskShadow: what a node's disk must show at its next start, whatever happened to the process.
//
// Kept beside the disk, outside of it: every write that was acknowledged is noted here, and every
// snapshot that was finished. A start that shows anything else has lost or made up something. The
// exceptions: the write that was under way when the power went is there, or not there, as a whole;
// and a snapshot whose entry the log does not hold takes the place of the log (start_decision.h).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_DISK_SHADOW_H_
#define LOCKD_TESTS_SIM_DISK_SHADOW_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"

namespace lockd::sim {

class DiskShadow {
 public:
  // `base`: where the log on the disk begins.
  explicit DiskShadow(const storage::LogBase& base = {}) : first_base_(base) {
    image_.hard_state.term = base.term;
    image_.hard_state.commit = base.index;
    image_.base = base;
  }

  // The disk of a machine that was restored: the log begins after this snapshot, which it needs.
  [[nodiscard]] static DiskShadow OfRestored(const raft::SnapshotId& snapshot) {
    DiskShadow shadow(snapshot.base);
    shadow.first_base_ = {};
    shadow.begun_ = shadow.kept_ = {snapshot};
    return shadow;
  }

  void OnWriteStarted(const storage::LogWrite& write) { under_way_ = write; }
  // It was acknowledged.
  void OnWriteDone(const storage::LogWrite& write) {
    before_last_ = Before{image_.hard_state, image_.entries.size(), {}, {}};
    if (write.base.has_value()) {
      before_last_->whole = image_;
    } else if (!write.entries.empty()) {
      const size_t keep = PlaceOf(write.entries.front().index);
      if (keep < image_.entries.size()) {
        before_last_->cut.assign(image_.entries.begin() + static_cast<std::ptrdiff_t>(keep),
                                 image_.entries.end());
      }
    }
    Apply(write);
    under_way_.reset();
  }

  // Its file may be there from now on.
  void OnSnapshotFinishes(const raft::SnapshotId& snapshot) { begun_.push_back(snapshot); }
  // These were read back just now, ascending.
  void OnSnapshotsKept(std::vector<raft::SnapshotId> kept) { kept_ = std::move(kept); }
  // Judges which snapshots a start found whole; from then on these are what is there. Returns
  // "Name: details" of what is broken, or nothing.
  [[nodiscard]] std::string OnSnapshotsFound(const std::vector<raft::SnapshotId>& found,
                                             bool may_be_damaged) {
    for (const raft::SnapshotId& kept : kept_) {
      if (may_be_damaged || std::find(found.begin(), found.end(), kept) != found.end()) continue;
      // Two that were finished since may have taken its place.
      if (std::count_if(found.begin(), found.end(), [&](const raft::SnapshotId& snapshot) {
            return snapshot.base.index > kept.base.index;
          }) < 2) {
        return absl::StrCat("SnapshotsSurvive: the snapshot of ", kept.base.index, " is gone");
      }
    }
    for (const raft::SnapshotId& snapshot : found) {
      if (std::find(begun_.begin(), begun_.end(), snapshot) == begun_.end()) {
        return absl::StrCat("SnapshotsWereFinished: nobody made the snapshot of ",
                            snapshot.base.index);
      }
    }
    kept_ = found;
    return "";
  }
  // Whichever snapshot file is damaged now, there is another one to start from.
  [[nodiscard]] bool CanSpareASnapshot() const {
    storage::LogBase base = image_.base;
    if (under_way_.has_value() && under_way_->base.has_value() &&
        under_way_->base->index > base.index) {
      base = *under_way_->base;
    }
    // One that takes the place of the log is alone.
    for (const raft::SnapshotId& snapshot : begun_) {
      if (snapshot.base.index > base.index && !HoldsEntryOf(snapshot.base)) return false;
    }
    return base.index <= first_base_.index ||
           std::count_if(kept_.begin(), kept_.end(), [&](const raft::SnapshotId& kept) {
             return kept.base.index >= base.index;
           }) >= 2;
  }

  // Judges a start that refused the disk, after damage in so many places of log and snapshots that
  // no start had met before. Returns "Name: details" of what is broken, or nothing.
  [[nodiscard]] std::string OnRefused(bool was_ever_damaged, int log_damages,
                                      int snapshot_damages) const {
    if (!was_ever_damaged) return "SoundDiskAccepted: a disk is refused that nobody has damaged";
    if (log_damages > 0 || snapshot_damages > 1 || !CanSpareASnapshot()) return "";
    return "OlderSnapshotUsed: a disk is refused with damage to one of two snapshots";
  }

  enum class Verdict : uint8_t {
    kExact,
    kLostLastWrite,  // all but the last acknowledged write: what damage to the last batch looks
                     // like
    kWrong,
  };
  // Judges what a start recovered; from then on that is what the disk must show.
  Verdict OnRecovered(const raft::RecoveredLog& log, std::string* difference) {
    if (Fits(log, difference)) return Took(Verdict::kExact);
    std::string ignored;
    if (under_way_.has_value()) {
      const Current acknowledged = image_;
      Apply(*under_way_);
      if (Fits(log, &ignored)) return Took(Verdict::kExact);
      image_ = acknowledged;
    }
    if (before_last_.has_value()) {
      TakeBackLast();
      if (Fits(log, &ignored)) return Took(Verdict::kLostLastWrite);
    }
    return Verdict::kWrong;
  }
  void Forget() { *this = DiskShadow(first_base_); }  // the disk was replaced

  [[nodiscard]] const raft::HardState& hard_state() const { return image_.hard_state; }
  [[nodiscard]] raft::Index last_index() const { return image_.base.index + image_.entries.size(); }
  // In the log or in a snapshot.
  [[nodiscard]] raft::Index durable_index() const {
    return kept_.empty() ? last_index() : std::max(last_index(), kept_.back().base.index);
  }
  // Whether the disk has this very entry.
  [[nodiscard]] bool Has(const raft::Entry& entry) const {
    return entry.index > image_.base.index && entry.index <= last_index() &&
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
  struct Current {
    raft::HardState hard_state;
    storage::LogBase base;
    std::vector<Print> entries;  // entry i stands at index base + i + 1
  };
  // The last write, to be taken back.
  struct Before {
    raft::HardState hard_state;
    size_t size = 0;
    std::vector<Print> cut;        // the conflicting suffix that it replaced
    std::optional<Current> whole;  // instead, when it moved the base
  };

  [[nodiscard]] size_t PlaceOf(raft::Index index) const { return index - image_.base.index - 1; }
  [[nodiscard]] bool HoldsEntryOf(const storage::LogBase& base) const {
    if (base.index <= image_.base.index) return base == image_.base;
    return base.index <= last_index() && image_.entries[PlaceOf(base.index)].term == base.term;
  }
  void Apply(const storage::LogWrite& write) {
    if (write.base.has_value()) ApplyBase(*write.base);
    if (write.hard_state.has_value()) image_.hard_state = *write.hard_state;
    if (write.entries.empty()) return;
    image_.entries.resize(std::min(image_.entries.size(), PlaceOf(write.entries.front().index)));
    for (const raft::Entry& entry : write.entries) image_.entries.push_back(Print::Of(entry));
  }
  void ApplyBase(const storage::LogBase& base) {
    if (base.index <= image_.base.index) return;
    const auto forgotten =
        HoldsEntryOf(base)
            ? image_.entries.begin() + static_cast<std::ptrdiff_t>(PlaceOf(base.index)) + 1
            : image_.entries.end();
    image_.entries.erase(image_.entries.begin(), forgotten);
    image_.base = base;
  }
  void TakeBackLast() {
    if (before_last_->whole.has_value()) {
      image_ = *before_last_->whole;
      return;
    }
    image_.entries.resize(
        std::min(image_.entries.size(), before_last_->size - before_last_->cut.size()));
    image_.entries.insert(image_.entries.end(), before_last_->cut.begin(), before_last_->cut.end());
    image_.hard_state = before_last_->hard_state;
  }
  Verdict Took(Verdict verdict) {
    before_last_.reset();
    under_way_.reset();
    return verdict;
  }
  [[nodiscard]] bool Fits(const raft::RecoveredLog& log, std::string* difference) {
    return Matches(log, difference) || IsReplacedBySnapshot(log);
  }
  // If so, the image is that of the new log.
  [[nodiscard]] bool IsReplacedBySnapshot(const raft::RecoveredLog& log) {
    const storage::LogBase base{log.base_index, log.base_term, log.base_time};
    raft::HardState hard_state = image_.hard_state;
    if (base.term > hard_state.term) {
      hard_state.term = base.term;
      hard_state.voted_for = {};
    }
    hard_state.commit = base.index;
    const bool is_made = std::any_of(begun_.begin(), begun_.end(),
                                     [&](const auto& each) { return each.base == base; });
    if (!is_made || base.index <= image_.base.index || !log.tail.empty() ||
        log.last_index != base.index || log.hard_state != hard_state ||
        base.index <= image_.hard_state.commit || HoldsEntryOf(base)) {
      return false;
    }
    image_ = {hard_state, base, {}};
    return true;
  }
  [[nodiscard]] bool Matches(const raft::RecoveredLog& log, std::string* difference) const {
    const storage::LogBase base{log.base_index, log.base_term, log.base_time};
    if (base != image_.base) {
      *difference = absl::StrCat("base ", base.index, " of term ", base.term, ", not ",
                                 image_.base.index, " of term ", image_.base.term);
      return false;
    }
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

  storage::LogBase first_base_;
  Current image_;
  std::optional<Before> before_last_;
  std::optional<storage::LogWrite> under_way_;
  std::vector<raft::SnapshotId> begun_;  // ever
  std::vector<raft::SnapshotId> kept_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_DISK_SHADOW_H_
