// Golden files: bytes of each format version that ever shipped, as hex dumps in
// tests/testdata/golden. They are never changed: what they hold lies on the disks of clusters in
// use, and programs of that version send it. LOCKD_REWRITE=1 writes those that are missing, which
// is what a new version of a format needs.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SUPPORT_GOLDEN_H_
#define LOCKD_TESTS_SUPPORT_GOLDEN_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace lockd::testing {

// Lines of an offset and 16 bytes. One "*" stands for lines that are like the one before.
inline std::string HexDump(absl::string_view bytes, int offset_digits) {
  std::string dump;
  absl::string_view before;
  bool is_repeat = false;
  for (size_t offset = 0; offset < bytes.size(); offset += 16) {
    const absl::string_view line = bytes.substr(offset, 16);
    if (offset > 0 && line == before) {
      if (!is_repeat) dump += "*\n";
      is_repeat = true;
      continue;
    }
    is_repeat = false;
    before = line;
    absl::StrAppendFormat(&dump, "%0*x ", offset_digits, offset);
    for (const char byte : line) absl::StrAppendFormat(&dump, " %02x", static_cast<uint8_t>(byte));
    dump += "\n";
  }
  return dump;
}

// The same, and the length alone in the last line.
inline std::string ToGoldenDump(absl::string_view bytes) {
  return absl::StrCat(HexDump(bytes, 6), absl::StrFormat("%06x\n", bytes.size()));
}

inline std::string FromGoldenDump(const std::string& dump) {
  std::string bytes;
  std::string before;
  std::istringstream lines(dump);
  std::string line;
  while (std::getline(lines, line)) {
    if (line == "*") continue;
    const size_t offset = std::strtoull(line.substr(0, 6).c_str(), nullptr, 16);
    while (bytes.size() < offset) bytes += before;
    before = absl::HexStringToBytes(absl::StrReplaceAll(line.substr(6), {{" ", ""}}));
    bytes += before;
  }
  return bytes;
}

// The bytes of a golden file. `now` is what the present code writes; the file is made of it when
// there is none and LOCKD_REWRITE is set.
inline std::string ReadGolden(const std::string& name, absl::string_view now) {
  const std::string path = absl::StrCat("tests/testdata/golden/", name);
  std::ifstream file(path, std::ios::binary);
  if (!file && std::getenv("LOCKD_REWRITE") != nullptr) {
    std::ofstream(path, std::ios::binary) << ToGoldenDump(now);
    file.open(path, std::ios::binary);
  }
  EXPECT_TRUE(file.good()) << path << " is missing; LOCKD_REWRITE=1 makes it";
  std::stringstream text;
  text << file.rdbuf();
  return FromGoldenDump(text.str());
}

}  // namespace lockd::testing

#endif  // LOCKD_TESTS_SUPPORT_GOLDEN_H_
