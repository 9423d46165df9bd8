// The programs of client/examples against a cluster, and a program outside the tree against an
// installed lockd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

using testing::ProcessResult;
using testing::RunProcess;

TEST(Examples, EachRunsAgainstThreeNodes) {
  Cluster cluster(3);
  cluster.StartAll();
  cluster.WaitForLeader();
  const std::pair<const char*, const char*> kExamples[] = {
      {"example_blocking", ""}, {"example_coroutine", ""}, {"example_fenced_write", "refused"}};
  for (const auto& [program, said] : kExamples) {
    const ProcessResult ended = RunProcess(program, {"--endpoints", cluster.endpoints()});
    EXPECT_EQ(ended.exit_status, 0) << program << ": " << ended.output << ended.error;
    EXPECT_THAT(ended.output, HasSubstr(said)) << program;
  }
}

TEST(Installed, AProgramOutsideTheTreeBuildsAndRuns) {
  TempDirectory directory;
  const std::string prefix = (directory.path() / "prefix").string();
  const std::string build = (directory.path() / "build").string();
  ProcessResult ended = RunProcess(LOCKD_CMAKE, {"--install", LOCKD_BUILD_DIR, "--prefix", prefix});
  ASSERT_EQ(ended.exit_status, 0) << ended.output << ended.error;
  ended =
      RunProcess(LOCKD_CMAKE, {"-S", "tests/client/out_of_tree", "-B", build,
                               "-DCMAKE_PREFIX_PATH=" + prefix, "-DCMAKE_CXX_COMPILER=" LOCKD_CXX});
  ASSERT_EQ(ended.exit_status, 0) << ended.output << ended.error;
  ended = RunProcess(LOCKD_CMAKE, {"--build", build});
  ASSERT_EQ(ended.exit_status, 0) << ended.output << ended.error;

  Cluster cluster(1);
  cluster.StartAll();
  cluster.WaitForLeader();
  ended = RunProcess(build + "/out_of_tree", {cluster.endpoint(0)});
  EXPECT_EQ(ended.exit_status, 0) << ended.output << ended.error;
  EXPECT_THAT(ended.output, HasSubstr("free again"));
}

}  // namespace
}  // namespace lockd::e2e
