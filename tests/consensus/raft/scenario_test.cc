// Every script in tests/testdata/raft is a test of its own, named after its file. LOCKD_REWRITE=1
// records what the scripts print now; review the diff as you would review code.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/datadriven/datadriven.h"
#include "tests/support/raft_env/raft_env.h"
#include "tests/support/raft_env/verb.h"

namespace lockd::raft_env {
namespace {

std::vector<std::string> ScriptFiles() {
  std::vector<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(LOCKD_RAFT_TESTDATA)) {
    if (file.path().extension() == ".txt") files.push_back(file.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Letters, digits and underscores are all that a test's name may have.
std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, PrintsWhatWasReviewed) {
  RaftEnv env;
  const datadriven::Result result = datadriven::RunScriptFile(
      GetParam(), [&env](const datadriven::Command& command) { return env.Run(command); },
      datadriven::RewriteRequested());
  EXPECT_EQ(result.outcome, datadriven::Outcome::kMatch) << result.report;
}

INSTANTIATE_TEST_SUITE_P(Raft, Scenario, testing::ValuesIn(ScriptFiles()), TestName);

TEST(ScenarioManual, ReadmeHoldsTheManualOfAllVerbs) {
  const absl::StatusOr<std::string> readme =
      datadriven::ReadTextFile(std::string(LOCKD_RAFT_TESTDATA) + "/README.md");
  ASSERT_TRUE(readme.ok()) << readme.status();
  EXPECT_NE(readme->find(Manual()), std::string::npos)
      << "the README's manual should be what raft_script --help prints:\n"
      << Manual();
}

TEST(ScenarioManual, EveryVerbIsUsedByAScenario) {
  std::string all;
  for (const std::string& file : ScriptFiles()) {
    all += "\n" + datadriven::ReadTextFile(file).value_or("");
  }
  for (const Verb* verb : AllVerbs()) {
    const std::string at_line_start = "\n" + std::string(verb->name);
    EXPECT_NE(all.find(at_line_start), std::string::npos) << std::string(verb->name);
  }
}

}  // namespace
}  // namespace lockd::raft_env
