// Command lines of lockd, lockctl and lockbench, and lockd's config file.
//
//   input: u8 program | words, each ended by a line break; for program 3 the text of a config file
//
// What must hold: it never crashes; a command line that asks for work comes out valid, and any
// other leaves with text to print, on one line if it is a mistake.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "protocol/base/check.h"
#include "server/config.h"
#include "tests/fuzz/choices.h"
#include "tools/lockbench/command_line.h"
#include "tools/lockctl/command_line.h"

namespace lockd {
namespace {

void CheckEnding(int exit_status, const std::string& text) {
  LOCKD_CHECK(exit_status == 0 || exit_status == 2, "exit status ", exit_status);
  LOCKD_CHECK(!text.empty());
}

void RunLockd(const std::vector<const char*>& argv) {
  const ParsedCommandLine parsed = ParseCommandLine(static_cast<int>(argv.size()), argv.data());
  if (!parsed.run) {
    CheckEnding(parsed.exit_status, parsed.text);
    return;
  }
  LOCKD_CHECK(ValidateConfig(parsed.config).ok(), "runs with a configuration that is not valid");
  const auto peers = ParsePeers(FormatPeers(parsed.config.peers));
  LOCKD_CHECK(peers.ok() && *peers == parsed.config.peers);
}

// In memory, under the name that this process has for it.
void RunConfigFile(absl::string_view text) {
  const int file = memfd_create("config", 0);
  LOCKD_CHECK(file >= 0);
  LOCKD_CHECK(write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const std::string path = absl::StrCat("/proc/self/fd/", file);
  RunLockd({"lockd", "--config", path.c_str()});
  close(file);
}

template <typename Parsed>
void CheckTool(const Parsed& parsed) {
  if (const auto* ending = std::get_if<cli::Ending>(&parsed)) {
    CheckEnding(ending->exit_status, ending->text);
  }
}

void RunOne(Choices& choices) {
  const uint64_t program = choices.Below(4);
  const std::string text(choices.Bytes(4096));
  if (program == 3) {
    RunConfigFile(text);
    return;
  }
  const std::vector<std::string> words = absl::StrSplit(text, '\n');
  const char* const names[] = {"lockd", "lockctl", "lockbench"};
  std::vector<const char*> argv = {names[program]};
  for (const std::string& word : words) {
    if (absl::StrContains(word, "config")) return;  // no files but our own
    argv.push_back(word.c_str());
  }
  const int argc = static_cast<int>(argv.size());
  if (program == 0) RunLockd(argv);
  if (program == 1) CheckTool(lockctl::ParseCommandLine(argc, argv.data()));
  if (program == 2) CheckTool(lockbench::ParseCommandLine(argc, argv.data()));
}

}  // namespace
}  // namespace lockd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::RunOne(choices);
  return 0;
}
