// Fixed-width little-endian numbers in byte strings, for frames, log records and command envelopes.
//
// Writers append to a std::string or store into memory that the caller owns; `ByteReader` takes
// numbers from the front of a view and remembers failure, so that a decoder checks once at its end:
//
//   ByteReader reader(bytes);
//   const uint32_t length = reader.U32();
//   const absl::string_view payload = reader.Bytes(length);
//   if (!reader.ok()) return absl::InvalidArgumentError("...");
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_BYTES_H_
#define LOCKD_PROTOCOL_BASE_BYTES_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace lockd {

static_assert(std::endian::native == std::endian::little,
              "the on-disk and wire formats are little-endian and stored by memcpy");

template <std::unsigned_integral T>
inline void StoreLittle(char* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

template <std::unsigned_integral T>
[[nodiscard]] inline T LoadLittle(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <std::unsigned_integral T>
inline void AppendLittle(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] uint8_t U8() { return Take<uint8_t>(); }
  [[nodiscard]] uint16_t U16() { return Take<uint16_t>(); }
  [[nodiscard]] uint32_t U32() { return Take<uint32_t>(); }
  [[nodiscard]] uint64_t U64() { return Take<uint64_t>(); }
  [[nodiscard]] absl::string_view Bytes(size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const absl::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  // False once any read went beyond the end; every later read returns zero or empty.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t remaining() const { return rest_.size(); }
  [[nodiscard]] bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  template <std::unsigned_integral T>
  T Take() {
    const absl::string_view bytes = Bytes(sizeof(T));
    return ok_ ? LoadLittle<T>(bytes.data()) : T{0};
  }

  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_BYTES_H_
