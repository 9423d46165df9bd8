// raft_script: runs a scenario of the Raft core, from tests/testdata/raft or newly written.
//
//   raft_script FILE            compares; the diff goes to stdout
//   raft_script --print FILE    shows what every command printed
//   raft_script --rewrite FILE  records what was printed in the file
//
// Exit status: 0 everything printed as expected, 1 something differs or a safety rule is broken,
// 2 the script or the command line is wrong.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "tests/support/datadriven/datadriven.h"
#include "tests/support/raft_env/raft_env.h"
#include "tests/support/raft_env/verb.h"

namespace {

using lockd::datadriven::Command;
using lockd::datadriven::Outcome;
using lockd::datadriven::Result;

constexpr int kExitMatch = 0;
constexpr int kExitDiff = 1;
constexpr int kExitBadScript = 2;

constexpr char kUsage[] =
    "usage: raft_script [--print] [--rewrite] FILE\n"
    "\n"
    "Runs a scenario script of the Raft core and compares what its commands print with what the\n"
    "file expects after `----`.\n"
    "\n"
    "  --print     show every command and what it printed, instead of the differences\n"
    "  --rewrite   record what was printed in FILE (review the diff); also LOCKD_REWRITE=1\n"
    "  --help      this text\n"
    "  --version   the version\n"
    "\n"
    "Exit status: 0 match, 1 something differs or a safety rule is broken, 2 bad script or usage.\n"
    "\n"
    "Verbs and their arguments (every verb also takes quiet, brief or full: how much it shows):\n"
    "\n";

struct Flags {
  bool print = false;
  bool rewrite = lockd::datadriven::RewriteRequested();
  std::string file;
};

int Usage(const std::string& mistake) {
  std::fprintf(stderr, "raft_script: %s; see raft_script --help\n", mistake.c_str());
  return kExitBadScript;
}

// The command that is running, for the message of a check that fails inside the core: the handler
// of such failures is a plain function.
std::string g_where;

void OnBrokenInvariant(absl::string_view message) {
  std::printf("%s: %s\n", g_where.c_str(), std::string(message).c_str());
  std::fflush(stdout);
  std::_Exit(kExitDiff);
}

int RunFile(const Flags& flags) {
  lockd::raft_env::RaftEnv env;
  const auto handler = [&](const Command& command) {
    g_where = absl::StrCat(command.location(), ": `", command.text, "`");
    if (flags.print) std::printf("%s\n", command.text.c_str());
    absl::StatusOr<std::string> output = env.Run(command);
    if (flags.print && output.ok()) std::printf("----\n%s\n", output->c_str());
    return output;
  };
  const Result result = lockd::datadriven::RunScriptFile(flags.file, handler, flags.rewrite);
  const bool refused = result.outcome != Outcome::kMatch && !result.may_rewrite;
  if (result.outcome == Outcome::kBadScript) {
    std::fprintf(stderr, "%s", result.report.c_str());
    return kExitBadScript;
  }
  if (!flags.print || refused) std::printf("%s", result.report.c_str());
  return result.outcome == Outcome::kMatch ? kExitMatch : kExitDiff;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view word = argv[i];
    if (word == "--help") {
      std::printf("%s%s", kUsage, lockd::raft_env::Manual().c_str());
      return kExitMatch;
    }
    if (word == "--version") {
      std::printf("raft_script %s\n", LOCKD_VERSION);
      return kExitMatch;
    }
    if (word == "--print") {
      flags.print = true;
    } else if (word == "--rewrite") {
      flags.rewrite = true;
    } else if (word.substr(0, 1) == "-") {
      return Usage(absl::StrCat("unknown flag ", word));
    } else if (!flags.file.empty()) {
      return Usage("more than one FILE");
    } else {
      flags.file = std::string(word);
    }
  }
  if (flags.file.empty()) return Usage("no FILE given");
  lockd::SetCheckFailureHandler(OnBrokenInvariant);
  return RunFile(flags);
}
