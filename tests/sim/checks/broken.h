// Matchers for what the checks of this folder return.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_BROKEN_H_
#define LOCKD_TESTS_SIM_CHECKS_BROKEN_H_

#include <gmock/gmock.h>

#include <string>

namespace lockd::sim {

// The check found nothing.
inline auto Holds() {
  return testing::IsEmpty();
}

// The check found exactly this rule broken.
inline auto Trips(const std::string& name) {
  return testing::StartsWith(name + ": ");
}

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_BROKEN_H_
