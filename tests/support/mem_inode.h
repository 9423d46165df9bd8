// One file of a MemFileSystem: what the cache has, and wherein the device differs.
//
// The device's bytes are not kept a second time: for each sector that may differ, what the device
// has there; so a sync forgets differences and copies nothing. Zeros at the end are a number.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SUPPORT_MEM_INODE_H_
#define LOCKD_TESTS_SUPPORT_MEM_INODE_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "protocol/base/random.h"
#include "tests/support/mem_file_system.h"

namespace lockd::storage {

// A file (or directory: then only its being there counts).
struct MemFileSystem::Inode {
  // A sector in which cache and device may differ.
  struct Difference {
    std::string device;      // what the device has; shorter where its file ends
    bool forgotten = false;  // a failed sync took it wrongly for written: no sync will write it
  };

  bool is_directory = false;
  std::string cached;  // what reads see, up to the zeros at the end:
  uint64_t zeros = 0;  // files are filled with them ahead, and few are written over
  uint64_t device_size =
      0;  // of the file on the device, whose bytes are those of the cache but for:
  absl::btree_map<uint64_t, Difference> differences;  // by sector, all below:
  // From this sector on the device has nothing and the next sync writes all. Growing a file, most
  // of what is written, notes no differences.
  uint64_t tail_begin = 0;
  absl::btree_set<uint64_t> unreadable;

