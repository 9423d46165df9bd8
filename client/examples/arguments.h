// The command line that the examples share.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_EXAMPLES_ARGUMENTS_H_
#define LOCKD_CLIENT_EXAMPLES_ARGUMENTS_H_

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "client/options.h"

namespace examples {

struct Arguments {
  Arguments(int argc, char** argv) {
    std::string list;
    for (int i = 1; i < argc; i += 2) {
      const std::string flag = argv[i];
      if (i + 1 == argc) Usage(argv[0]);
      if (flag == "--endpoints") {
        list = argv[i + 1];
      } else if (flag == "--lock") {
        lock = argv[i + 1];
      } else if (flag == "--wait") {
        wait = std::chrono::milliseconds(std::atol(argv[i + 1]));
      } else {
        Usage(argv[0]);
      }
    }
    endpoints = lockd::EndpointsFrom(list);
  }

  std::vector<std::string> endpoints;
  std::string lock = "resource1";
  std::chrono::milliseconds wait{10'000};

 private:
  [[noreturn]] static void Usage(const char* program) {
    std::fprintf(stderr, "usage: %s [--endpoints host:port,...] [--lock NAME] [--wait MS]\n",
                 program);
    std::exit(2);
  }
};

}  // namespace examples

#endif  // LOCKD_CLIENT_EXAMPLES_ARGUMENTS_H_
