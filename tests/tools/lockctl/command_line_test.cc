// What a lockctl command line asks for, and what is said when it asks for nothing sensible.
#include "tools/lockctl/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

namespace lockd::lockctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ParsedCommandLine ParseWords(std::vector<std::string> words) {
  words.insert(words.begin(), "lockctl");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

Arguments Parsed(const std::vector<std::string>& words) {
  ParsedCommandLine parsed = ParseWords(words);
  if (const auto* ending = std::get_if<cli::Ending>(&parsed)) {
    ADD_FAILURE() << ending->text;
    return {};
  }
  return std::get<Arguments>(std::move(parsed));
}

LockArguments ParsedLock(const std::vector<std::string>& words) {
  const Arguments arguments = Parsed(words);
  const auto* lock = std::get_if<LockArguments>(&arguments.command);
  EXPECT_NE(lock, nullptr);
  return lock == nullptr ? LockArguments{} : *lock;
}

cli::Ending EndingOf(const std::vector<std::string>& words) {
  ParsedCommandLine parsed = ParseWords(words);
  const auto* ending = std::get_if<cli::Ending>(&parsed);
  EXPECT_NE(ending, nullptr) << "was accepted";
  return ending == nullptr ? cli::Ending{-1, ""} : *ending;
}

class LockctlCommandLine : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("LOCKD_ENDPOINTS"); }
};

