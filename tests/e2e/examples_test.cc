// The programs of client/examples against a cluster, and a program outside the tree against an
// installed lockd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string output;
};
Ended RunToEnd(const std::vector<std::string>& argv) {
  Process process(argv);
  Ended ended;
  ended.output = process.ReadAll();
  // Building takes longer than anything else that tests wait for.
  ended.status = process.Wait(4 * kPatience).value_or(-1);
  return ended;
}

TEST(Examples, EachRunsAgainstThreeNodes) {
  Cluster cluster(3);
  cluster.StartAll();
  cluster.WaitForLeader();
  const std::pair<const char*, const char*> kExamples[] = {
      {"example_blocking", ""}, {"example_coroutine", ""}, {"example_fenced_write", "refused"}};
  for (const auto& [program, said] : kExamples) {
    const Ended ended = RunToEnd({Program(program), "--endpoints", cluster.endpoints()});
    EXPECT_EQ(ended.status, 0) << program << ": " << ended.output;
    EXPECT_THAT(ended.output, HasSubstr(said)) << program;
  }
}

TEST(Installed, AProgramOutsideTheTreeBuildsAndRuns) {
  TempDirectory directory;
  const std::string prefix = (directory.path() / "prefix").string();
  const std::string build = (directory.path() / "build").string();
  Ended ended = RunToEnd({LOCKD_CMAKE, "--install", LOCKD_BUILD_DIR, "--prefix", prefix});
  ASSERT_EQ(ended.status, 0) << ended.output;
  ended = RunToEnd({LOCKD_CMAKE, "-S", "tests/client/out_of_tree", "-B", build,
                    "-DCMAKE_PREFIX_PATH=" + prefix, "-DCMAKE_CXX_COMPILER=" LOCKD_CXX});
  ASSERT_EQ(ended.status, 0) << ended.output;
  ended = RunToEnd({LOCKD_CMAKE, "--build", build});
  ASSERT_EQ(ended.status, 0) << ended.output;

  Cluster cluster(1);
  cluster.StartAll();
  cluster.WaitForLeader();
  ended = RunToEnd({build + "/out_of_tree", cluster.endpoint(0)});
  EXPECT_EQ(ended.status, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("free again"));
}

}  // namespace
}  // namespace lockd::e2e
