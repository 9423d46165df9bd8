// CheckVersion: what nodes of two versions say to each other.
//
//   FramesAreKnown       a node is sent no frame that its version does not know, and sends none
//
// It returns "Name: details" of what it found broken, or nothing.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_VERSION_CHECK_H_
#define LOCKD_TESTS_SIM_CHECKS_VERSION_CHECK_H_

#include <cstdint>
#include <string>

#include "protocol/base/ids.h"
#include "protocol/opcode.h"

namespace lockd::sim {

// A frame leaves or reaches `node`, whose program knows these bits of PeerHello.features.
[[nodiscard]] std::string CheckVersion(NodeId node, uint64_t peer_features, Opcode opcode);

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_VERSION_CHECK_H_