  void Write(uint64_t offset, absl::string_view bytes) {
    if (bytes.empty()) return;
    const uint64_t last = (offset + bytes.size() - 1) / kSectorBytes;
    for (uint64_t sector = offset / kSectorBytes; sector <= last; ++sector) {
      NoteDifference(sector);
      if (!unreadable.empty()) unreadable.erase(sector);
    }
    if (offset == size() && bytes.find_first_not_of('\0') == absl::string_view::npos) {
      zeros += bytes.size();
      return;
    }
    Spell(offset + bytes.size());
    cached.replace(offset, bytes.size(), bytes.data(), bytes.size());
  }
  [[nodiscard]] uint64_t size() const { return cached.size() + zeros; }
  // The file is at least so long, with no zeros left out up to there.
  void Spell(uint64_t end) {
    if (end <= cached.size()) return;
    zeros -= std::min(zeros, end - cached.size());
    cached.resize(end, '\0');
  }
  // The cache's copy of the sector is about to change.
  void NoteDifference(uint64_t sector) {
    if (sector >= tail_begin) return;
    // Mostly behind all others.
    const auto at = differences.empty() || std::prev(differences.end())->first < sector
                        ? differences.end()
                        : differences.lower_bound(sector);
    if (at != differences.end() && at->first == sector) {
      at->second.forgotten = false;
      return;
    }
    const uint64_t begin = std::min(sector * kSectorBytes, device_size);
    const uint64_t end = std::min(begin + kSectorBytes, device_size);
    Difference difference;
    if (begin < cached.size()) difference.device = cached.substr(begin, end - begin);
    differences.emplace_hint(at, sector, std::move(difference));
  }
  void Sync() {
    device_size = size();
    tail_begin = sectors();
    absl::erase_if(differences, [](const auto& each) { return !each.second.forgotten; });
  }
  void FailSync() {
    for (; tail_begin < sectors(); ++tail_begin) differences[tail_begin] = {};
    for (auto& [sector, difference] : differences) difference.forgotten = true;
  }
  void DropCache() {
    if (differences.empty()) return;
    Spell(size());
    for (const auto& [sector, difference] : differences) {
      if (difference.forgotten) PutSector(sector, difference.device, cached.size(), &cached);
    }
    absl::erase_if(differences, [](const auto& each) { return each.second.forgotten; });
  }
  void LosePower(Unsynced unsynced, Random* random) {
    if (IsOnDevice()) return;
    Spell(size());
    TakeAsIs(AfterPowerCut(unsynced, random));
  }
  void LosePower(const CrashPlan& plan, uint64_t* number) {
    if (IsOnDevice()) return;
    Spell(size());
    TakeAsIs(AfterPowerCut(plan, number));
  }
  [[nodiscard]] uint64_t sectors() const { return (size() + kSectorBytes - 1) / kSectorBytes; }
  [[nodiscard]] bool IsOnDevice() const { return differences.empty() && tail_begin == sectors(); }
  // Cache and device alike.
  void TakeAsIs(std::string contents) {
    cached = std::move(contents);
    zeros = 0;
    device_size = size();
    tail_begin = sectors();
    differences.clear();
  }
  void FlipByte(uint64_t offset, uint8_t mask) {
    const auto flip = [mask](std::string* bytes, uint64_t at) {
      (*bytes)[at] = static_cast<char>(static_cast<uint8_t>((*bytes)[at]) ^ mask);
    };
    if (offset >= size()) return;
    Spell(offset + 1);
    flip(&cached, offset);
    const auto found = differences.find(offset / kSectorBytes);
    if (found == differences.end() || offset >= device_size) return;
    std::string& device = found->second.device;
    device.resize(std::max<uint64_t>(device.size(), offset % kSectorBytes + 1), '\0');
    flip(&device, offset % kSectorBytes);
  }
  [[nodiscard]] uint64_t unsynced_sectors() const {
    uint64_t count = 0;
    ForEachUnsynced([&count](uint64_t /*sector*/) { ++count; });
    return count;
  }
  // Ascending.
  template <typename Visit>
  void ForEachUnsynced(Visit visit) const {
    for (const auto& [sector, difference] : differences) {
      if (!difference.forgotten) visit(sector);
    }
    for (uint64_t sector = tail_begin; sector < sectors(); ++sector) visit(sector);
  }
  [[nodiscard]] std::string Durable() const {
    std::string durable = cached.substr(0, device_size);
    durable.resize(device_size, '\0');
    for (const auto& [sector, difference] : differences) {
      PutSector(sector, difference.device, device_size, &durable);
    }
    return durable;
  }
  // Puts a sector, zeros behind what it lacks, into a file of at least `size`, up to there.
  static void PutSector(uint64_t sector, absl::string_view bytes, uint64_t size, std::string* to) {
    const uint64_t begin = sector * kSectorBytes;
    if (begin >= size) return;
    const uint64_t count = std::min(kSectorBytes, size - begin);
    std::fill_n(to->begin() + static_cast<std::ptrdiff_t>(begin), count, '\0');
    bytes.copy(to->data() + begin, count);
  }
  // Copies one sector of the cache, growing `to` if need be.
  void CopyCached(uint64_t sector, std::string* to) const {
    const uint64_t begin = sector * kSectorBytes;
    if (begin >= cached.size()) return;
    const uint64_t count = std::min(kSectorBytes, cached.size() - begin);
    if (to->size() < begin + count) to->resize(begin + count, '\0');
    cached.copy(to->data() + begin, count, begin);
  }
  // What the device has after the power was cut.
  [[nodiscard]] std::string AfterPowerCut(Unsynced unsynced, Random* random) const {
    std::string left = Durable();
    if (unsynced == Unsynced::kLost) return left;
    ForEachUnsynced([&](uint64_t sector) {
      const uint64_t fate = random->Below(unsynced == Unsynced::kRandomGarbled ? 3 : 2);
      if (fate == 0) return;
      CopyCached(sector, &left);
      if (fate == 1) return;
      const uint64_t end = std::min((sector + 1) * kSectorBytes, left.size());
      for (uint64_t i = sector * kSectorBytes; i < end; ++i) {
        left[i] = static_cast<char>(random->Next());
      }
    });
    return left;
  }
  // The same with the fates told: `number` counts on through the files.
  [[nodiscard]] std::string AfterPowerCut(const CrashPlan& plan, uint64_t* number) const {
    std::string left = Durable();
    ForEachUnsynced([&](uint64_t sector) {
      const uint64_t at = (*number)++;
      const SectorFate fate = at < plan.sectors.size() ? plan.sectors[at] : SectorFate::kLost;
      if (fate == SectorFate::kLost) return;
      const uint64_t begin = sector * kSectorBytes;
      std::string old = begin < left.size() ? left.substr(begin, kSectorBytes) : std::string();
      old.resize(kSectorBytes, '\0');
      CopyCached(sector, &left);
      const uint64_t end = std::min(begin + kSectorBytes, left.size());
      if (fate == SectorFate::kTorn) {
        for (uint64_t i = begin + kSectorBytes / 2; i < end; ++i) left[i] = old[i - begin];
      } else if (fate == SectorFate::kGarbled) {
        for (uint64_t i = begin; i < end; ++i) {
          left[i] = static_cast<char>(static_cast<uint8_t>(left[i]) ^ 0xa5);
        }
      }
    });
    return left;
  }
};

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_SUPPORT_MEM_INODE_H_
