#include "tests/sim/checks/version_check.h"

#include "absl/strings/str_cat.h"

namespace lockd::sim {

std::string CheckVersion(NodeId node, uint64_t peer_features, Opcode opcode) {
  const bool is_of_digests = opcode == Opcode::kDigestReport || opcode == Opcode::kDigestVerdict;
  if (!is_of_digests || (peer_features & kPeerFeatureDigests) != 0) return "";
  return absl::StrCat("FramesAreKnown: ", OpcodeName(opcode), " from or to node ", node,
                      ", whose version does not know it");
}

}  // namespace lockd::sim
