#include "tests/support/mem_file_system.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "tests/support/mem_inode.h"

namespace lockd::storage {

class MemFile : public File {
 public:
  MemFile(MemFileSystem* file_system, std::shared_ptr<MemFileSystem::Inode> inode, std::string path,
          bool writable)
      : file_system_(file_system),
        inode_(std::move(inode)),
        path_(std::move(path)),
        writable_(writable),
        generation_(file_system->generation_) {}

  absl::Status Write(uint64_t offset, absl::string_view bytes) override {
    if (absl::Status s = Alive("write"); !s.ok()) return s;
    if (!writable_) return absl::PermissionDeniedError(absl::StrCat("write ", path_));
    absl::Status step = file_system_->Step("write", path_);
    if (!step.ok()) {
      // The kernel may have taken a part before it failed.
      if (file_system_->power_) inode_->Write(offset, bytes.substr(0, bytes.size() / 2));
      return step;
    }
    const uint64_t end = offset + bytes.size();
    const uint64_t grows = end > inode_->size() ? end - inode_->size() : 0;
    if (grows > 0 && file_system_->capacity_bytes_ != MemFileSystem::kNever &&
        file_system_->TotalBytes() + grows > file_system_->capacity_bytes_) {
      return absl::ResourceExhaustedError(absl::StrCat("write ", path_, ": no space left"));
    }
    inode_->Write(offset, bytes);
    ++file_system_->counters_.writes;
    file_system_->counters_.bytes_written += bytes.size();
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, size_t count, char* to) override {
    if (absl::Status s = Alive("read"); !s.ok()) return s;
    if (absl::Status s = file_system_->CountRead(path_); !s.ok()) return s;
    if (offset >= inode_->size()) return size_t{0};
    const auto bad = inode_->unreadable.lower_bound(offset / MemFileSystem::kSectorBytes);
    if (bad != inode_->unreadable.end() && *bad * MemFileSystem::kSectorBytes < offset + count) {
      return absl::UnknownError(absl::StrCat("read ", path_, ": input/output error at ",
                                             *bad * MemFileSystem::kSectorBytes));
    }
    count = std::min<uint64_t>(count, inode_->size() - offset);
    const size_t spelled =
        offset < inode_->cached.size() ? inode_->cached.copy(to, count, offset) : 0;
    std::fill(to + spelled, to + count, '\0');
    file_system_->counters_.bytes_read += count;
    return count;
  }

  absl::Status Sync() override {
    if (absl::Status s = Alive("sync"); !s.ok()) return s;
    absl::Status step = file_system_->Step("sync", path_);
    if (!step.ok()) {
      if (file_system_->power_) inode_->FailSync();
      return step;
    }
    inode_->Sync();
    ++file_system_->counters_.syncs;
    return absl::OkStatus();
  }

  void DropCache() override {
    if (Alive("drop cache").ok()) inode_->DropCache();
  }

  absl::StatusOr<uint64_t> Size() override {
    if (absl::Status s = Alive("size"); !s.ok()) return s;
    return inode_->size();
  }

 private:
  absl::Status Alive(const char* call) const {
    if (generation_ != file_system_->generation_) {
      return absl::UnavailableError(absl::StrCat(call, " ", path_, ": opened before a crash"));
    }
    return file_system_->CheckPower(call, path_);
  }

  MemFileSystem* const file_system_;
  const std::shared_ptr<MemFileSystem::Inode> inode_;
  const std::string path_;
  const bool writable_;
  const uint64_t generation_;
};

class MemFileLock : public FileLock {
 public:
  MemFileLock(MemFileSystem* file_system, std::string path)
      : file_system_(file_system), path_(std::move(path)), generation_(file_system->generation_) {}
  ~MemFileLock() override {
    if (generation_ == file_system_->generation_) file_system_->locks_.erase(path_);
  }

