// What happens to a SimNode's disk: snapshots, errors, lack of space, damage at rest.
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/restored_log.h"
#include "server/snapshot_file.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {

// ---- Snapshots

void SimNode::StartSnapshotSlice() {
  if (snapshot_jobs_.empty()) return;
  scheduler_->After(DiskLatency(), [this, life = life_] {
    if (life == life_) RunSnapshotSlice();
  });
}

void SimNode::RunSnapshotSlice() {
  if (crashes_in_snapshot_job_) {
    CrashInSnapshotJob();
    return;
  }
  const storage::SnapshotJob& job = snapshot_jobs_.front();
  if (!std::exchange(snapshot_job_has_begun_, true)) {
    if (const auto* finish = std::get_if<storage::SnapshotFinish>(&job)) {
      shadow_.OnSnapshotFinishes(finish->snapshot);
    }
  }
  if (std::optional<storage::SnapshotJobDone> done = snapshots_->RunSlice(job)) {
    const storage::SnapshotJob finished = std::move(snapshot_jobs_.front());
    snapshot_jobs_.pop_front();
    snapshot_job_has_begun_ = false;
    OnSnapshotJobDone(finished, *std::move(done));
  }
  StartSnapshotSlice();
}

void SimNode::OnSnapshotJobDone(const storage::SnapshotJob& job, storage::SnapshotJobDone done) {
  if (!done.status.ok()) {
    const std::string why(done.status.message());
    LOCKD_CHECK(IsExplained(job, done.status), "a snapshot job failed: ", why);
    snapshot_read_failed_ |= std::holds_alternative<storage::SnapshotRead>(job);
    Trace(absl::StrCat("a snapshot job failed: ", why));
  }
  if (std::holds_alternative<storage::SnapshotFinish>(job)) {
    shadow_.OnSnapshotsKept(done.kept);
    if (!is_wiped_) options_.on_snapshots_kept(options_.node_id, done.kept);
  }
  InProcess([this, done = std::move(done)] {
    node_->OnSnapshotJobDone(done);
    ScheduleTurn();
  });
}

bool SimNode::IsExplained(const storage::SnapshotJob& job, const absl::Status& status) {
  // Newer ones took its place; one of the very entry is there already.
  if (absl::IsNotFound(status) || absl::IsAlreadyExists(status)) return true;
  uint64_t draft = 0;
  if (const auto* write = std::get_if<storage::SnapshotWrite>(&job)) draft = write->draft;
  if (const auto* finish = std::get_if<storage::SnapshotFinish>(&job)) draft = finish->draft;
  // Of a draft that failed, all that follows does.
  if (draft != 0 && !failed_drafts_.insert(draft).second) return true;
  return IsExplained(std::string(status.message()));
}

void SimNode::CrashInNextSnapshotJob() {
  if (is_up()) crashes_in_snapshot_job_ = true;
}

// The power goes at one of the next steps on the disk, and these are done to the snapshot.
void SimNode::CrashInSnapshotJob() {
  Trace("crashes in work on a snapshot");
  faults_->Happened(Fault::kCrashInWrite);
  const storage::SnapshotJob& job = snapshot_jobs_.front();
  if (const auto* finish = std::get_if<storage::SnapshotFinish>(&job)) {
    shadow_.OnSnapshotFinishes(finish->snapshot);
  }
  disk_->CutPowerAt(random_.Between(1, 6));
  while (disk_->power_is_on() && !snapshots_->RunSlice(job).has_value()) {
  }
  EndProcess(DrawUnsynced());
  options_.on_exit(*this);
}

// ---- Errors, and lack of space

void SimNode::FailNext(Fault fault) {
  if (!is_up()) return;
  due_.insert(fault);
  if (fault == Fault::kWriteError) disk_->FailNextWrite();
  if (fault == Fault::kSyncError) disk_->FailNextSync();
  if (fault == Fault::kReadError) disk_->FailReadAt(1);
}

bool SimNode::IsExplained(const std::string& why) {
  constexpr std::pair<Fault, absl::string_view> kCalls[] = {
      {Fault::kWriteError, "write "}, {Fault::kSyncError, "sync "}, {Fault::kReadError, "read "}};
  if (disk_is_full_) faults_->Happened(Fault::kDiskFull);
  for (const auto& [fault, call] : kCalls) {
    if (!absl::StrContains(why, call) || due_.erase(fault) == 0) continue;
    faults_->Happened(fault);
    return true;
  }
  return disk_is_full_;
}

void SimNode::FillDisk() {
  disk_is_full_ = true;
  disk_->set_capacity_bytes(0);
}
void SimNode::FreeDisk() {
  disk_is_full_ = false;
  disk_->set_capacity_bytes(storage::MemFileSystem::kNever);
}

void SimNode::set_disk_is_low(bool low) {
  disk_is_low_ = low;
  InProcess([this] { MeasureDisk(); });
}

// Only what else fills the disk is looked at: a file system that is full shows it by its errors.
void SimNode::MeasureDisk() {
  node_->OnFreeBytes(disk_is_low_ ? kDiskReserveBytes - 1 : 2 * kDiskReserveBytes);
  ScheduleTurn();
}

