// A fuzzer's input as a sequence of choices: each takes the bytes that its bound needs. Once the
// input is used up, every choice is 0 and AtEnd() says so.
#ifndef LOCKD_TESTS_FUZZ_CHOICES_H_
#define LOCKD_TESTS_FUZZ_CHOICES_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace lockd {

class Choices {
 public:
  explicit Choices(absl::string_view bytes) : rest_(bytes) {}

  // In [0, bound); 0 for an empty range.
  uint64_t Below(uint64_t bound) {
    if (bound <= 1) return 0;
    uint64_t value = 0;
    uint64_t range = 1;
    do {
      value = value << 8 | Byte();
      range = range <= UINT64_MAX >> 8 ? range << 8 : UINT64_MAX;
    } while (range < bound);
    return value % bound;
  }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // The next bytes of the input, at most `count`.
  absl::string_view Bytes(size_t count) {
    const absl::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  [[nodiscard]] bool AtEnd() const { return rest_.empty(); }

 private:
  uint64_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

  absl::string_view rest_;
};

}  // namespace lockd

#endif  // LOCKD_TESTS_FUZZ_CHOICES_H_