 private:
  MemFileSystem* const file_system_;
  const std::string path_;
  const uint64_t generation_;
};

MemFileSystem::MemFileSystem() {
  auto root = std::make_shared<Inode>();
  root->is_directory = true;
  names_["/"] = durable_names_["/"] = root;
}

MemFileSystem::~MemFileSystem() = default;

// -- FileSystem --

absl::StatusOr<std::unique_ptr<File>> MemFileSystem::Open(const std::string& path, OpenMode mode) {
  if (absl::Status s = CheckPower("open", path); !s.ok()) return s;
  auto found = names_.find(path);
  if (mode == OpenMode::kCreate) {
    if (found != names_.end()) return absl::AlreadyExistsError(absl::StrCat("open ", path));
    if (names_.count(ParentPath(path)) == 0) {
      return absl::NotFoundError(absl::StrCat("open ", path));
    }
    if (absl::Status s = Step("create", path); !s.ok()) return s;
    auto inode = std::make_shared<Inode>();
    ChangeNames({.directory = ParentPath(path), .from = "", .to = path, .inode = inode});
    return std::make_unique<MemFile>(this, inode, path, /*writable=*/true);
  }
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("open ", path));
  if (found->second->is_directory) {
    return absl::FailedPreconditionError(absl::StrCat("open ", path, ": is a directory"));
  }
  return std::make_unique<MemFile>(this, found->second, path, mode == OpenMode::kReadWrite);
}

absl::StatusOr<std::vector<std::string>> MemFileSystem::List(const std::string& directory) {
  if (absl::Status s = CheckPower("list", directory); !s.ok()) return s;
  auto found = names_.find(directory);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("list ", directory));
  if (!found->second->is_directory) {
    return absl::FailedPreconditionError(absl::StrCat("list ", directory, ": not a directory"));
  }
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (path != "/" && ParentPath(path) == directory) {
      names.push_back(path.substr(path.rfind('/') + 1));
    }
  }
  return names;
}

absl::StatusOr<bool> MemFileSystem::IsDirectory(const std::string& path) {
  if (absl::Status s = CheckPower("stat", path); !s.ok()) return s;
  auto found = names_.find(path);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("stat ", path));
  return found->second->is_directory;
}

absl::StatusOr<uint64_t> MemFileSystem::FreeBytes(const std::string& path) {
  if (absl::Status s = CheckPower("statvfs", path); !s.ok()) return s;
  if (names_.count(path) == 0) return absl::NotFoundError(absl::StrCat("statvfs ", path));
  if (capacity_bytes_ == kNever) return kNever;
  return capacity_bytes_ - std::min(capacity_bytes_, TotalBytes());
}

absl::Status MemFileSystem::CreateDirectory(const std::string& path) {
  if (absl::Status s = CheckPower("mkdir", path); !s.ok()) return s;
  if (names_.count(path) != 0) return absl::AlreadyExistsError(absl::StrCat("mkdir ", path));
  if (names_.count(ParentPath(path)) == 0) {
    return absl::NotFoundError(absl::StrCat("mkdir ", path));
  }
  if (absl::Status s = Step("mkdir", path); !s.ok()) return s;
  auto inode = std::make_shared<Inode>();
  inode->is_directory = true;
  ChangeNames({.directory = ParentPath(path), .from = "", .to = path, .inode = inode});
  return absl::OkStatus();
}

absl::Status MemFileSystem::Rename(const std::string& from, const std::string& to) {
  LOCKD_CHECK(ParentPath(from) == ParentPath(to), "rename across directories: ", from, " ", to);
  if (absl::Status s = CheckPower("rename", from); !s.ok()) return s;
  if (names_.count(from) == 0) return absl::NotFoundError(absl::StrCat("rename ", from));
  if (absl::Status s = Step("rename", from); !s.ok()) return s;
  ChangeNames({.directory = ParentPath(from), .from = from, .to = to, .inode = names_.at(from)});
  return absl::OkStatus();
}

absl::Status MemFileSystem::Unlink(const std::string& path) {
  if (absl::Status s = CheckPower("unlink", path); !s.ok()) return s;
  if (names_.count(path) == 0) return absl::NotFoundError(absl::StrCat("unlink ", path));
  if (absl::Status s = Step("unlink", path); !s.ok()) return s;
  ChangeNames({.directory = ParentPath(path), .from = path, .to = "", .inode = names_.at(path)});
  return absl::OkStatus();
}

