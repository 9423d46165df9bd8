// DescriptorBudget: how the file descriptors of the process are shared out.
//
// Every connection is one. Were clients allowed to take them all, the log could not open its next
// file, which ends the process, and the other nodes could not connect. So the bounds on connections
// follow from the limit of the process (ulimit -n), with a part kept for lockd itself.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_DESCRIPTOR_BUDGET_H_
#define LOCKD_SERVER_DESCRIPTOR_BUDGET_H_

#include <cstdint>

namespace lockd {

// Below so many lockd does not start.
inline constexpr uint64_t kDescriptorsMin = 128;
// For standard streams, loop, listeners, log files, and links to the other nodes.
inline constexpr uint64_t kOwnDescriptors = 64;

struct DescriptorBudget {
  uint64_t client_connections = 0;
  uint64_t client_lingering = 0;  // refused, and not closed yet
  uint64_t peer_links = 0;        // accepted; as many again may linger
};

// Of at least kDescriptorsMin.
[[nodiscard]] DescriptorBudget ShareDescriptors(uint64_t descriptors,
                                                uint64_t client_connections_wanted);

}  // namespace lockd

#endif  // LOCKD_SERVER_DESCRIPTOR_BUDGET_H_
