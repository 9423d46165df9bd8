// What happens to a SimNode's disk: errors, lack of space, damage at rest.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {

void SimNode::FailNext(Fault fault) {
  if (!is_up()) return;
  due_ = fault;
  if (fault == Fault::kWriteError) disk_.FailNextWrite();
  if (fault == Fault::kSyncError) disk_.FailNextSync();
  if (fault == Fault::kReadError) disk_.FailReadAt(1);
}

bool SimNode::IsExplained() {
  const std::optional<Fault> met = std::exchange(due_, std::nullopt);
  if (met.has_value()) faults_->Happened(*met);
  if (disk_is_full_) faults_->Happened(Fault::kDiskFull);
  return met.has_value() || disk_is_full_;
}

void SimNode::FillDisk() {
  disk_is_full_ = true;
  disk_.set_capacity_bytes(0);
}
void SimNode::FreeDisk() {
  disk_is_full_ = false;
  disk_.set_capacity_bytes(storage::MemFileSystem::kNever);
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

std::vector<std::string> SimNode::LogFiles() {
  std::vector<std::string> paths;
  absl::StatusOr<std::vector<std::string>> names = disk_.List(kWalDirectory);
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (absl::StartsWith(name, "wal-")) paths.push_back(absl::StrCat(kWalDirectory, "/", name));
  }
  return paths;
}

void SimNode::CopyAFile() {
  const std::vector<std::string> files = LogFiles();
  if (files.empty()) return;
  copied_path_ = files[random_.Below(files.size())];
  copied_contents_ = disk_.Contents(copied_path_);
}

bool SimNode::DamageDisk(Damage damage) {
  LOCKD_CHECK(!is_up(), "damage at rest only");
  const std::vector<std::string> files = LogFiles();
  if (files.empty()) return false;
  const std::string& path = files[random_.Below(files.size())];
  const uint64_t sectors = disk_.Contents(path).size() / storage::MemFileSystem::kSectorBytes;
  if (sectors == 0) return false;
  const uint64_t sector = random_.Below(sectors);
  const auto offset = static_cast<size_t>(sector * storage::MemFileSystem::kSectorBytes);
  switch (damage) {
    case Damage::kBitRot:
      disk_.FlipByte(path, offset + random_.Below(storage::MemFileSystem::kSectorBytes),
                     static_cast<uint8_t>(1u << random_.Below(8)));
      break;
    case Damage::kUnreadable:
      disk_.MakeUnreadable(path, sector);
      break;
    case Damage::kMisdirected: {
      const std::string& other = files[random_.Below(files.size())];
      std::string contents = disk_.Contents(other);
      const std::string moved =
          disk_.Contents(path).substr(offset, storage::MemFileSystem::kSectorBytes);
      const uint64_t there = random_.Below(contents.size() / storage::MemFileSystem::kSectorBytes);
      contents.replace(there * storage::MemFileSystem::kSectorBytes, moved.size(), moved);
      disk_.SetContents(other, std::move(contents));
      break;
    }
    case Damage::kStaleFile:
      // Not of the newest file: a disk that went back in time as a whole shows no trace of it.
      // (The last name may be that of a file prepared for the next segment.)
      if (files.size() < 3 || copied_path_.empty() || copied_path_ >= files[files.size() - 2] ||
          !disk_.Exists(copied_path_) || disk_.Contents(copied_path_) == copied_contents_) {
        return false;
      }
      disk_.SetContents(copied_path_, copied_contents_);
      break;
    case Damage::kWiped:
      for (const std::string& file : files) disk_.Remove(file);
      is_wiped_ = true;
      shadow_.Forget();
      break;
  }
  was_damaged_ = true;
  damages_ += damage == Damage::kStaleFile ? 2 : 1;
  return true;
}

}  // namespace lockd::sim
