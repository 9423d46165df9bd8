// MemFileSystem: a file system in memory with the disk's bad habits, and a hand on the power
// switch.
//
// What a crash may do, per 512-byte sector that was written and not synced: lose it (the old bytes
// are back), keep it, or garble it. Creations, renames and removals are pending until their
// directory is synced; a crash keeps a part of them. Each is drawn from a seed, or told one by one
// (CrashPlan).
//
//   MemFileSystem disk;
//   disk.CutPowerAt(17);                            // the 17th changing call from now fails, and
//   ...                                             // all after it
//   disk.Crash(MemFileSystem::Unsynced::kRandom, &random);   // power is back, with what survived
//
// Paths are absolute. "Steps" are the changing calls: Write, Sync, create, rename, unlink, create
// directory, sync directory. Open files and locks of before a crash are dead: their calls return
// Unavailable.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SUPPORT_MEM_FILE_SYSTEM_H_
#define LOCKD_TESTS_SUPPORT_MEM_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consensus/storage/file_system.h"
#include "protocol/base/random.h"

namespace lockd::storage {

class MemFileSystem : public FileSystem {
 public:
  static constexpr uint64_t kSectorBytes = 512;
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  // What becomes of what was not synced.
  enum class Unsynced : uint8_t {
    kKept,           // all of it: the process died, not the machine
    kLost,           // none of it
    kRandom,         // each sector and each name change lost or kept
    kRandomGarbled,  // each sector lost, kept or garbled
  };

  MemFileSystem();  // has one directory, "/"
  ~MemFileSystem() override;

  // -- FileSystem --
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<bool> IsDirectory(const std::string& path) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                     absl::string_view note) override;

  // -- crashes --
  // Ends the life of all open files and locks and leaves what a crash leaves. Power is on
  // afterwards; planned faults are forgotten. `random` may be null for kKept and kLost. After
  // kKept what was not synced is still not on the device: the next power cut may lose it.
  void Crash(Unsynced unsynced, Random* random);
  // What Crash would leave, as a file system of its own; this one goes on.
  [[nodiscard]] std::unique_ptr<MemFileSystem> CrashClone(Unsynced unsynced, Random* random) const;

  // -- crashes told one by one, for those who enumerate them --
  // What becomes of one sector that was written and not synced.
  enum class SectorFate : uint8_t {
    kLost,     // the old bytes are back
    kKept,     // the new bytes are there
    kTorn,     // the first half is new, the second half is old
    kGarbled,  // neither new nor old in any byte that was written
  };
  // Un-synced sectors are numbered from 0: the files in the order of their paths on the device,
  // then those that the device does not know yet, in the order in which they were made; in each
  // file ascending. Name changes are numbered in the order in which they happened.
  struct CrashPlan {
    std::vector<SectorFate> sectors = {};  // the rest is lost
    std::vector<bool> name_changes = {};   // true: kept; the rest is lost
  };
  [[nodiscard]] uint64_t unsynced_sectors() const;
  [[nodiscard]] uint64_t pending_name_changes() const { return pending_.size(); }
  // As above; power is cut, and this is what it leaves.
  void Crash(const CrashPlan& plan);
  [[nodiscard]] std::unique_ptr<MemFileSystem> CrashClone(const CrashPlan& plan) const;
  // Called before each changing call that is about to be carried out, with all of the calls before
  // it done. It may look, clone and plan faults, but not change anything.
  void set_before_step(std::function<void()> before_step) { before_step_ = std::move(before_step); }

  // -- planned faults; `step` counts changing calls from now, 1 is the next one --
  // The call at that step does nothing and fails; so does every later call, until Crash.
  void CutPowerAt(uint64_t step);
  // The call at that step fails with EIO; calls after it work. A failed write may have written a
  // part; a failed sync leaves the written sectors in the cache, marked clean, and never on the
  // device.
  void FailAt(uint64_t step);
  // The next call of this kind fails in the same way.
  void FailNextWrite() { fail_next_write_ = true; }
  void FailNextSync() { fail_next_sync_ = true; }
  // The `count`-th read from now fails with EIO.
  void FailReadAt(uint64_t count);
  // No planned fault is left.
  void ForgetFaults();
  // Every read that touches this sector fails with EIO, until it is written again.
  void MakeUnreadable(const std::string& path, uint64_t sector);
  // How many such sectors the files of this directory still have.
  [[nodiscard]] size_t UnreadableSectors(const std::string& directory) const;
  // Writes that would make all files together larger than this fail with ResourceExhausted, and
  // FreeBytes says how far they are from it.
  void set_capacity_bytes(uint64_t bytes);
  [[nodiscard]] bool power_is_on() const { return power_; }

  // -- counters, since construction --
  struct Counters {
    uint64_t steps = 0;
    uint64_t writes = 0;
    uint64_t syncs = 0;
    uint64_t directory_syncs = 0;
    uint64_t bytes_written = 0;
    uint64_t bytes_read = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

  // -- damage and inspection; the path must be a file; acts on cache and device alike --
  [[nodiscard]] std::string Contents(const std::string& path) const;
  [[nodiscard]] bool Exists(const std::string& path) const;
  void FlipByte(const std::string& path, uint64_t offset, uint8_t mask);
  void Truncate(const std::string& path, uint64_t size);
  void SetContents(const std::string& path, std::string contents);  // makes it if missing
  void Remove(const std::string& path);

 private:
  friend class MemFile;
  friend class MemFileLock;
  struct Inode;
  // Names as the cache has them and as the device has them; every path is absolute.
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct NameChange {
    std::string directory;
    std::string from;              // rename, unlink
    std::string to;                // rename, create
    std::shared_ptr<Inode> inode;  // the file itself, whatever bears its name elsewhere
  };

  static void Apply(const NameChange& change, Names* names);
  // Counts a changing call; an error when power is off or a fault is due.
  absl::Status Step(const char* call, const std::string& path);
  absl::Status CheckPower(const char* call, const std::string& path) const;
  absl::Status CountRead(const std::string& path);
  void ChangeNames(NameChange change);
  // Of the name changes that are pending, as many as a power cut leaves.
  void KeepNames(Unsynced unsynced, Random* random);
  // Those of them that `kept` says.
  void KeepNames(const std::vector<bool>& kept);
  void LosePower(const CrashPlan& plan);
  void BeginNextLife();
  [[nodiscard]] uint64_t TotalBytes() const;
  [[nodiscard]] Inode* FileAt(const std::string& path) const;

  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_;
  std::map<std::string, std::string> locks_;  // path to note
  uint64_t generation_ = 1;                   // of open files; a crash begins the next one
  bool power_ = true;
  uint64_t cut_power_in_ = kNever;
  uint64_t fail_in_ = kNever;
  uint64_t fail_read_in_ = kNever;
  bool fail_next_write_ = false;
  bool fail_next_sync_ = false;
  uint64_t capacity_bytes_ = kNever;
  std::function<void()> before_step_;
  Counters counters_;
};

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_SUPPORT_MEM_FILE_SYSTEM_H_