// ---- Damage at rest

std::vector<std::string> SimNode::Files(const char* directory, const char* prefix) {
  std::vector<std::string> paths;
  absl::StatusOr<std::vector<std::string>> names = disk_->List(directory);
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (absl::StartsWith(name, prefix)) paths.push_back(absl::StrCat(directory, "/", name));
  }
  return paths;
}

void SimNode::CopyAFile() {
  const std::vector<std::string> files = Files(kWalDirectory, "wal-");
  if (files.empty()) return;
  copied_path_ = files[random_.Below(files.size())];
  copied_contents_ = disk_->Contents(copied_path_);
}

bool SimNode::DamageDisk(Damage damage) {
  LOCKD_CHECK(!is_up(), "damage at rest only");
  std::vector<std::string> files = Files(kWalDirectory, "wal-");
  const std::vector<std::string> snapshots = Files(kSnapshotDirectory, "snap-");
  if (files.empty()) return false;
  const bool is_anywhere =
      damage == Damage::kBitRot || damage == Damage::kUnreadable || damage == Damage::kMisdirected;
  const bool is_of_snapshot = is_anywhere && !snapshots.empty() && random_.Chance(1, 2);
  if (is_of_snapshot) files = snapshots;
  const std::string& path = files[random_.Below(files.size())];
  const uint64_t sectors = disk_->Contents(path).size() / storage::MemFileSystem::kSectorBytes;
  if (sectors == 0) return false;
  const uint64_t sector = random_.Below(sectors);
  const auto offset = static_cast<size_t>(sector * storage::MemFileSystem::kSectorBytes);
  switch (damage) {
    case Damage::kBitRot:
      disk_->FlipByte(path, offset + random_.Below(storage::MemFileSystem::kSectorBytes),
                      static_cast<uint8_t>(1u << random_.Below(8)));
      break;
    case Damage::kUnreadable:
      disk_->MakeUnreadable(path, sector);
      break;
    case Damage::kMisdirected: {
      const std::string& other = files[random_.Below(files.size())];
      std::string contents = disk_->Contents(other);
      const std::string moved =
          disk_->Contents(path).substr(offset, storage::MemFileSystem::kSectorBytes);
      const uint64_t there = random_.Below(contents.size() / storage::MemFileSystem::kSectorBytes);
      contents.replace(there * storage::MemFileSystem::kSectorBytes, moved.size(), moved);
      disk_->SetContents(other, std::move(contents));
      break;
    }
    case Damage::kStaleFile:
      // Not of the newest file: a disk that went back in time as a whole shows no trace of it.
      // (The last name may be that of a file prepared for the next segment.)
      if (files.size() < 3 || copied_path_.empty() || copied_path_ >= files[files.size() - 2] ||
          !disk_->Exists(copied_path_) || disk_->Contents(copied_path_) == copied_contents_) {
        return false;
      }
      disk_->SetContents(copied_path_, copied_contents_);
      break;
    case Damage::kWiped:
      for (const std::string& file : files) disk_->Remove(file);
      for (const std::string& file : snapshots) disk_->Remove(file);
      is_wiped_ = true;
      is_restored_ = false;
      shadow_.Forget();
      break;
  }
  was_damaged_ = true;
  (is_of_snapshot ? snapshot_damages_ : damages_) += damage == Damage::kStaleFile ? 2 : 1;
  return true;
}

// ---- Another machine

void SimNode::Retire() {
  if (is_up()) EndProcess(storage::MemFileSystem::Unsynced::kKept);
  is_retired_ = true;
}

SimNode::Restored SimNode::Restore(const std::string& backup, int64_t wall_error_ms) {
  LOCKD_CHECK(is_retired_, "a machine is replaced that is in use");
  disk_ = std::make_unique<storage::MemFileSystem>();
  disk_is_slow_ = disk_is_full_ = disk_is_low_ = false;
  disk_stall_ = 0;
  damages_ = snapshot_damages_ = 0;
  was_damaged_ = is_wiped_ = is_lost_ = is_retired_ = is_slow_ = false;
  copied_path_.clear();
  wall_offset_ms_ = options_.wall_start_ms + wall_error_ms;

  disk_->SetContents(kBackupFile, backup);
  const absl::StatusOr<LoadedSnapshot> loaded = LoadSnapshotFile(disk_.get(), kBackupFile);
  LOCKD_CHECK(loaded.ok(), "a backup that was verified is refused: ", loaded.status().message());
  loaded->database->PrepareRefounding();
  const absl::StatusOr<raft::SnapshotId> made =
      MakeRestoredLog(disk_.get(), MakeStorageOptions(), loaded->id.base, *loaded->database);
  LOCKD_CHECK(made.ok(), "a backup is not restored: ", made.status().message());
  is_restored_ = true;
  shadow_ = DiskShadow::OfRestored(*made);
  Trace(absl::StrCat("is restored from the backup of entry ", made->base.index));
  return {made->base, loaded->database->digest()};
}

}  // namespace lockd::sim