TEST_F(LockctlCommandLine, LockHasDefaults) {
  const LockArguments lock = ParsedLock({"lock", "resource1", "--", "true"});
  EXPECT_EQ(lock.name, "resource1");
  EXPECT_EQ(lock.wait_ms, std::nullopt);
  EXPECT_EQ(lock.ttl_ms, 10'000);
  EXPECT_EQ(lock.grace_ms, 3'000);
  EXPECT_EQ(lock.max_hold_ms, 0);
  EXPECT_EQ(lock.kill_after_ms, std::nullopt);
  EXPECT_THAT(lock.command, ElementsAre("true"));
}

TEST_F(LockctlCommandLine, LockTakesAllItsOptionsBeforeOrAfterTheName) {
  for (const bool is_name_first : {true, false}) {
    std::vector<std::string> words = {"lock",    "--wait",       "5m",         "--ttl", "20s",
                                      "--grace", "0s",           "--max-hold", "1h",    "--owner",
                                      "me",      "--kill-after", "500ms"};
    words.insert(is_name_first ? words.begin() + 1 : words.end(), "n");
    words.insert(words.end(), {"--", "cmd"});
    const LockArguments lock = ParsedLock(words);
    EXPECT_EQ(lock.name, "n");
    EXPECT_EQ(lock.wait_ms, 300'000);
    EXPECT_EQ(lock.ttl_ms, 20'000);
    EXPECT_EQ(lock.grace_ms, 0);
    EXPECT_EQ(lock.max_hold_ms, 3'600'000);
    EXPECT_EQ(lock.owner, "me");
    EXPECT_EQ(lock.kill_after_ms, 500);
  }
}

TEST_F(LockctlCommandLine, TryIsAWaitOfNothing) {
  EXPECT_EQ(ParsedLock({"lock", "n", "--try", "--", "true"}).wait_ms, 0);
}

TEST_F(LockctlCommandLine, WhatFollowsTheDashesIsTheCommandsUntouched) {
  const LockArguments lock =
      ParsedLock({"lock", "n", "--", "cmd", "--ttl", "nonsense", "--", "--help"});
  EXPECT_THAT(lock.command, ElementsAre("cmd", "--ttl", "nonsense", "--", "--help"));
}

TEST_F(LockctlCommandLine, ANameMayBeTheNameOfACommand) {
  EXPECT_EQ(ParsedLock({"lock", "status", "--", "true"}).name, "status");
  EXPECT_EQ(std::get<GetArguments>(Parsed({"get", "list"}).command).name, "list");
}

TEST_F(LockctlCommandLine, NamesAreUnescaped) {
  EXPECT_EQ(ParsedLock({"lock", R"(a\x00\x5c)", "--", "true"}).name, std::string("a\0\\", 3));
  EXPECT_EQ(std::get<GetArguments>(Parsed({"get", R"(\xff)"}).command).name, "\xff");
  EXPECT_EQ(std::get<ListArguments>(Parsed({"list", R"(\x2d)"}).command).prefix, "-");
}

TEST_F(LockctlCommandLine, ListsEverythingWithoutAPrefix) {
  EXPECT_EQ(std::get<ListArguments>(Parsed({"list"}).command).prefix, "");
}

TEST_F(LockctlCommandLine, CommonFlagsStandBeforeOrAfterTheCommand) {
  const std::vector<std::string> flags = {"--endpoints", "a:1,b:2", "--json", "--timeout", "1s"};
  for (const bool is_before : {true, false}) {
    std::vector<std::string> words = {"sessions"};
    words.insert(is_before ? words.begin() : words.end(), flags.begin(), flags.end());
    const Arguments arguments = Parsed(words);
    EXPECT_THAT(arguments.endpoints, ElementsAre("a:1", "b:2"));
    EXPECT_TRUE(arguments.json);
    EXPECT_EQ(arguments.timeout_ms, 1'000);
  }
}

TEST_F(LockctlCommandLine, EndpointsComeFromTheFlagThenTheEnvironmentThenTheDefault) {
  EXPECT_THAT(Parsed({"status"}).endpoints, ElementsAre("127.0.0.1:7420"));
  setenv("LOCKD_ENDPOINTS", "c:3", 1);
  EXPECT_THAT(Parsed({"status"}).endpoints, ElementsAre("c:3"));
  EXPECT_THAT(Parsed({"status", "--endpoints", "a:1"}).endpoints, ElementsAre("a:1"));
  setenv("LOCKD_ENDPOINTS", "nonsense", 1);
  EXPECT_THAT(EndingOf({"status"}).text, HasSubstr("LOCKD_ENDPOINTS: \"nonsense\""));
  unsetenv("LOCKD_ENDPOINTS");
}

TEST_F(LockctlCommandLine, ATransferIsToANodeOrToWhomItSuits) {
  const auto to = [](const std::vector<std::string>& words) {
    return std::get<TransferArguments>(Parsed(words).command).to_node_id;
  };
  EXPECT_EQ(to({"transfer-leadership"}), 0u);
  EXPECT_EQ(to({"transfer-leadership", "--to", "3"}), 3u);
  EXPECT_EQ(EndingOf({"transfer-leadership", "--to", "0"}).exit_status, 2);
  EXPECT_EQ(EndingOf({"transfer-leadership", "3"}).exit_status, 2);
}

TEST_F(LockctlCommandLine, AChangeOfMembersSaysWhatIsToBeDoneToWhom) {
  const auto change = [](const std::vector<std::string>& words) {
    return std::get<MemberArguments>(Parsed(words).command).change;
  };
  const MemberChange add = change({"member", "add", "--peer", "node-d:7421"});
  EXPECT_EQ(add.action, MemberAction::kAdd);
  EXPECT_EQ(add.node_id, NodeId(0));
  EXPECT_EQ(add.peer_address, "node-d:7421");
  EXPECT_EQ(change({"member", "add", "--node-id", "7", "--peer", "[::1]:1"}).node_id, NodeId(7));
  EXPECT_EQ(change({"member", "remove", "2"}).action, MemberAction::kRemove);
  EXPECT_EQ(change({"member", "remove", "2"}).node_id, NodeId(2));
  EXPECT_EQ(change({"member", "promote", "4"}).action, MemberAction::kPromote);
  EXPECT_TRUE(std::holds_alternative<MembersArguments>(Parsed({"member", "list"}).command));
}

TEST_F(LockctlCommandLine, ASnapshotIsTakenOrSaved) {
  EXPECT_TRUE(std::holds_alternative<SnapshotTakeArguments>(Parsed({"snapshot", "take"}).command));
  const auto save = [](const std::vector<std::string>& words) {
    return std::get<SnapshotSaveArguments>(Parsed(words).command);
  };
  const SnapshotSaveArguments plain = save({"snapshot", "save", "a file"});
  EXPECT_EQ(plain.file, "a file");
  EXPECT_EQ(plain.existing, BackupFile::Existing::kRefused);
  EXPECT_EQ(save({"snapshot", "save", "f", "--force"}).existing, BackupFile::Existing::kReplaced);
  EXPECT_TRUE(Parsed({"snapshot", "save", "f", "--json"}).json);
}

TEST_F(LockctlCommandLine, CommonFlagsStandAnywhereAroundMember) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--json", "member", "list"},
        {"member", "--json", "list"},
        {"member", "list", "--json"}}) {
    EXPECT_TRUE(Parsed(words).json);
  }
}

TEST_F(LockctlCommandLine, HelpAndVersionGoToStdout) {
  EXPECT_THAT(EndingOf({"--help"}).text, HasSubstr("lockctl lock NAME -- CMD"));
  EXPECT_THAT(EndingOf({"lock", "--help"}).text, HasSubstr("LOCKD_TOKEN"));
  EXPECT_THAT(EndingOf({"get", "--help"}).text, HasSubstr("--stale"));
  EXPECT_THAT(EndingOf({"--help"}).text, HasSubstr("lockctl member"));
  EXPECT_THAT(EndingOf({"--help"}).text, HasSubstr("lockctl snapshot save FILE"));
  EXPECT_THAT(EndingOf({"snapshot", "--help"}).text, HasSubstr("lockctl snapshot take"));
  EXPECT_THAT(EndingOf({"snapshot", "save", "--help"}).text, HasSubstr("--force"));
  EXPECT_THAT(EndingOf({"member", "--help"}).text, HasSubstr("lockctl member add --peer"));
  EXPECT_THAT(EndingOf({"member", "add", "--help"}).text, HasSubstr("--node-id"));
  EXPECT_THAT(EndingOf({"--version"}).text, ::testing::StartsWith("lockctl "));
  EXPECT_EQ(EndingOf({"--help"}).exit_status, 0);
  EXPECT_EQ(EndingOf({"lock", "--help"}).exit_status, 0);
  EXPECT_EQ(EndingOf({"--version"}).exit_status, 0);
}

// Each names the option, what is wrong, and what is allowed, in one line.
TEST_F(LockctlCommandLine, MistakesAreExplainedInOneLine) {
  struct Row {
    std::vector<std::string> words;
    std::vector<std::string> said;
  };
  const std::vector<Row> rows = {
      {{}, {"lockctl: ", "subcommand", "lockctl --help"}},
      {{"frobnicate"}, {"frobnicate"}},
      {{"status", "--frobnicate"}, {"--frobnicate", "lockctl status --help"}},
      {{"get"}, {"NAME", "lockctl get --help"}},
      {{"get", R"(a\b)"}, {"NAME"}},
      {{"get", ""}, {"NAME", "1..1024"}},
      {{"get", "a", "--", "b"}, {"only lock takes a command"}},
      {{"lock", "--", "true"}, {"NAME"}},
      {{"lock", "a"}, {"no command", "--"}},
      {{"lock", "a", "--"}, {"no command"}},
      {{"lock", "a", "b", "--", "true"}, {"one lock at a time", "2 were given"}},
      {{"lock", std::string(1'025, 'x'), "--", "true"}, {"NAME", "1025", "1..1024"}},
      {{"lock", "a", "--try", "--wait", "1s", "--", "true"}, {"--try", "--wait"}},
      {{"lock", "a", "--ttl", "10", "--", "true"}, {"--ttl", "\"10\"", "1s..1h"}},
      {{"lock", "a", "--ttl", "999ms", "--", "true"}, {"--ttl", "999ms", "1s..1h"}},
      {{"lock", "a", "--ttl", "2h", "--", "true"}, {"--ttl", "2h", "1s..1h"}},
      {{"lock", "a", "--grace", "1s", "--", "true"}, {"--grace", "1s", "0s or 3s..1h"}},
      {{"lock", "a", "--wait", "soon", "--", "true"}, {"--wait", "\"soon\""}},
      {{"lock", "a", "--kill-after", "0s", "--", "true"}, {"--kill-after", "1ms"}},
      {{"lock", "a", "--owner", std::string(257, 'x'), "--", "true"}, {"--owner", "0..256"}},
      {{"member"},
       {"member: a subcommand", "add, remove, promote or list", "lockctl member --help"}},
      {{"member", "frobnicate"}, {"frobnicate"}},
      {{"member", "add"}, {"--peer", "lockctl member add --help"}},
      {{"member", "add", "--peer", "a"}, {"--peer", "\"a\"", "host:port"}},
      {{"member", "add", "--peer", "0.0.0.0:1"}, {"--peer", "0.0.0.0:1 cannot be dialled"}},
      {{"member", "add", "--peer", "a:0"}, {"--peer", "a:0 cannot be dialled"}},
      {{"member", "add", "--peer", "a:1", "--node-id", "0"}, {"--node-id", "0", "1..1000000"}},
      {{"member", "remove"}, {"NODE", "lockctl member remove --help"}},
      {{"member", "remove", "two"}, {"NODE", "two", "whole number"}},
      {{"member", "promote", "1000001"}, {"NODE", "1000001", "1..1000000"}},
      {{"snapshot"}, {"snapshot: a subcommand", "save or take", "lockctl snapshot --help"}},
      {{"snapshot", "frobnicate"}, {"frobnicate"}},
      {{"snapshot", "save"}, {"FILE", "lockctl snapshot save --help"}},
      {{"snapshot", "save", ""}, {"FILE", "empty"}},
      {{"snapshot", "save", "a", "b"}, {"b"}},
      {{"snapshot", "take", "a"}, {"a"}},
      {{"status", "--endpoints", "a"}, {"--endpoints", "\"a\"", "host:port"}},
      {{"status", "--endpoints", "a:0"}, {"--endpoints", "port 0", "1..65535"}},
      {{"status", "--timeout", "0s"}, {"--timeout", "1ms"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.words));
    const cli::Ending ending = EndingOf(row.words);
    EXPECT_EQ(ending.exit_status, 2);
    EXPECT_THAT(ending.text, ::testing::EndsWith("\n"));
    EXPECT_EQ(std::count(ending.text.begin(), ending.text.end(), '\n'), 1) << ending.text;
    for (const std::string& said : row.said) EXPECT_THAT(ending.text, HasSubstr(said));
  }
}

}  // namespace
}  // namespace lockd::lockctl