absl::Status MemFileSystem::SyncDirectory(const std::string& directory) {
  if (absl::Status s = CheckPower("sync directory", directory); !s.ok()) return s;
  if (names_.count(directory) == 0) {
    return absl::NotFoundError(absl::StrCat("sync directory ", directory));
  }
  if (absl::Status s = Step("sync directory", directory); !s.ok()) return s;
  ++counters_.directory_syncs;
  std::vector<NameChange> rest;
  for (NameChange& change : pending_) {
    if (change.directory == directory) {
      Apply(change, &durable_names_);
    } else {
      rest.push_back(std::move(change));
    }
  }
  pending_ = std::move(rest);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> MemFileSystem::LockFile(const std::string& path,
                                                                  absl::string_view note) {
  if (absl::Status s = CheckPower("lock", path); !s.ok()) return s;
  if (auto held = locks_.find(path); held != locks_.end()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is locked by ", held->second));
  }
  if (names_.count(path) == 0) {
    absl::StatusOr<std::unique_ptr<File>> made = Open(path, OpenMode::kCreate);
    if (!made.ok()) return made.status();
  }
  locks_[path] = std::string(note);
  return std::make_unique<MemFileLock>(this, path);
}

// -- crashes --

std::unique_ptr<MemFileSystem> MemFileSystem::CrashClone(Unsynced unsynced, Random* random) const {
  auto clone = std::make_unique<MemFileSystem>();
  std::map<const Inode*, std::shared_ptr<Inode>> copies;
  const auto copy_of = [&](const std::shared_ptr<Inode>& inode) {
    if (inode == nullptr) return inode;
    std::shared_ptr<Inode>& copy = copies[inode.get()];
    if (copy == nullptr) {
      copy = std::make_shared<Inode>(*inode);
      if (unsynced != Unsynced::kKept) copy->LosePower(unsynced, random);
    }
    return copy;
  };
  clone->capacity_bytes_ = capacity_bytes_;
  clone->durable_names_.clear();
  for (const auto& [path, inode] : durable_names_) clone->durable_names_[path] = copy_of(inode);
  if (unsynced == Unsynced::kKept) {
    clone->names_.clear();
    for (const auto& [path, inode] : names_) clone->names_[path] = copy_of(inode);
    clone->pending_ = pending_;
    for (NameChange& change : clone->pending_) change.inode = copy_of(change.inode);
    return clone;
  }
  clone->pending_ = pending_;
  for (NameChange& change : clone->pending_) change.inode = copy_of(change.inode);
  clone->KeepNames(unsynced, random);
  return clone;
}

void MemFileSystem::KeepNames(Unsynced unsynced, Random* random) {
  std::vector<bool> kept(pending_.size());
  if (unsynced != Unsynced::kLost) {
    // A journal keeps a prefix of the changes; POSIX promises not even that.
    const bool in_order = random->Chance(1, 2);
    for (size_t i = 0; i < pending_.size(); ++i) {
      kept[i] = random->Chance(1, 2);
      if (!kept[i] && in_order) break;
    }
  }
  KeepNames(kept);
}

void MemFileSystem::KeepNames(const std::vector<bool>& kept) {
  for (size_t i = 0; i < pending_.size() && i < kept.size(); ++i) {
    if (kept[i]) Apply(pending_[i], &durable_names_);
  }
  pending_.clear();
  // What lies in a directory that is gone is gone; a parent sorts before what is in it.
  for (auto at = durable_names_.begin(); at != durable_names_.end();) {
    const bool stays = durable_names_.count(ParentPath(at->first)) != 0;
    at = stays ? std::next(at) : durable_names_.erase(at);
  }
  names_ = durable_names_;
}

// A file that has lost power once has no un-synced sectors left to be numbered again.
void MemFileSystem::LosePower(const CrashPlan& plan) {
  uint64_t number = 0;
  for (const auto& [path, inode] : durable_names_) inode->LosePower(plan, &number);
  for (const NameChange& change : pending_) change.inode->LosePower(plan, &number);
  KeepNames(plan.name_changes);
}

std::unique_ptr<MemFileSystem> MemFileSystem::CrashClone(const CrashPlan& plan) const {
  std::unique_ptr<MemFileSystem> clone = CrashClone(Unsynced::kKept, nullptr);
  clone->LosePower(plan);
  return clone;
}

uint64_t MemFileSystem::unsynced_sectors() const {
  std::set<const Inode*> inodes;
  for (const auto& [path, inode] : durable_names_) inodes.insert(inode.get());
  for (const NameChange& change : pending_) inodes.insert(change.inode.get());
  uint64_t count = 0;
  for (const Inode* inode : inodes) count += inode->unsynced_sectors();
  return count;
}

void MemFileSystem::Crash(const CrashPlan& plan) {
  LosePower(plan);
  BeginNextLife();
}

void MemFileSystem::Crash(Unsynced unsynced, Random* random) {
  if (unsynced != Unsynced::kKept) {
    for (const auto& [path, inode] : names_) inode->LosePower(unsynced, random);
    for (const auto& [path, inode] : durable_names_) inode->LosePower(unsynced, random);
    for (const NameChange& change : pending_) change.inode->LosePower(unsynced, random);
    KeepNames(unsynced, random);
  }
  BeginNextLife();
}

void MemFileSystem::BeginNextLife() {
  locks_.clear();
  ++generation_;
  power_ = true;
  ForgetFaults();
}

// -- planned faults --

void MemFileSystem::CutPowerAt(uint64_t step) {
  cut_power_in_ = step;
}
void MemFileSystem::FailAt(uint64_t step) {
  fail_in_ = step;
}
void MemFileSystem::FailReadAt(uint64_t count) {
  fail_read_in_ = count;
}
void MemFileSystem::ForgetFaults() {
  cut_power_in_ = fail_in_ = fail_read_in_ = kNever;
  fail_next_write_ = fail_next_sync_ = false;
}
void MemFileSystem::MakeUnreadable(const std::string& path, uint64_t sector) {
  FileAt(path)->unreadable.insert(sector);
}
size_t MemFileSystem::UnreadableSectors(const std::string& directory) const {
  size_t sectors = 0;
  for (const auto& [path, inode] : names_) {
    if (absl::StartsWith(path, directory + "/")) sectors += inode->unreadable.size();
  }
  return sectors;
}
void MemFileSystem::set_capacity_bytes(uint64_t bytes) {
  capacity_bytes_ = bytes;
}

absl::Status MemFileSystem::Step(const char* call, const std::string& path) {
  if (before_step_) before_step_();
  ++counters_.steps;
  if (cut_power_in_ != kNever && --cut_power_in_ == 0) {
    power_ = false;
    return CheckPower(call, path);
  }
  bool fails = fail_in_ != kNever && --fail_in_ == 0;
  if (fails) fail_in_ = kNever;
  if (fail_next_write_ && call == absl::string_view("write")) {
    fails = true;
    fail_next_write_ = false;
  }
  if (fail_next_sync_ && call == absl::string_view("sync")) {
    fails = true;
    fail_next_sync_ = false;
  }
  if (fails) {
    return absl::UnknownError(absl::StrCat(call, " ", path, ": input/output error"));
  }
  return absl::OkStatus();
}

absl::Status MemFileSystem::CheckPower(const char* call, const std::string& path) const {
  if (power_) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(call, " ", path, ": the power is off"));
}

