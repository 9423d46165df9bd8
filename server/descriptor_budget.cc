#include "server/descriptor_budget.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace lockd {
namespace {

constexpr uint64_t kPeerLinksMax = 64;
constexpr uint64_t kClientLingeringMax = 64;

}  // namespace

DescriptorBudget ShareDescriptors(uint64_t descriptors, uint64_t client_connections_wanted) {
  LOCKD_CHECK(descriptors >= kDescriptorsMin, descriptors, " descriptors");
  const uint64_t rest = descriptors - kOwnDescriptors;
  DescriptorBudget budget;
  budget.peer_links = std::min(kPeerLinksMax, rest / 8);
  budget.client_lingering = std::min(kClientLingeringMax, rest / 8);
  budget.client_connections =
      std::min(client_connections_wanted, rest - 2 * budget.peer_links - budget.client_lingering);
  return budget;
}

}  // namespace lockd
