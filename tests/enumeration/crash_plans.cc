#include "tests/enumeration/crash_plans.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lockd::storage {
namespace {

using Fate = MemFileSystem::SectorFate;
using Fates = std::vector<Fate>;

constexpr size_t kSectorsInFull = 4;
constexpr Fate kAllFates[] = {Fate::kLost, Fate::kKept, Fate::kTorn, Fate::kGarbled};

// All 4^n of them.
std::vector<Fates> ProductOf(size_t sectors) {
  std::vector<Fates> all = {{}};
  for (size_t i = 0; i < sectors; ++i) {
    std::vector<Fates> longer;
    for (const Fates& fates : all) {
      for (Fate fate : kAllFates) {
        longer.push_back(fates);
        longer.back().push_back(fate);
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::vector<Fates> FatesOf(size_t sectors) {
  if (sectors <= kSectorsInFull) return ProductOf(sectors);
  const Fates lost(sectors, Fate::kLost);
  const Fates kept(sectors, Fate::kKept);
  std::vector<Fates> all = {lost, kept};
  const auto with = [](Fates fates, size_t at, Fate fate) {
    fates[at] = fate;
    return fates;
  };
  for (size_t at = 0; at < sectors; ++at) {
    Fates first_kept = lost;
    std::fill_n(first_kept.begin(), at, Fate::kKept);
    if (at > 1) all.push_back(first_kept);
    for (Fate fate : {Fate::kTorn, Fate::kGarbled}) {
      if (at > 0) all.push_back(with(first_kept, at, fate));
      all.push_back(with(lost, at, fate));
      if (at + 1 < sectors) all.push_back(with(kept, at, fate));
    }
    Fates last_kept = kept;
    std::fill_n(last_kept.begin(), at, Fate::kLost);
    if (at > 1) all.push_back(last_kept);
    all.push_back(with(lost, at, Fate::kKept));
    all.push_back(with(kept, at, Fate::kLost));
  }
  return all;
}

std::vector<std::vector<bool>> NameChangesOf(size_t changes) {
  std::vector<std::vector<bool>> all;
  if (changes <= 3) {
    for (uint64_t subset = 0; subset < uint64_t{1} << changes; ++subset) {
      std::vector<bool>& kept = all.emplace_back(changes);
      for (size_t i = 0; i < changes; ++i) kept[i] = (subset >> i & 1) != 0;
    }
    return all;
  }
  for (size_t first = 0; first <= changes; ++first) {
    std::vector<bool>& kept = all.emplace_back(changes);
    std::fill_n(kept.begin(), first, true);
  }
  return all;
}

}  // namespace

std::vector<MemFileSystem::CrashPlan> AllCrashPlans(const MemFileSystem& disk) {
  std::vector<MemFileSystem::CrashPlan> plans;
  for (const std::vector<bool>& names : NameChangesOf(disk.pending_name_changes())) {
    for (Fates& fates : FatesOf(disk.unsynced_sectors())) {
      plans.push_back({.sectors = std::move(fates), .name_changes = names});
    }
  }
  return plans;
}

}  // namespace lockd::storage