absl::Status MemFileSystem::CountRead(const std::string& path) {
  if (fail_read_in_ != kNever && --fail_read_in_ == 0) {
    fail_read_in_ = kNever;
    return absl::UnknownError(absl::StrCat("read ", path, ": input/output error"));
  }
  return absl::OkStatus();
}

void MemFileSystem::Apply(const NameChange& change, Names* names) {
  if (!change.from.empty()) {
    auto found = names->find(change.from);
    // The change that made it was lost, and perhaps another file of that name is still there.
    if (found == names->end() || found->second != change.inode) return;
    names->erase(found);
  }
  if (!change.to.empty()) (*names)[change.to] = change.inode;
}

void MemFileSystem::ChangeNames(NameChange change) {
  Apply(change, &names_);
  pending_.push_back(std::move(change));
}

uint64_t MemFileSystem::TotalBytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, inode] : names_) bytes += inode->size();
  return bytes;
}

// -- damage and inspection --

MemFileSystem::Inode* MemFileSystem::FileAt(const std::string& path) const {
  auto found = names_.find(path);
  LOCKD_CHECK(found != names_.end() && !found->second->is_directory, "no file ", path);
  return found->second.get();
}

std::string MemFileSystem::Contents(const std::string& path) const {
  Inode* const inode = FileAt(path);
  inode->Spell(inode->size());
  return inode->cached;
}

bool MemFileSystem::Exists(const std::string& path) const {
  return names_.count(path) != 0;
}

void MemFileSystem::FlipByte(const std::string& path, uint64_t offset, uint8_t mask) {
  FileAt(path)->FlipByte(offset, mask);
}

void MemFileSystem::Truncate(const std::string& path, uint64_t size) {
  SetContents(path, Contents(path).substr(0, size));
}

void MemFileSystem::SetContents(const std::string& path, std::string contents) {
  auto& inode = names_[path];
  if (inode == nullptr) inode = std::make_shared<Inode>();
  durable_names_[path] = inode;
  inode->TakeAsIs(std::move(contents));
}

void MemFileSystem::Remove(const std::string& path) {
  names_.erase(path);
  durable_names_.erase(path);
}

}  // namespace lockd::storage
