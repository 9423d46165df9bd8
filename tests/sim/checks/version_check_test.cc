#include "tests/sim/checks/version_check.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

constexpr NodeId kNode{3};

TEST(VersionCheck, FramesOfDigestsAreForThoseWhoKnowThem) {
  for (const Opcode opcode : {Opcode::kDigestReport, Opcode::kDigestVerdict}) {
    EXPECT_THAT(CheckVersion(kNode, kPeerFeatureDigests, opcode), Holds());
    EXPECT_THAT(CheckVersion(kNode, 0, opcode), Trips("FramesAreKnown"));
    EXPECT_THAT(CheckVersion(kNode, ~kPeerFeatureDigests, opcode), Trips("FramesAreKnown"));
  }
}

TEST(VersionCheck, AllOthersAreOfEveryVersion) {
  EXPECT_THAT(CheckVersion(kNode, 0, Opcode::kHello), Holds());
  EXPECT_THAT(CheckVersion(kNode, 0, Opcode::kReason), Holds());
}

}  // namespace
}  // namespace lockd::sim
