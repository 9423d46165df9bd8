// Examples in hex that stand in consensus/README.md.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_CONSENSUS_STORAGE_README_EXAMPLE_H_
#define LOCKD_TESTS_CONSENSUS_STORAGE_README_EXAMPLE_H_

#include <fstream>
#include <string>

namespace lockd::storage {

// The block of the page after the line `marker`, without its fences.
inline std::string ExampleInReadme(const std::string& marker) {
  std::ifstream readme("consensus/README.md");
  std::string line;
  while (std::getline(readme, line) && line != marker) {
  }
  while (std::getline(readme, line) && line != "```") {
  }
  std::string block;
  while (std::getline(readme, line) && line != "```") block += line + "\n";
  return block;
}

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_CONSENSUS_STORAGE_README_EXAMPLE_H_
