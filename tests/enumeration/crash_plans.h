// Every way in which a power cut at this moment can end, as far as that can be listed.
//
// Threading: pure functions.
#ifndef LOCKD_TESTS_ENUMERATION_CRASH_PLANS_H_
#define LOCKD_TESTS_ENUMERATION_CRASH_PLANS_H_

#include <vector>

#include "tests/support/mem_file_system.h"

namespace lockd::storage {

// With up to four un-synced sectors: each of the four fates for each of them. With more: all lost,
// all kept, and around each sector: all before it or all after it kept, it alone lost, kept, torn
// or garbled while the others are kept or lost, and torn as the end of what was kept. Each of these
// with every subset of up to three pending name changes (of more: with every number of first ones).
[[nodiscard]] std::vector<MemFileSystem::CrashPlan> AllCrashPlans(const MemFileSystem& disk);

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_ENUMERATION_CRASH_PLANS_H_
