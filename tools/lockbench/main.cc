// lockbench: measures a cluster through the client library.
#include <sys/resource.h>

#include <variant>

#include "tools/lockbench/bench.h"
#include "tools/lockbench/command_line.h"

namespace {

// As many descriptors as the system allows: each session is one.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  const lockd::lockbench::ParsedCommandLine parsed = lockd::lockbench::ParseCommandLine(argc, argv);
  if (const auto* ending = std::get_if<lockd::cli::Ending>(&parsed)) {
    return lockd::cli::Leave(*ending);
  }
  RaiseDescriptorLimit();
  return lockd::lockbench::RunBench(std::get<lockd::lockbench::Arguments>(parsed));
}
