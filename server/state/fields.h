// Fields: the bytes of the structs of server/state, for log commands and snapshots.
//
// A struct's fields are listed once, in a function `...Fields(io, struct)`; FieldWriter and
// FieldReader both walk that one list, so that they cannot disagree. Everything is little-endian
// and of fixed width: a number is u64 (times and durations as their two's complement), an enum or a
// flag u8, a string u16 length + bytes, a list u16 count + elements. There is one encoding for each
// value: a reader refuses any other.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_FIELDS_H_
#define LOCKD_SERVER_STATE_FIELDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/strong_int.h"

namespace lockd::state {

class FieldWriter {
 public:
  // Appends to `to`, which outlives the writer.
  explicit FieldWriter(std::string& to) : to_(to) {}

  void Number(const uint64_t& value) { AppendLittle(to_, value); }
  void Number(const int64_t& value) { AppendLittle(to_, static_cast<uint64_t>(value)); }
  void Level(const uint32_t& value) { AppendLittle(to_, value); }
  template <typename Tag, typename Rep>
  void Number(const StrongInt<Tag, Rep>& value) {
    Number(value.value());
  }
  template <typename E>
  void Enum(const E& value) {
    static_assert(std::is_enum_v<E> && sizeof(E) == 1);
    AppendLittle(to_, static_cast<uint8_t>(value));
  }
  void Flag(const bool& value) { AppendLittle(to_, static_cast<uint8_t>(value ? 1 : 0)); }
  void Bytes(absl::string_view bytes) {
    Count(bytes.size());
    to_.append(bytes.data(), bytes.size());
  }
  template <size_t kSize>
  void Array(const std::array<char, kSize>& bytes) {
    to_.append(bytes.data(), bytes.size());
  }
  template <typename T, typename Each>
  void List(const std::vector<T>& list, Each each) {
    Count(list.size());
    for (const T& item : list) each(item);
  }

 private:
  void Count(size_t count) {
    LOCKD_CHECK(count <= 0xffff, "a field of ", count, " elements");
    AppendLittle(to_, static_cast<uint16_t>(count));
  }

  std::string& to_;
};

class FieldReader {
 public:
  explicit FieldReader(absl::string_view bytes) : reader_(bytes) {}

  void Number(uint64_t& value) { value = reader_.U64(); }
  void Number(int64_t& value) { value = static_cast<int64_t>(reader_.U64()); }
  void Level(uint32_t& value) { value = reader_.U32(); }
  template <typename Tag, typename Rep>
  void Number(StrongInt<Tag, Rep>& value) {
    Rep rep{};
    Number(rep);
    value = StrongInt<Tag, Rep>(rep);
  }
  // Any byte: whether it names a value is for the caller to say.
  template <typename E>
  void Enum(E& value) {
    static_assert(std::is_enum_v<E> && sizeof(E) == 1);
    value = static_cast<E>(reader_.U8());
  }
  void Flag(bool& value) {
    const uint8_t byte = reader_.U8();
    value = byte == 1;
    if (byte > 1) is_canonical_ = false;
  }
  void Bytes(std::string& bytes) {
    absl::string_view taken;
    Bytes(taken);
    bytes.assign(taken.data(), taken.size());
  }
  // A view of the bytes that are read.
  void Bytes(absl::string_view& bytes) { bytes = reader_.Bytes(reader_.U16()); }
  template <size_t kSize>
  void Array(std::array<char, kSize>& bytes) {
    const absl::string_view taken = reader_.Bytes(kSize);
    if (reader_.ok()) std::memcpy(bytes.data(), taken.data(), kSize);
  }
  template <typename T, typename Each>
  void List(std::vector<T>& list, Each each) {
    const size_t count = reader_.U16();
    list.clear();
    // Grows as elements turn out to be there, so that a count alone allocates nothing.
    for (size_t i = 0; i < count && reader_.ok(); ++i) each(list.emplace_back());
  }

  // Every field was there, in its one encoding, and nothing is left.
  [[nodiscard]] bool AtEnd() const { return is_canonical_ && reader_.AtEnd(); }

 private:
  ByteReader reader_;
  bool is_canonical_ = true;
};

// Lists of fields that more than one format has; `T` is const when writing.

template <typename IO, typename List>
void NumberList(IO& io, List& list) {
  io.List(list, [&io](auto& number) { io.Number(number); });
}

template <typename IO, typename T>
void SettingsFields(IO& io, T& s) {
  io.Number(s.session_ttl_ms_min);
  io.Number(s.session_ttl_ms_max);
  io.Number(s.grace_ms_min);
  io.Number(s.sessions_max);
  io.Number(s.locks_max);
  io.Number(s.waiters_max);
  io.Number(s.locks_per_session_max);
  io.Number(s.waiters_per_session_max);
  io.Number(s.cleanup_holds_max);
}

// All but the role.
template <typename IO, typename T>
void MemberFields(IO& io, T& m) {
  io.Number(m.node_id);
  io.Bytes(m.peer_address);
  io.Bytes(m.client_address);
  io.Number(m.incarnation);
}

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_FIELDS_H_
