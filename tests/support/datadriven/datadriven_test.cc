#include "tests/support/datadriven/datadriven.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/datadriven/arguments.h"
#include "tests/support/datadriven/line_diff.h"

namespace lockd::datadriven {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Prints its words and input, one a line; "fail" and "broken" refuse in the two ways.
absl::StatusOr<std::string> Echo(const Command& command) {
  if (command.verb == "fail") return absl::InvalidArgumentError("no such thing");
  if (command.verb == "broken") return absl::InternalError("two leaders");
  return absl::StrCat(absl::StrJoin(command.words, "\n"), command.input.empty() ? "" : "\n",
                      absl::StrJoin(command.input, "\n"));
}

TEST(Datadriven, AcceptsExpectedOutput) {
  const Result result = RunScript("a.txt", "# story\n\necho one two\n----\none\ntwo\n", Echo);
  EXPECT_EQ(result.outcome, Outcome::kMatch) << result.report;
  EXPECT_EQ(result.report, "");
}

TEST(Datadriven, ShowsADiffAtTheLineOfTheCommand) {
  const Result result = RunScript("a.txt", "# story\n\necho one two\n----\none\nthree\n", Echo);
  EXPECT_EQ(result.outcome, Outcome::kMismatch);
  EXPECT_EQ(result.report,
            "a.txt:3: `echo one two` printed something else (- expected, + actual):\n"
            "  one\n- three\n+ two\n");
}

TEST(Datadriven, GoesOnAfterADifference) {
  const Result result = RunScript("a.txt", "echo a\n----\nb\n\necho c\n----\nd\n", Echo);
  EXPECT_THAT(result.report, HasSubstr("a.txt:1:"));
  EXPECT_THAT(result.report, HasSubstr("a.txt:5:"));
}

TEST(Datadriven, RecordsOutputsAndKeepsTheRest) {
  const Result result =
      RunScript("a.txt", "# story\n\necho a\n----\nb\nc\n\n# end\necho d\n----\nd\n", Echo);
  EXPECT_TRUE(result.may_rewrite);
  EXPECT_EQ(result.rewritten, "# story\n\necho a\n----\na\n\n# end\necho d\n----\nd\n");
}

TEST(Datadriven, PassesInputLinesAndQuotedWords) {
  const Result result = RunScript(
      "a.txt", "echo \"one two\" (3, 4)\nfive\nsix\n----\none two\n(3, 4)\nfive\nsix\n", Echo);
  EXPECT_EQ(result.outcome, Outcome::kMatch) << result.report;
}

TEST(Datadriven, FencesOutputWithBlankLinesTwice) {
  const Handler handler = [](const Command&) { return std::string("a\n\nb"); };
  const Result recorded = RunScript("a.txt", "print\n----\n", handler);
  EXPECT_EQ(recorded.rewritten, "print\n----\n----\na\n\nb\n----\n----\n");
  EXPECT_EQ(RunScript("a.txt", recorded.rewritten, handler).outcome, Outcome::kMatch);
}

TEST(Datadriven, AMistakeInTheScriptIsNotADifference) {
  const Result result = RunScript("a.txt", "echo a\n----\na\n\nfail 1\n----\n", Echo);
  EXPECT_EQ(result.outcome, Outcome::kBadScript);
  EXPECT_EQ(result.report, "a.txt:5: `fail 1`: no such thing\n");
}

TEST(Datadriven, ABrokenPromiseIsNeverRecorded) {
  const std::string script = "broken\n----\ntwo leaders\n";
  const Result result = RunScript("a.txt", script, Echo);
  EXPECT_EQ(result.outcome, Outcome::kMismatch);
  EXPECT_FALSE(result.may_rewrite);
  EXPECT_EQ(result.rewritten, script);
}

TEST(Datadriven, NamesTheLineOfAMalformedScript) {
  const auto report = [](const char* script) { return RunScript("a.txt", script, Echo).report; };
  EXPECT_THAT(report("echo a\n\n"), HasSubstr("a.txt:1: command without `----`"));
  EXPECT_THAT(report("echo a\n"), HasSubstr("a.txt:1: command without `----`"));
  EXPECT_THAT(report("\n----\n"), HasSubstr("a.txt:2: `----` without a command"));
  EXPECT_THAT(report("# x\necho \"a\n----\n"), HasSubstr("a.txt:2: quote is not closed"));
  EXPECT_THAT(report("echo (a\n----\n"), HasSubstr("a.txt:1: parenthesis is not closed"));
  EXPECT_THAT(report("echo\n----\n----\na\n"), HasSubstr("a.txt:2: doubled `----`"));
}

TEST(Datadriven, AScriptWithoutCommandsIsBad) {
  EXPECT_EQ(RunScript("a.txt", "# nothing\n", Echo).outcome, Outcome::kBadScript);
  EXPECT_EQ(RunScriptFile("/nowhere/a.txt", Echo, false).outcome, Outcome::kBadScript);
}

Arguments Parse(const char* line) {
  return Arguments(ParseCommandLine(line).value());
}

TEST(Arguments, TakesEachWordOnce) {
  Arguments args = Parse("verb 1->2 all count=3 at=(2, 1) name=x");
  EXPECT_TRUE(args.Flag("all"));
  EXPECT_FALSE(args.Flag("all"));
  EXPECT_EQ(args.Positional("LINK"), "1->2");
  EXPECT_EQ(args.Number("count", 1), 3u);
  EXPECT_THAT(args.NumberList("at"), ElementsAre(2, 1));
  EXPECT_EQ(args.Text("name"), "x");
  EXPECT_EQ(args.Number("missing", 7), 7u);
  EXPECT_TRUE(args.Finish().ok()) << args.Finish();
}

TEST(Arguments, RefusesWhatNobodyTook) {
  EXPECT_THAT(std::string(Parse("verb cuont=3").Finish().message()),
              HasSubstr("unknown argument `cuont=3`"));
  EXPECT_THAT(std::string(Parse("verb extra").Finish().message()), HasSubstr("`extra`"));
}

TEST(Arguments, RemembersTheFirstMistake) {
  Arguments args = Parse("verb count=x");
  EXPECT_EQ(args.Number("count", 1), 1u);
  EXPECT_EQ(args.Positional("ID"), "");
  EXPECT_THAT(std::string(args.Finish().message()), HasSubstr("`count=x` is not a number"));
}

TEST(Arguments, NumbersAreDigitsOnly) {
  EXPECT_EQ(ParseNumber("17"), 17u);
  for (const char* text : {"", " 1", "-1", "+1", "1x", "18446744073709551616"}) {
    EXPECT_FALSE(ParseNumber(text).has_value()) << text;
  }
}

TEST(LineDiff, ShortensLongEqualRuns) {
  const std::string equal = "1\n2\n3\n4\n5\n6\n7\n8\n";
  EXPECT_EQ(LineDiff(equal + "a\n", equal + "b\n"),
            "  1\n  2\n  3\n  ... 2 equal lines ...\n  6\n  7\n  8\n- a\n+ b\n");
}

TEST(LineDiff, FindsInsertionsAndDeletions) {
  EXPECT_EQ(LineDiff("a\nb\nc\n", "b\nc\nd\n"), "- a\n  b\n  c\n+ d\n");
}

}  // namespace
}  // namespace lockd::datadriven
